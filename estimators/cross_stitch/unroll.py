"""One window of many rows through the network, the state carried from the window before without gradient.

The held features of the SOH tower are made again in each window from what its last step saw, so that the SOC
error reaches the SOH tower and its SOH_0 layers in every window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from estimators.cross_stitch.network import SOH_PERIOD_SECOND, UNITS, Hidden, Network
from estimators.cross_stitch.sequence import PRIMING_SECOND
from estimators.cross_stitch.windows import Window


@dataclass(slots=True)
class Carried:
    """What goes from one window to the next, per row."""

    shared: Hidden
    soc: Hidden
    soh: Hidden  # the SOH tower before its last step, [row, 256]
    seen: Tensor  # [row, 256] shared vector of that step
    soc_output: Tensor  # [row, 256] of the second at which the held features were made
    stepped: Tensor  # [row] whether the SOH tower has stepped since its start

    @classmethod
    def zero(cls, rows: int, device: torch.device) -> Carried:
        """Begin with rows that have seen nothing."""

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, device=device)

        def pair(*shape: int) -> Hidden:
            return zeros(*shape), zeros(*shape)

        return cls(
            pair(1, rows, UNITS),
            pair(1, rows, UNITS),
            pair(rows, UNITS),
            zeros(rows, UNITS),
            zeros(rows, UNITS),
            torch.zeros(rows, dtype=torch.bool, device=device),
        )


class Unrolled(NamedTuple):
    """What the network said over one window."""

    soc: Tensor  # [second, row]
    features: Tensor  # [second, row, 64] what the last layer of the SOC tower took
    age_second: Tensor  # [second, row] since the row's start, from 1
    hour: Tensor  # [row] whether the row's hour ends with the window
    soh: Tensor  # [row of those]


def unroll(network: Network, window: Window, carried: Carried) -> tuple[Unrolled, Carried]:
    """Pass one window. It may not be longer than an hour, and an hour must end with a window."""
    device = carried.seen.device
    x = network.scale(torch.from_numpy(window.raw).to(device))
    fresh = torch.from_numpy(window.fresh).to(device)
    shared_state, soc_state = _prime(network, x, fresh, carried)
    s, shared_state = network.shared(x, shared_state)
    a, soc_state = network.soc_lstm(s, soc_state)

    initial = network.initial_soh_hidden(torch.from_numpy(window.initial_soh).to(device))
    stepped = carried.stepped & ~fresh
    after = network.soh_step(carried.seen, carried.soh)
    soh_state = tuple(torch.where(stepped[:, None], t, i) for t, i in zip(after, initial, strict=True))
    soc_output = torch.where(fresh[:, None], a[0].detach(), carried.soc_output)
    features = network.soc_features(a, network.joint(soc_output, soh_state[0]).held)

    age = torch.from_numpy(window.age_second).to(device) + torch.arange(1, len(x) + 1, device=device)[:, None]
    hour = (age[-1] % SOH_PERIOD_SECOND == 0) & (torch.from_numpy(window.mask[-1]).to(device) > 0)
    soh = torch.zeros(0, device=device)
    if bool(hour.any()):
        h, _ = network.soh_step(s[-1][hour], (soh_state[0][hour], soh_state[1][hour]))
        soh = network.joint(a[-1][hour], h).soh
    said = Unrolled(network.soc_of(features), features, age, hour, soh)

    turn = hour[:, None]
    nxt = Carried(
        (shared_state[0].detach(), shared_state[1].detach()),
        (soc_state[0].detach(), soc_state[1].detach()),
        (  # before the step just made; or, where none was made, still before the last one
            torch.where(turn | ~stepped[:, None], soh_state[0], carried.soh[0]).detach(),
            torch.where(turn | ~stepped[:, None], soh_state[1], carried.soh[1]).detach(),
        ),
        torch.where(turn, s[-1], carried.seen).detach(),
        torch.where(turn, a[-1], soc_output).detach(),
        stepped | hour,
    )
    return said, nxt


def _prime(network: Network, x: Tensor, fresh: Tensor, carried: Carried) -> tuple[Hidden, Hidden]:
    """Give the fresh rows the state that their first sample alone leads to."""
    if not bool(fresh.any()):
        return carried.shared, carried.soc
    with torch.no_grad():
        s, shared = network.shared(x[:1, fresh].expand(PRIMING_SECOND, -1, -1).contiguous())
        _, soc = network.soc_lstm(s)
    states = []
    for old, new in ((carried.shared, shared), (carried.soc, soc)):
        h, c = old[0].clone(), old[1].clone()
        h[:, fresh], c[:, fresh] = new
        states.append((h, c))
    return states[0], states[1]
