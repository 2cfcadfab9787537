"""What a model is shown: inputs clipped to where it was trained, on one scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from estimators.contract import Bool, Float

RARE = 0.001  # this share of the training rows is cut off at either end: a stray input cannot carry a model away
FAR = 0.25  # beyond the training range by this share of it is another place, not noise


@dataclass(frozen=True, slots=True)
class Inputs:
    """Clip, then scale to mean 0 and deviation 1 on the training rows."""

    low: Float  # [input]
    high: Float  # [input]
    mean: Float  # [input]
    spread: Float  # [input]

    @classmethod
    def learn(cls, x: Float) -> Inputs:
        """Take the limits and scales of training rows x [row, input]. Raises ValueError where one is not finite."""
        if not np.isfinite(x).all():
            raise ValueError(f"training inputs have values that are not finite in columns {_not_finite(x)}")
        low, high = np.quantile(x, [RARE, 1 - RARE], axis=0)
        clipped = np.clip(x, low, high)
        spread = clipped.std(axis=0)
        return cls(low, high, clipped.mean(axis=0), np.where(spread > 0, spread, 1.0))

    def scale(self, x: Float) -> Float:
        """Make x [row, input] what the model sees."""
        return np.asarray((np.clip(x, self.low, self.high) - self.mean) / self.spread)

    def outside(self, x: Float) -> Bool:
        """Tell [row] where any input is far from the training range, or is not finite."""
        room = FAR * np.maximum(self.high - self.low, 1e-9)
        inside: Bool = np.all((x >= self.low - room) & (x <= self.high + room), axis=1)
        return ~inside


def _not_finite(x: Float) -> list[int]:
    return [int(i) for i in np.flatnonzero(~np.isfinite(x).all(axis=0))]
