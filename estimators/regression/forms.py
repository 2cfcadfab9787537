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
        scaled = x / self.length
        squared = (scaled**2).sum(1)[:, None] + (self.points**2).sum(1)[None] - 2 * scaled @ self.points.T
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


Form = Linear | Kernel | Trees | Layers
FORMS: dict[str, type[Form]] = {
    "linear": Linear,
    "kernel": Kernel,
    "trees": Trees,
    "layers": Layers,
}
