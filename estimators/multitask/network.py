"""One encoder, three heads: SOH, cycles left and fade rate learnt together, or each by itself.

Some networks are trained side by side as members of an ensemble, each from its own draw: every array begins with
[member]. Losses are Huber on standardised targets, a target that is not known counts nothing. What is shared is
settled in one of four ways:

- `log_variance`: each loss weighs exp(-s) with s learnt (Kendall, Gal, Cipolla, CVPR 2018);
- `pcgrad`: of two targets' gradients that point against each other, each loses what goes against the other (Yu et
  al., NeurIPS 2020);
- `reversal`: a judge tells targets apart by what they ask of the shared features, and is made to fail (`adversary.py`);
- `equal`: none of these.

`tied` adds that the cycles left are those in which the SOH falls to 80 % at the fade rate, but for a factor that is
learnt: a fade that speeds up ends sooner.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, huber_loss, silu

from estimators.multitask.adversary import STRENGTH, Judge, unlearnt
from estimators.multitask.labels import END_OF_LIFE_SOH
from estimators.regression.forms import Networks
from estimators.reversal import ramp

if TYPE_CHECKING:
    from estimators.contract import Float

SOH, RUL, FADE = range(3)
LEAST_FADE = 0.2  # points in 100 rows; below it a crossing is beyond any record
TIE = 0.1  # weight of the tie beside the losses


@dataclass(frozen=True, slots=True)
class Settings:
    """How it is built and trained."""

    units: int = 48
    members: int = 3
    steps: int = 500
    rows: int = 128  # of a step
    rate: float = 5e-3
    decay: float = 1e-2
    dropout: float = 0.05
    weighting: Literal["log_variance", "pcgrad", "reversal", "equal"] = "log_variance"
    tied: bool = False


class Network(nn.Module):
    """Inputs [member, row, input] to standardised targets [member, row, target]; `targets` are those it has."""

    def __init__(self, inputs: int, targets: tuple[int, ...], settings: Settings) -> None:
        super().__init__()
        self.targets, self.settings = targets, settings
        count, units = settings.members, settings.units
        self.encoder = nn.ParameterList(_drawn(count, [inputs, units, units]))
        drawn = [_drawn(count, [units, units // 2, 1]) for _ in targets]
        self.heads = nn.ParameterList([array for head in drawn for array in head])  # four arrays a head
        self.log_variance = nn.Parameter(torch.zeros(count, len(targets)))
        self.tie = nn.Parameter(torch.zeros(count, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Encode once, then ask each head."""
        return self.ask(self.encode(x))

    def encode(self, x: Tensor) -> Tensor:
        """Give the features that targets share [member, row, unit]."""
        w1, b1, w2, b2 = self.encoder
        shared = self._drop(silu(torch.baddbmm(b1, x, w1)))
        return self._drop(silu(torch.baddbmm(b2, shared, w2)))

    def ask(self, shared: Tensor) -> Tensor:
        """Ask each head [member, row, target]."""
        arrays = list(self.heads)
        said = []
        for n in range(len(self.targets)):
            v1, c1, v2, c2 = arrays[4 * n : 4 * n + 4]
            said.append(torch.baddbmm(c2, silu(torch.baddbmm(c1, shared, v1)), v2))
        return torch.cat(said, dim=2)

    def _drop(self, hidden: Tensor) -> Tensor:
        return dropout(hidden, self.settings.dropout, self.training)


@dataclass(frozen=True, slots=True)
class Scale:
    """Mean and spread of each target [target] on the training rows."""

    mean: Float
    spread: Float

    @classmethod
    def learn(cls, y: Float) -> Scale:
        """Take them of targets y [row, target]; NaN: not known."""
        spread = np.nanstd(y, axis=0)
        return cls(np.nanmean(y, axis=0), np.where(spread > 0, spread, 1.0))


@dataclass(frozen=True, slots=True)
class Trained:
    """A network with the scale of its targets."""

    network: Network
    scale: Scale

    def each(self, x: Float) -> Float:
        """What each member says [member, row, target] of scaled inputs x [row, input], in the targets' units."""
        self.network.eval()
        return self._said(x)

    def dropped(self, x: Float, passes: int = 30) -> Float:
        """The first member with dropout left on [pass, row, target]: how unsure dropout takes itself to be."""
        self.network.train()
        return np.stack([self._said(x)[0] for _ in range(passes)])

    def form(self, place: int) -> Networks:
        """Give what answers for the target at `place` of the network's own, as arrays that need no torch."""
        v1, c1, v2, c2 = list(self.network.heads)[4 * place : 4 * place + 4]
        *hidden, weight, bias = (p.detach().double().numpy() for p in (*self.network.encoder, v1, c1, v2, c2))
        spread = self.scale.spread[place]
        arrays = (*hidden, weight * spread, bias * spread + self.scale.mean[place])
        return Networks(*(array.astype(np.float32) for array in arrays))

    def _said(self, x: Float) -> Float:
        rows = torch.as_tensor(x, dtype=torch.float32).expand(self.network.settings.members, -1, -1)
        with torch.no_grad():
            said: Float = self.network(rows).double().numpy()
        return said * self.scale.spread + self.scale.mean


def train(x: Float, y: Float, targets: tuple[int, ...], settings: Settings, seed: int = 0) -> Trained:
    """Fit to scaled inputs x [row, input] and targets y [row, target], of which only `targets` are looked at.

    y's columns are SOH, the square root of the rows left, and points of SOH in 100 rows; NaN: not known.
    """
    torch.manual_seed(seed)
    wanted = y[:, list(targets)]
    scale = Scale.learn(wanted)
    inputs = torch.as_tensor(x, dtype=torch.float32)
    truth = torch.as_tensor((wanted - scale.mean) / scale.spread, dtype=torch.float32)
    network = Network(x.shape[1], targets, settings)
    judge = Judge(settings.members, settings.units, len(targets)) if settings.weighting == "reversal" else None
    learning = [*network.parameters(), *(judge.parameters() if judge else ())]
    optimiser = torch.optim.AdamW(learning, lr=settings.rate, weight_decay=settings.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2 * settings.rate, settings.steps)
    network.train()
    for step in range(settings.steps):
        drawn = torch.randint(len(inputs), (settings.members, settings.rows))
        optimiser.zero_grad()
        _descend(network, judge, inputs[drawn], truth[drawn], scale, step / settings.steps)
        optimiser.step()
        schedule.step()
    network.eval()
    return Trained(network, scale)


def _descend(network: Network, judge: Judge | None, x: Tensor, truth: Tensor, scale: Scale, progress: float) -> None:
    """Set the gradients of a step on inputs x [member, row, input]; `progress` of the training from 0 to 1."""
    settings, targets = network.settings, network.targets
    shared = network.encode(x)
    said = network.ask(shared)
    losses = _losses(said, truth)  # [member, target]
    tied = settings.tied and targets == (SOH, RUL, FADE)
    tie = TIE * _untied(network, said, scale) if tied else torch.zeros(())
    if settings.weighting == "pcgrad" and len(targets) > 1:
        _project(network, losses, tie)
        return
    total = _total(network, losses, tie)
    if judge is not None and len(targets) > 1:
        total = total + unlearnt(judge, shared, losses, torch.isfinite(truth), STRENGTH * ramp(progress))
    torch.autograd.backward(total)


def _drawn(count: int, widths: list[int]) -> list[nn.Parameter]:
    arrays = []
    for before, after in pairwise(widths):
        arrays.append(nn.Parameter(torch.randn(count, before, after) / before**0.5))
        arrays.append(nn.Parameter(torch.zeros(count, 1, after)))
    return arrays


def _losses(said: Tensor, truth: Tensor) -> Tensor:
    """Mean Huber loss of the rows that are known [member, target]."""
    known = torch.isfinite(truth)
    loss = huber_loss(said, torch.where(known, truth, said.detach()), reduction="none", delta=0.5)
    return loss.sum(dim=1) / known.sum(dim=1).clamp(min=1)


def _total(network: Network, losses: Tensor, tie: Tensor) -> Tensor:
    """Join the losses; members do not touch one another, so that their sum trains each alone."""
    if network.settings.weighting == "log_variance" and len(network.targets) > 1:
        losses = torch.exp(-network.log_variance) * losses + network.log_variance / 2
    return losses.sum() + tie


def _untied(network: Network, said: Tensor, scale: Scale) -> Tensor:
    """How far the rows left are from where SOH and fade rate cross 80 %, in logarithms."""
    spread, mean = (torch.as_tensor(v, dtype=torch.float32) for v in (scale.spread, scale.mean))
    told = said * spread + mean
    points = 100.0 * (told[..., SOH] - END_OF_LIFE_SOH).clamp(min=1e-3)
    crossing = 100.0 * points / told[..., FADE].clamp(min=LEAST_FADE)
    left = told[..., RUL].clamp(min=1.0) ** 2
    return huber_loss(left.log(), crossing.log() + network.tie, delta=0.5) * network.settings.members


def _project(network: Network, losses: Tensor, tie: Tensor) -> None:
    """Set gradients: each head its own, the encoder the sum of what is left of each target's."""
    shared = list(network.encoder)
    whole = losses.sum() + tie
    own = [p for p in network.parameters() if not any(p is s for s in shared)]
    for p, g in zip(own, torch.autograd.grad(whole, own, retain_graph=True, allow_unused=True), strict=True):
        p.grad = g
    each = [
        torch.autograd.grad(losses[:, n].sum() + tie / losses.shape[1], shared, retain_graph=True)
        for n in range(losses.shape[1])
    ]
    flat = torch.stack([torch.cat([g.flatten(1) for g in gradient], dim=1) for gradient in each])  # [target, member, n]
    left = flat.clone()
    for n in range(len(flat)):
        for other in torch.randperm(len(flat)).tolist():
            against = (left[n] * flat[other]).sum(1, keepdim=True).clamp(max=0.0)
            left[n] -= against / (flat[other] ** 2).sum(1, keepdim=True).clamp(min=1e-12) * flat[other]
    total, at = left.sum(0), 0
    for p in shared:
        size = p[0].numel()
        p.grad = total[:, at : at + size].reshape(p.shape)
        at += size
