"""The chemical process: how a cell's 42 in-cycle features go on, and its capacity with them.

Three models, one after the other, as in Tao et al. (2025), with their slips mended:

1. `Process`, one for each source temperature: initial cut-off voltages and cycle to features. There are as many
   voltages as some ten cells, so a network would learn them by heart: features are a curve over cycles, and a
   ridge of the voltages moves and tilts it for each cell.
2. `carried`: to a cell at another temperature by acceleration factors, signed and shrunk (`transfer.shared`), one
   for each feature and source, from the features of its first cycles. Voltages are compared after their mean
   difference between temperatures is taken off.
3. `Trajectory`: predicted features to capacity. It learns from features that model 1 predicted for cells that it had
   not seen, since such are what it is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from estimators.early_life.transfer import STRAYING, arrhenius_shares, shared

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from estimators.contract import Bool, Float

PENALTIES = np.logspace(-2, 6, 17)
LEAST = 1e-9


class Cells(NamedTuple):
    """Cells of one temperature, looked at now and then."""

    temperature_celsius: float
    cutoff_volt: Float  # [cell, 9]
    cycle: Float  # [look] the same for all, from 0
    features: Float  # [cell, look, 42]
    capacity_ah: Float  # [cell, look]

    def some(self, which: Bool) -> Cells:
        """Give the cells where `which` [cell]."""
        return self._replace(
            cutoff_volt=self.cutoff_volt[which],
            features=self.features[which],
            capacity_ah=self.capacity_ah[which],
        )


@dataclass(frozen=True, slots=True)
class Ridge:
    """y = (x - mean) / spread w + b, [row, output]."""

    mean: Float
    spread: Float
    weight: Float  # [input, output]
    bias: Float  # [output]

    def predict(self, x: Float) -> Float:
        """Give y [row, output] of x [row, input]."""
        return np.asarray((x - self.mean) / self.spread @ self.weight + self.bias)


@dataclass(frozen=True, slots=True)
class Process:
    """Model 1."""

    temperature_celsius: float
    cycle: Float  # [look]
    curve: Float  # [look, 42] of the middle of the cells
    spread: Float  # [42] between cells, in the rate at first
    cutoff_volt: Float  # [9] of the middle of the cells
    ridge: Ridge

    def predict(self, cutoff_volt: Float) -> Float:
        """Give features [look, 42] of a cell with these cut-off voltages [9]."""
        return np.asarray(self.curve + self.ridge.predict(_inputs(cutoff_volt - self.cutoff_volt, self.cycle)))


@dataclass(frozen=True, slots=True)
class Trajectory:
    """Model 3: features' change since the first look to the share of the first capacity that is lost."""

    used: tuple[int, ...]  # features
    ridge: Ridge

    def predict(self, features: Float) -> Float:
        """Give the loss [look] for features [look, 42]."""
        return np.asarray(self.ridge.predict((features - features[0])[:, self.used])[:, 0])


def fit_process(cells: Cells) -> Process:
    """Learn model 1; its penalty is the one that serves cells left out best. Raises ValueError for under 3 cells."""
    count, looks, width = cells.features.shape
    if count < 3:
        raise ValueError(f"{count} cells are too few to tell what their voltages mean")
    middle = cells.cutoff_volt.mean(axis=0)
    curve = np.median(cells.features, axis=0)
    x = np.concatenate([_inputs(u - middle, cells.cycle) for u in cells.cutoff_volt])
    y = (cells.features - curve).reshape(count * looks, width)
    early = np.polyfit(cells.cycle, (cells.features - cells.features[:, :1]).transpose(1, 0, 2).reshape(looks, -1), 1)
    spread = early[0].reshape(count, width).std(axis=0)
    ridge = fit_ridge(x, y, np.repeat(np.arange(count), looks))
    return Process(cells.temperature_celsius, cells.cycle, curve, spread, middle, ridge)


def fit_trajectory(sources: Sequence[Cells], used: Sequence[int]) -> Trajectory:
    """Learn model 3 of cells whose features model 1 predicted without having seen them.

    It will be asked at temperatures between: its penalty is the one that serves a source left out whole best.
    """
    xs, ys = [], []
    for cells in sources:
        count = len(cells.features)
        said = [fit_process(cells.some(np.arange(count) != i)).predict(u) for i, u in enumerate(cells.cutoff_volt)]
        xs.append(np.concatenate([(f - f[0])[:, list(used)] for f in said]))
        ys.append((1.0 - cells.capacity_ah / cells.capacity_ah[:, :1]).reshape(-1, 1))
    source = np.repeat(np.arange(len(xs)), [len(x) for x in xs])
    return Trajectory(tuple(used), fit_ridge(np.concatenate(xs), np.concatenate(ys), source))


def carried(early: Float, cutoff_volt: Float, temperature_celsius: float, sources: Sequence[Process]) -> Float:
    """Give features [look, 42] of a cell at another temperature, of which early [known look, 42] are measured.

    cutoff_volt [9] must already be shifted to the sources' mean.
    """
    known, cycle = len(early), sources[0].cycle
    said = np.array([s.predict(s.cutoff_volt + cutoff_volt) for s in sources])
    change = said - said[:, :1]
    prior = arrhenius_shares(temperature_celsius, [s.temperature_celsius for s in sources])
    rates = np.array([_rates(c[:known], cycle[:known]) for c in change])
    own = _rates(early, cycle[:known])
    later = change[:, known:] - change[:, known - 1 : known]
    going_on = np.empty((len(cycle) - known, early.shape[1]))
    for i in range(early.shape[1]):
        variance = np.mean([(STRAYING * s.spread[i]) ** 2 for s in sources])
        share, _ = shared(prior, rates[:, i], own[i], float(variance) + LEAST**2)
        going_on[:, i] = share @ later[:, :, i]
    return np.concatenate([early, early[-3:].mean(axis=0) + going_on])


def foresee_capacity(features: Float, early_ah: Float, trajectory: Trajectory) -> Float:
    """Give capacity [look] after the known early_ah [known look], from features [look, 42] of all looks."""
    lost = trajectory.predict(features)
    known = len(early_ah)
    return np.asarray(early_ah[-3:].mean() - early_ah[0] * (lost[known:] - lost[known - 3 : known].mean()))


def fit_ridge(x: Float, y: Float, cell: NDArray[Any]) -> Ridge:
    """Fit y [row, output] on x [row, input]; the penalty is the one with the least error on cells left out."""
    mean, spread = x.mean(axis=0), np.maximum(x.std(axis=0), LEAST)
    z, bias, scale = (x - mean) / spread, y.mean(axis=0), np.maximum(y.std(axis=0), LEAST)
    folds = [np.isin(cell, part) for part in np.array_split(np.unique(cell), min(8, len(np.unique(cell))))]

    def weigh(rows: Bool) -> Callable[[float], Float]:
        value, vector = np.linalg.eigh(z[rows].T @ z[rows])
        turned = vector.T @ (z[rows].T @ (y[rows] - bias))
        return lambda penalty: np.asarray(vector @ (turned / (np.maximum(value, 0.0) + penalty)[:, None]))

    error = np.zeros(len(PENALTIES))
    for held in folds:
        weight = weigh(~held)
        for k, penalty in enumerate(PENALTIES):
            error[k] += (((z[held] @ weight(penalty) - (y[held] - bias)) / scale) ** 2).sum()
    return Ridge(mean, spread, weigh(np.ones(len(x), bool))(float(PENALTIES[np.argmin(error)])), bias)


def _inputs(shifted_volt: Float, cycle: Float) -> Float:
    """Make what moves and what tilts a curve, [look, 18]."""
    moved = np.broadcast_to(shifted_volt, (len(cycle), len(shifted_volt)))
    return np.concatenate([moved, moved * cycle[:, None] / 1000.0], axis=1)


def _rates(features: Float, cycle: Float) -> Float:
    """Give the slope of each feature, [42] a cycle."""
    return np.asarray(np.polyfit(cycle, features, 1)[0])
