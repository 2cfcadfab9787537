"""How far off the network's SOC may be, each second: one linear layer beside it, which never touches it.

log std = w . [64 features of the SOC tower's last stitch, three fading memories of the start, T, T^2] + b

fitted to the errors of a network that is frozen, by Gaussian likelihood (Nix and Weigend, "Estimating the mean
and variance of the target probability distribution", 1994). The 64 features alone do not know how long ago the
cell was switched on, nor enough of the cold. What comes out is around 0: it multiplies a standard deviation
by temperature that was measured on other runs (`Weights.soc_std`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from estimators.cross_stitch.network import FEATURES

START_SECOND = (30.0, 300.0, 3000.0)  # the start is forgotten over these
UNFITTED_START = 2.3  # without a fit the first second is ten times as unsure as the last
LIMIT = 3.0  # of the logarithm, either way
LOG_STD = (-6.5, -1.2)  # 0.15 to 30 points: the range of the fit
RIDGE = 1e-3


class Uncertainty(nn.Module):
    """The layer; before it is fitted it knows the start alone."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(FEATURES[-1] + len(START_SECOND) + 2, 1)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)
        with torch.no_grad():
            self.layer.weight[0, FEATURES[-1]] = UNFITTED_START

    def forward(self, features: Tensor, age_second: Tensor, temperature: Tensor) -> Tensor:
        """Give the logarithm [...] for features [..., 64], age [...], temperature [...] as the network scales it."""
        out: Tensor = self.layer(inputs(features, age_second, temperature))
        return out.squeeze(-1).clamp(-LIMIT, LIMIT)


def inputs(features: Tensor, age_second: Tensor, temperature: Tensor) -> Tensor:
    """Stack what the layer takes: [..., 69]."""
    start = [torch.exp(-age_second / second) for second in START_SECOND]
    return torch.cat([features, torch.stack([*start, temperature, temperature**2], dim=-1)], dim=-1)


def fitted(rows: Tensor, error: Tensor) -> Uncertainty:
    """Fit to `error` [row] of SOC beside the layer's inputs [row, 69]."""
    mean, spread = rows.mean(dim=0), rows.std(dim=0)
    lives = spread > 1e-3 * spread.max()  # a rectifier that never opened says nothing
    x = (rows[:, lives] - mean[lives]) / spread[lives]
    weight = torch.zeros(x.shape[1], requires_grad=True)
    bias = error.std().log().clamp(*LOG_STD).clone().requires_grad_()
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=80, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        log_std = (x @ weight + bias).clamp(*LOG_STD)
        value = (log_std + 0.5 * (error * torch.exp(-log_std)) ** 2).mean() + RIDGE * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    uncertainty = Uncertainty()
    with torch.no_grad():
        uncertainty.layer.weight.zero_()
        uncertainty.layer.weight[0, lives] = weight / spread[lives]
        uncertainty.layer.bias.copy_(-(uncertainty.layer.weight[0] @ mean))  # 0 on average
    return uncertainty.eval().requires_grad_(requires_grad=False)
