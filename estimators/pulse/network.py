"""The conditional VAE with cross-attention of S. Tao et al. (Nature Communications 15, 10154, 2024), in closed form.

Condition (SOC, SOH) and voltages are embedded in 64 units each, read as 64 tokens of width 1. With one head of
width 64 between tokens of width 1 all projections collapse to four numbers:

    out_i = a sum_j softmax_j(c_j (s h_i + t)) c_j + b

which is what stands here: the same function of the same inputs, 64 times cheaper. Used in training only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from estimators.contract import Float

UNITS, LATENT = 64, 2
SOH_RANGE = (0.4, 1.05)  # conditions are scaled by fixed ranges, never by those of the cells to be tested


@dataclass(frozen=True, slots=True)
class Settings:
    """`published`: as in the paper's code. `kept_open`: what is meant to keep the latent variables alive."""

    epochs: int = 50
    batch: int = 32
    rate: float = 1e-3
    reconstruction: float = 10.5  # half of the number of voltages, on the mean square error
    divergence: float = 0.5
    rising_epochs: int = 0  # the divergence's weight rises from 0 over so many
    free_nat: float = 0.0  # of each latent variable, not charged


PUBLISHED = Settings()
KEPT_OPEN = Settings(epochs=100, reconstruction=1000.0, rising_epochs=50, free_nat=0.25)


class CrossAttention(nn.Module):
    """Query tokens [n, 64] attend to condition tokens [n, 64]."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(()) * 0.5)
        self.shift = nn.Parameter(torch.zeros(()))
        self.gain = nn.Parameter(torch.randn(()) * 0.5 + 1.0)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, query: Tensor, condition: Tensor) -> Tensor:
        """Give [n, 64]."""
        weight = torch.softmax((self.scale * query + self.shift)[:, :, None] * condition[:, None, :], dim=2)
        out: Tensor = self.gain * (weight @ condition[:, :, None])[:, :, 0] + self.bias
        return out


class ConditionalVae(nn.Module):
    """Voltages given (SOC, SOH)."""

    def __init__(self, points: int) -> None:
        super().__init__()
        self.condition = nn.Linear(2, UNITS)
        self.encoder, self.decoder = nn.Linear(points, UNITS), nn.Linear(LATENT, UNITS)
        self.seen, self.drawn = CrossAttention(), CrossAttention()
        self.mean, self.log_variance = nn.Linear(UNITS, LATENT), nn.Linear(UNITS, LATENT)
        self.out = nn.Linear(UNITS, points)

    def encode(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Give mean and log variance of the latent variables [n, 2]."""
        hidden = self.seen(torch.relu(self.encoder(x)), torch.relu(self.condition(condition)))
        return self.mean(hidden), self.log_variance(hidden)

    def decode(self, z: Tensor, condition: Tensor) -> Tensor:
        """Give scaled voltages [n, point] in (0, 1)."""
        hidden = self.drawn(torch.relu(self.decoder(z)), torch.relu(self.condition(condition)))
        return torch.sigmoid(self.out(hidden))


class Learnt(NamedTuple):
    """A trained generator, and what became of its latent variables."""

    network: ConditionalVae
    low: Float  # [point] of the training voltages
    high: Float  # [point]
    divergence_nat: float  # KL from the prior; near 0: the latent variables say nothing
    reconstruction_volt: float  # mean absolute error of the training rows


def train(voltage_volt: Float, soc: Float, soh: Float, settings: Settings = PUBLISHED, seed: int = 0) -> Learnt:
    """Train on rows [row, point] with SOC and SOH [row]; one core, seconds."""
    torch.manual_seed(seed)
    low, high = voltage_volt.min(axis=0), voltage_volt.max(axis=0)
    x = torch.tensor((voltage_volt - low) / (high - low + 1e-9), dtype=torch.float32)
    given = _condition(soc, soh)
    network = ConditionalVae(x.shape[1])
    optimiser = torch.optim.Adam(network.parameters(), settings.rate)
    for epoch in range(settings.epochs):
        weight = settings.divergence * min(1.0, (epoch + 1) / max(settings.rising_epochs, 1))
        for rows in torch.split(torch.randperm(len(x)), settings.batch):
            mean, log_variance = network.encode(x[rows], given[rows])
            z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
            error = ((network.decode(z, given[rows]) - x[rows]) ** 2).mean()
            charged = _divergence(mean, log_variance).mean(0).clamp(min=settings.free_nat).sum()
            optimiser.zero_grad()
            (settings.reconstruction * error + weight * charged).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    with torch.no_grad():
        mean, log_variance = network.encode(x, given)
        divergence = float(_divergence(mean, log_variance).mean(0).sum())
        off = (network.decode(mean, given) - x).abs().numpy() * (high - low)
    return Learnt(network, low, high, divergence, float(off.mean()))


def generate(learnt: Learnt, soc: Float, soh: Float, seed: int = 0) -> Float:
    """Draw voltages [row, point] for SOC and SOH [row]."""
    drawn = torch.randn(len(soc), LATENT, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        scaled = learnt.network.decode(drawn, _condition(soc, soh)).numpy()
    return np.asarray(scaled * (learnt.high - learnt.low) + learnt.low, dtype=np.float64)


def _condition(soc: Float, soh: Float) -> Tensor:
    low, high = SOH_RANGE
    return torch.tensor(np.column_stack([soc, (soh - low) / (high - low)]), dtype=torch.float32)


def _divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Give the Kullback-Leibler divergence from the standard Gaussian [n, latent]."""
    return 0.5 * (mean**2 + log_variance.exp() - 1.0 - log_variance)
