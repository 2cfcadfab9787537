"""Pulse voltages at SOC levels that were never measured, and models that know how far to trust them.

Voltages are [cell, level, point]. In between, each cell's own curve over the SOC is followed by a monotone cubic.
Beyond, nobody knows the curve: four plain continuations are made (a line through all levels, through the last
three, through the last two; and one of U1 alone, which leaves the differences, that is the resistances, as they
were), and the mean of the lines. Each is tried on the levels that are known, and what it errs there (`Trust`) goes
into the regression: the expected error of y over such mistakes is least squares with a penalty (`forgiving`), which
takes the weight off what could not be continued. One error is shared by all cells of a level, so the penalty is on
its second moment about zero, not on its spread. Such a regression is fitted for each level by itself (`forgiving`)
and for each level with all others beside it (`forgiving_nearby`). No label of a cell to be tested is seen anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from scipy.interpolate import PchipInterpolator

from estimators.pulse.features import absolute, differences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from estimators.contract import Float

PENALTY = 0.01  # of standardised inputs, beside that of the mistakes
TOLD_PENALTY = 0.003  # where the SOC is an input
REACH = 15.0  # percent of SOC over which a level counts for its neighbours by 1/e less
BETWEEN_ORDER = 2.0  # an error in between grows with the square of the levels' distance


class Generator(Protocol):
    """Voltages at other levels: known [cell, level, point] at level [level] to [cell, wanted level, point]."""

    def __call__(self, known: Float, level: Float, wanted: Float) -> Float:
        """Make them."""
        ...


def straight(known: Float, level: Float, wanted: Float) -> Float:
    """Follow each cell's straight line between its levels (plain)."""
    right = np.clip(np.searchsorted(level, wanted), 1, len(level) - 1)
    share = (wanted - level[right - 1]) / (level[right] - level[right - 1])
    return np.asarray(known[:, right - 1] + share[None, :, None] * (known[:, right] - known[:, right - 1]))


def monotone(known: Float, level: Float, wanted: Float) -> Float:
    """Follow each cell's own curve between its levels."""
    return np.asarray(PchipInterpolator(level, known, axis=1)(wanted))


def continued(known: Float, level: Float, wanted: Float, last: int) -> Float:
    """Continue each cell by a line through its `last` levels; 0: through all."""
    level, known = level[-last:], known[:, -last:]
    centre = level - level.mean()
    slope = np.tensordot(known, centre, (1, 0)) / (centre**2).sum()
    return np.asarray(known.mean(axis=1)[:, None] + (wanted - level.mean())[None, :, None] * slope[:, None])


def held(known: Float, level: Float, wanted: Float) -> Float:
    """Continue U1 by its last line, and hold the differences."""
    made = np.repeat(differences(known)[:, -1:], len(wanted), axis=1)
    made[..., 0] = continued(known[..., :1], level, wanted, 2)[..., 0]
    return absolute(made)


def middling(known: Float, level: Float, wanted: Float) -> Float:
    """Continue by the mean of the three lines."""
    return np.asarray(np.mean([continued(known, level, wanted, last) for last in (0, 2, 3)], axis=0))


BEYOND: dict[str, Generator] = {
    "line of all": lambda known, level, wanted: continued(known, level, wanted, 0),
    "line of three": lambda known, level, wanted: continued(known, level, wanted, 3),
    "line of two": lambda known, level, wanted: continued(known, level, wanted, 2),
    "held": held,
}


@dataclass(frozen=True, slots=True)
class Trust:
    """Second moment [input, input] of a generator's mistakes in U1 and U_k - U1."""

    moment: Float

    @classmethod
    def beyond(cls, generator: Generator, known: Float, level: Float) -> Trust:
        """Continue the first levels over the last ones, which are known; per step beyond."""
        cut = (len(level) + 1) // 2
        error = differences(generator(known[:, :cut], level[:cut], level[cut:]))
        error -= differences(known[:, cut:])
        step = np.arange(1, len(level) - cut + 1)
        return cls(_moment(error / step[None, :, None]))

    @classmethod
    def between(cls, generator: Generator, known: Float, level: Float) -> Trust:
        """Leave out every other level, which doubles the distance."""
        error = differences(generator(known[:, ::2], level[::2], level[1:-1:2]))
        error -= differences(known[:, 1:-1:2])
        return cls(_moment(error) / 2.0 ** (2.0 * BETWEEN_ORDER))


def _moment(error: Float) -> Float:
    flat = error.reshape(-1, error.shape[-1])
    return np.asarray(flat.T @ flat / len(flat))


class Model(NamedTuple):
    """A line for one level."""

    mean: Float  # [input]
    weight: Float  # [input]
    bias: float
    std: float  # of its errors, the mistakes of what it was fitted to counted in

    @classmethod
    def mean_of(cls, models: Sequence[Model]) -> Model:
        """Join models into the one that says their mean; its deviation is theirs, for they err alike."""
        weight = np.mean([m.weight for m in models], axis=0)
        bias = np.mean([m.bias - m.mean @ m.weight for m in models])
        return cls(np.zeros_like(weight), weight, float(bias), float(np.mean([m.std for m in models])))

    def predict(self, voltage_volt: Float) -> Float:
        """Give y [row] of voltages [row, point]."""
        return np.asarray((differences(voltage_volt) - self.mean) @ self.weight + self.bias)


def forgiving(made: Float, y: Float, moment: Float) -> Model:
    """Fit y [cell] to voltages made for one level [cell, point] whose mistakes have this second moment."""
    return forgiving_nearby(made[:, None], y, moment[None], np.zeros(1))


def forgiving_nearby(volt: Float, y: Float, moment: Float, away: Float) -> Model:
    """Fit y [cell] for one level to voltages of many [cell, level, point], measured ones and made ones.

    moment [level, input, input] is that of each level's mistakes, 0 where it was measured; away [level] is how far a
    level is from the one asked (percent): the SOC is an input, and near levels count more; all 0: the SOC is not told.
    Minimises the mean of (y - w.x)^2 over x + mistake: ridge regression with the mean of w' M w beside its own penalty.
    """
    near = np.exp(-np.abs(away) / REACH)
    share = np.tile(near, len(y)) / (near.sum() * len(y))
    soc = np.broadcast_to(away[None, :, None] / REACH, (*volt.shape[:2], 1))  # 0 at the level that is asked
    x = np.concatenate([differences(volt), soc], axis=-1).reshape(len(share), -1)
    target = np.repeat(y, len(away))
    mean, bias = share @ x, float(share @ target)
    spread = np.sqrt(share @ (x - mean) ** 2) + 1e-6
    scaled = (x - mean) / spread
    mistakes = np.zeros((x.shape[1], x.shape[1]))
    mistakes[:-1, :-1] = np.tensordot(near / near.sum(), moment, 1)
    mistakes /= np.outer(spread, spread)
    own = (TOLD_PENALTY if away.any() else PENALTY) * np.eye(x.shape[1])
    weight = np.linalg.solve((scaled.T * share) @ scaled + mistakes + own, scaled.T @ (share * (target - bias)))
    rest = target - bias - scaled @ weight
    std = float(np.sqrt(share @ rest**2 + weight @ mistakes @ weight))
    bias -= float(mean[-1] * weight[-1] / spread[-1])
    return Model(mean[:-1], (weight / spread)[:-1], bias, std)


def plain(made: Float, y: Float) -> Model:
    """Believe what was made (plain): the same regression without any mistake."""
    return forgiving(made, y, np.zeros((made.shape[1], made.shape[1])))
