"""SRSE's parts: what looks at a charge, what says a SOH, what tells configurations apart (Wu et al. 2025).

    x ─ shared ─ F_s ─┬─ reversal ─ discriminator ─ which configuration?
                      ├─ joint ─ SOH of whichever configuration
                      └─ + ─ head of the configuration ─ SOH
    x ─ task net ─ F_t ┘

A net scales its own input, and a head its own output, by what it was trained on: both go where the weights go.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

Backbone = Literal["cnn", "mlp", "dnn", "lstm"]
BACKBONES: tuple[Backbone, ...] = ("cnn", "mlp", "dnn", "lstm")
WIDTH = 4  # features
CHANNELS = (8, 16, 24, 24, 24, 16, 16, 8, WIDTH)  # of nine convolution blocks
UNITS = 32
DROPOUT = 0.01
SUSPECTS = 64  # units of the discriminator
RARE = 0.005  # of the training values of a channel that has far outliers
ROOM = 0.1  # of the training range, beyond which an input is cut
MOST_CUT = 0.04  # of a channel's points: one of 22 is too many, of a channel with outliers some are always


class Encoder(nn.Module):
    """Scale x [row, channel, point] and find its features [row, 4]."""

    low: Tensor  # what is beyond is cut; [channel, point], or [channel, 1] where all points are on one scale
    high: Tensor
    mean: Tensor
    spread: Tensor

    def __init__(self, backbone: Backbone, channels: int, points: int, each_point: bool) -> None:
        super().__init__()
        self.backbone, self.channels, self.points, self.each_point = backbone, channels, points, each_point
        shape = (channels, points) if each_point else (channels, 1)
        for name, value in (("low", -torch.inf), ("high", torch.inf), ("mean", 0.0), ("spread", 1.0)):
            self.register_buffer(name, torch.full(shape, value))
        self.net = _net(backbone, channels, points)

    def forward(self, x: Tensor) -> Tensor:
        """Give features [row, 4]."""
        found: Tensor = self.net((torch.clamp(x, self.low, self.high) - self.mean) / self.spread)
        return found

    def outside(self, x: Tensor) -> Tensor:
        """Tell which rows [row] have a channel of which more is cut than a training row has."""
        cut = (x < self.low) | (x > self.high)
        return (cut.float().mean(dim=2) > MOST_CUT).any(dim=1)

    def learn_scale(self, x: Tensor, outliers: tuple[int, ...]) -> None:
        """Take the scale of training rows; `outliers`: channels whose rarest values say nothing."""
        over = (0,) if self.each_point else (0, 2)
        low, high = x.amin(over).reshape(self.low.shape), x.amax(over).reshape(self.low.shape)
        room = ROOM * (high - low)
        low, high = low - room, high + room
        for channel in outliers:
            low[channel], high[channel] = map(float, np.quantile(x[:, channel].numpy(), [RARE, 1 - RARE]))
        cut = torch.clamp(x, low, high)
        self.low, self.high = low, high
        self.mean = cut.mean(over).reshape(low.shape)
        spread = cut.std(over).reshape(low.shape)
        self.spread = torch.where(spread > 1e-9, spread, torch.ones_like(spread))


class Head(nn.Module):
    """Features [row, 4] to SOH [row], on the scale of the SOH it was trained on."""

    mean: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(WIDTH, 1)
        self.register_buffer("mean", torch.tensor(0.0))
        self.register_buffer("spread", torch.tensor(1.0))

    def forward(self, features: Tensor) -> Tensor:
        """Give SOH [row]."""
        said: Tensor = self.line(features)[:, 0] * self.spread + self.mean
        return said

    def learn_scale(self, y: Tensor) -> None:
        """Take the scale of training SOH."""
        self.mean, self.spread = y.mean(), y.std().clamp_min(1e-4)


class Pair(nn.Module):
    """Two nets whose features are added, and a head: what SRSE asks for one configuration, without the sharing."""

    def __init__(self, backbone: Backbone, channels: int, points: int, each_point: bool) -> None:
        super().__init__()
        self.first = Encoder(backbone, channels, points, each_point)
        self.second = Encoder(backbone, channels, points, each_point)
        self.head = Head()

    def forward(self, x: Tensor) -> Tensor:
        """Give SOH [row]."""
        said: Tensor = self.head(self.first(x) + self.second(x))
        return said


class Srse(nn.Module):
    """The shared net with its joint head, and a net with its head for each configuration.

    What a configuration's net adds has a gain: 1 in the paper; from 0 on, with the joint head's weights, the answer
    begins as the joint one and stays near it where labels are few.
    """

    def __init__(
        self, configurations: int, backbone: Backbone, channels: int, points: int, each_point: bool = False
    ) -> None:
        super().__init__()
        self.shared = Encoder(backbone, channels, points, each_point)
        self.joint = Head()
        self.tasks = nn.ModuleList(Encoder(backbone, channels, points, each_point) for _ in range(configurations))
        self.gains = nn.ParameterList(nn.Parameter(torch.zeros(1)) for _ in range(configurations))
        self.heads = nn.ModuleList(Head() for _ in range(configurations))

    def forward(self, x: Tensor, configuration: int | None) -> Tensor:
        """Give SOH [row] of rows of one configuration; `None`: of an unknown one, by the joint head."""
        shared: Tensor = self.shared(x)
        if configuration is None:
            joint: Tensor = self.joint(shared)
            return joint
        return self.fuse(shared, x, configuration)

    def fuse(self, shared: Tensor, x: Tensor, configuration: int) -> Tensor:
        """Give SOH [row] of shared features [row, 4] and what the configuration's own net adds to them."""
        own: Tensor = self.gains[configuration] * self.own(configuration)(x)
        said: Tensor = self.head(configuration)(shared + own)
        return said

    def own(self, configuration: int) -> Encoder:
        """Give the net of a configuration."""
        return cast("Encoder", self.tasks[configuration])

    def head(self, configuration: int) -> Head:
        """Give the head of a configuration."""
        return cast("Head", self.heads[configuration])


def discriminator(configurations: int) -> nn.Module:
    """Make the part that guesses the configuration from shared features."""
    return nn.Sequential(
        nn.Linear(WIDTH, SUSPECTS),
        nn.ReLU(),
        nn.Linear(SUSPECTS, SUSPECTS),
        nn.ReLU(),
        nn.Linear(SUSPECTS, configurations),
    )


class _Lstm(nn.Module):
    """The last output of two layers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, UNITS, 2, batch_first=True, dropout=DROPOUT)
        self.line = nn.Linear(UNITS, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        output, _ = self.lstm(x.transpose(1, 2))
        found: Tensor = self.line(output[:, -1])
        return found


def _net(backbone: Backbone, channels: int, points: int) -> nn.Module:
    if backbone == "lstm":
        return _Lstm(channels)
    if backbone == "cnn":
        widths = (channels, *CHANNELS)
        blocks = [_block(a, b) for a, b in pairwise(widths)]
        return nn.Sequential(*blocks, nn.AdaptiveAvgPool1d(1), nn.Flatten())
    hidden = [UNITS] * (2 if backbone == "mlp" else 3)
    sizes = (channels * points, *hidden)
    layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU(), nn.Dropout(DROPOUT))]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(UNITS, WIDTH))


def _block(channels: int, wider: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(channels, wider, 5, padding=2),
        nn.BatchNorm1d(wider),
        nn.ReLU(),
        nn.MaxPool1d(2, 2, padding=1),
        nn.ReLU(),
    )
