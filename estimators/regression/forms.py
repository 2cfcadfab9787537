"""The forms that a fitted model may take: arrays and a formula, x [row, input] to y [row].

A form is a dataclass of arrays; its name in `FORMS` and its arrays are all that is kept of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from estimators.contract import Float

Float16 = NDArray[np.float16]
Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]
LEAF = -1


@dataclass(frozen=True, slots=True)
class Linear:
    """y = x w + b."""

    weight: Float  # [input]
    bias: Float  # [1]

    def predict(self, x: Float) -> Float:
        """Give y [row] of x [row, input]."""
        return np.asarray(x @ self.weight + self.bias[0])


@dataclass(frozen=True, slots=True)
class Kernel:
    """y = sum_i a_i exp(-|x/l - x_i/l|^2 / 2) + x w + b: support vectors and Gaussian processes alike."""

    points: Float  # [point, input], divided by `length`
    length: Float  # [input]
    share: Float  # [point]
    weight: Float  # [input]
    bias: Float  # [1]

    def predict(self, x: Float) -> Float:
        """Give y [row] of x [row, input]."""
        scaled, points = x / self.length, self.points.astype(float)  # they may be kept in fewer bits
        squared = (scaled**2).sum(1)[:, None] + (points**2).sum(1)[None] - 2 * scaled @ points.T
        return np.asarray(np.exp(-np.maximum(squared, 0) / 2) @ self.share + x @ self.weight + self.bias[0])


@dataclass(frozen=True, slots=True)
class Trees:
    """The sum of what the leaves of many trees say, and a constant."""

    root: Int32  # [tree] node where each begins
    feature: Int32  # [node] which input it asks for; LEAF: none
    threshold: Float32  # [node] not above it: to the left
    left: Int32  # [node]
    right: Int32  # [node]
    value: Float32  # [node] what a leaf says
    bias: Float  # [1]

    def predict(self, x: Float) -> Float:
        """Give y [row] of x [row, input]."""
        asked = x.astype(np.float32)
        row = np.arange(len(x))[:, None]
        node = np.broadcast_to(self.root, (len(x), len(self.root)))
        while (inner := self.feature[node] != LEAF).any():
            left = asked[row, np.maximum(self.feature[node], 0)] <= self.threshold[node]
            node = np.where(inner, np.where(left, self.left[node], self.right[node]), node)
        return np.asarray(self.value[node].sum(axis=1, dtype=np.float64) + self.bias[0])


@dataclass(frozen=True, slots=True)
class Layers:
    """Two hidden layers, each of them followed by a rectifier."""

    weight_1: Float  # [input, unit]
    bias_1: Float  # [unit]
    weight_2: Float  # [unit, unit]
    bias_2: Float  # [unit]
    weight_3: Float  # [unit, 1]
    bias_3: Float  # [1]

    def predict(self, x: Float) -> Float:
        """Give y [row] of x [row, input]."""
        hidden = np.maximum(x @ self.weight_1 + self.bias_1, 0)
        hidden = np.maximum(hidden @ self.weight_2 + self.bias_2, 0)
        return np.asarray((hidden @ self.weight_3 + self.bias_3)[:, 0])


@dataclass(frozen=True, slots=True)
class Networks:
    """The mean of some networks with three hidden layers, each of them followed by x times its sigmoid."""

    weight_1: Float32  # [network, input, unit]
    bias_1: Float32  # [network, 1, unit]
    weight_2: Float32  # [network, unit, unit]
    bias_2: Float32  # [network, 1, unit]
    weight_3: Float32  # [network, unit, narrow unit]
    bias_3: Float32  # [network, 1, narrow unit]
    weight_4: Float32  # [network, narrow unit, 1]
    bias_4: Float32  # [network, 1, 1]

    def predict(self, x: Float) -> Float:
        """Give y [row] of x [row, input]."""
        hidden = _silu(x @ self.weight_1 + self.bias_1)  # [network, row, unit]
        hidden = _silu(hidden @ self.weight_2 + self.bias_2)
        hidden = _silu(hidden @ self.weight_3 + self.bias_3)
        return np.asarray((hidden @ self.weight_4 + self.bias_4)[..., 0].mean(axis=0))


def _silu(x: Float) -> Float:
    return np.asarray(0.5 * x * (1.0 + np.tanh(0.5 * x)))


@dataclass(frozen=True, slots=True)
class Varying:
    """A line whose slopes change smoothly with a few leading inputs, and bumps: a Gaussian process' mean.

    y = sum_i a_i m(x, x_i) (x.x_i / n + c) + sum_i b_i exp(-|x - x_i|^2 / 2n) + d, with n inputs and
    m = (1 + r) exp(-r), r^2 = 3 |x - x_i|^2 / (k l^2) over the first k inputs (a Matérn kernel of 3/2).
    """

    points: Float16  # [point, input]: far finer than what is measured
    line: Float32  # [point] a
    bump: Float32  # [point] b
    length: Float  # [1] l; inf: slopes are the same everywhere
    leading: Float  # [1] k
    bias: Float  # [1] d

    def predict(self, x: Float) -> Float:
        """Give y [row] of x [row, input]."""
        slopes, bumps = varying_kernels(x, self.points.astype(float), float(self.length[0]), int(self.leading[0]))
        return np.asarray(slopes @ self.line.astype(float) + bumps @ self.bump.astype(float) + self.bias[0])


VARYING_CONSTANT = 0.2  # c: what the leading inputs say by themselves


def varying_kernels(x: Float, points: Float, length: float, leading: int) -> tuple[Float, Float]:
    """Give the two kernels of `Varying`, [row, point] each."""
    inputs = x.shape[1]
    r = np.sqrt(3.0 * _squared(x[:, :leading], points[:, :leading]) / leading) / length
    slopes = (1.0 + r) * np.exp(-r) * (x @ points.T / inputs + VARYING_CONSTANT)
    return slopes, np.exp(-_squared(x, points) / (2.0 * inputs))


def _squared(a: Float, b: Float) -> Float:
    distance: Float = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2.0 * a @ b.T
    return np.maximum(distance, 0.0)


Form = Linear | Kernel | Trees | Layers | Networks | Varying
FORMS: dict[str, type[Form]] = {
    "linear": Linear,
    "kernel": Kernel,
    "trees": Trees,
    "layers": Layers,
    "networks": Networks,
    "varying": Varying,
}
