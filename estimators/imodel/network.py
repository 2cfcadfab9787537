"""A mixture of experts that foretells fade: the curve of a charge makes trends, a rest picks the mixture.

    Q(V) and its mask ─► five linear experts ─► trend [step] ─┐
    twelve features ───► gate, softmax weights ───────────────┘► with the planned use of each step ─►
    LSTM, forward in time ─► fade of each step, never negative ─► capacity = present capacity − fade so far

After iMODEL (see CARD.md for what is other than there): decoded forward in time and as fade that is never
negative, from the present capacity; real C-rates; charge in shares of the nominal; what was not seen is masked; the
balance of the experts weighs little, so that the gate may choose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from estimators.features import rest_statistics
from estimators.imodel.features import align, draw_on

if TYPE_CHECKING:
    from estimators.contract import Float
    from estimators.imodel.features import Events, Kind

EXPERTS, PREFERRED, SHARPNESS = 5, 2, 10.0
FEATURES, USE = 12, 3
STEP, STEPS = 10, 15  # cycles in a step, and steps that are foretold
UNITS = 48
EARLY_POINT, EARLY_SHARE = 9, 0.057  # where the curve's beginning is looked at: 0.1 V on, and 0.2 Ah of 3.5 Ah on
TYPICAL_FADE = 0.006  # share of the nominal capacity, in one step


class Seen(NamedTuple):
    """Events as the network sees them."""

    curve: Tensor  # [n, point] share of the nominal; 0 where not seen
    mask: Tensor  # [n, point] 1 where seen
    features: Tensor  # [n, 12]
    use: Tensor  # [n, 3] planned


def seen(events: Events, kind: Kind, planned: Float | None = None) -> Seen:
    """Show events, and how the cell will be used [n, 3] (None: as it is), to the network; NaN features become 0."""
    share = events.charge_ah / kind.nominal_capacity_ah
    known = np.isfinite(share)
    curve = np.where(known, share, 0.0)
    use = np.nan_to_num(events.use if planned is None else planned)
    parts = (curve, known, gate_features(share, events.rest_volt, kind), use)
    return Seen(*(torch.from_numpy(np.ascontiguousarray(p, dtype=np.float32)) for p in parts))


def gate_features(share: Float, rest_volt: Float, kind: Kind) -> Float:
    """Six statistics of the rest; mean, skew, maximum and variance of Q(V), and two of its beginning [n, 12]."""
    drawn = draw_on(rest_volt)
    rest = rest_statistics(drawn if np.isnan(kind.rest_period_second) else align(drawn))
    curve = rest_statistics(share)[:, [0, 1, 2, 4]]
    reached = share >= share[:, EARLY_POINT : EARLY_POINT + 1] + EARLY_SHARE
    volt = kind.window.voltage_volt[np.where(reached.any(axis=1), reached.argmax(axis=1), -1)]
    return np.concatenate([rest, curve, share[:, EARLY_POINT : EARLY_POINT + 1], volt[:, None]], axis=1)


class Network(nn.Module):
    """Events to fade after each step."""

    error: Tensor  # [step] deviation of the fade, on cells that trained nothing

    def __init__(self) -> None:
        super().__init__()
        points = 50
        self.experts = nn.Linear(2 * points, EXPERTS * STEPS)
        self.gate = nn.Linear(FEATURES, EXPERTS)
        self.noise = nn.Parameter(torch.zeros(EXPERTS, EXPERTS))
        self.decoder = nn.LSTM(1 + USE, UNITS, batch_first=True)
        self.head = nn.Linear(UNITS, 1)
        self.register_buffer("error", torch.zeros(STEPS))
        for name, size in (("curve", points), ("features", FEATURES), ("use", USE)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_spread", torch.ones(size))

    def fit_scales(self, shown: Seen) -> None:
        """Take means and deviations of training events."""
        for name in ("curve", "features", "use"):
            values: Tensor = torch.nan_to_num(getattr(shown, name))
            spread = values.std(dim=0)
            getattr(self, f"{name}_mean").copy_(values.mean(dim=0))
            getattr(self, f"{name}_spread").copy_(torch.where(spread > 1e-6, spread, torch.ones_like(spread)))

    def forward(self, shown: Seen) -> tuple[Tensor, Tensor]:
        """Give fade [n, step] since now, as a share of the nominal capacity, and the experts' weights [n, expert]."""
        curve, features, use = (self._scaled(name, getattr(shown, name)) for name in ("curve", "features", "use"))
        trends = self.experts(torch.cat([curve * shown.mask, shown.mask], dim=1)).view(-1, EXPERTS, STEPS)
        weight = self.mixture(features)
        trend = (weight[:, :, None] * trends).sum(dim=1)
        planned = use[:, None, :].expand(-1, STEPS, -1)
        state, _ = self.decoder(torch.cat([trend[:, :, None], planned], dim=2))
        fade = TYPICAL_FADE * nn.functional.softplus(self.head(state)[:, :, 0])
        return fade.cumsum(dim=1), weight

    def mixture(self, features: Tensor) -> Tensor:
        """Weigh the experts [n, expert] by scaled features: two are preferred, none is left out."""
        says = self.gate(features)
        if self.training:
            says = says + torch.randn_like(says) * (nn.functional.softplus(says @ self.noise) + 1e-5)
        share = says.softmax(dim=1)
        best = share >= share.topk(PREFERRED, dim=1).values[:, -1:]
        return (SHARPNESS * torch.where(best, share.exp() - 1.0, share.log1p())).softmax(dim=1)

    def _scaled(self, name: str, values: Tensor) -> Tensor:
        mean, spread = getattr(self, f"{name}_mean"), getattr(self, f"{name}_spread")
        return torch.nan_to_num((values - mean) / spread).clamp(-4.0, 4.0)
