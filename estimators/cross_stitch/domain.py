"""How far what a cell shows, over the last half hour, is from everything that the network was trained on.

Five causal features: temperature, voltage and C-rate over the last minute, C-rate over the last half hour and
how the voltage has moved in it (which tells a flat chemistry from a steep one). The weights keep some hundred
points that cover the training runs (farthest-point sampling); a cell farther from all of them than nearly
every second of the validation runs is in a place that the network does not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from estimators.contract import Bool
    from estimators.cross_stitch.windows import Run

Float32 = NDArray[np.float32]
MINUTE_SECOND, HALF_HOUR_SECOND = 60.0, 1800.0
MEMORIES = 4  # voltage and C-rate, each over both
POINTS, CANDIDATES = 500, 60_000
INSIDE_STARTS, SHORTEST_SECOND = 2, 3600  # besides its first second a run is begun in its middle so often
USUAL, ROOM = 0.995, 1.1  # of the validation seconds are nearer; and a tenth more


@dataclass(frozen=True, slots=True)
class Domain:
    """Where the training runs were."""

    points: Float32  # [point, 5] in units of `spread`
    spread: Float32  # [5]
    radius: float

    def outside(self, features: Float32) -> Bool:
        """Tell [cell] which are farther than `radius` from every point; features [cell, 5]."""
        far: Bool = self.distance(features) > self.radius
        return far

    def distance(self, features: Float32) -> Float32:
        """Measure [cell] to the nearest point."""
        squared = np.zeros((len(features), len(self.points)), dtype=np.float32)
        for x, point in zip((features / self.spread).T, self.points.T, strict=True):
            squared += (x[:, None] - point) ** 2  # a matrix product would be faster, but its bits depend on company
        return np.asarray(np.sqrt(squared.min(axis=1)), dtype=np.float32)


def begin(raw: Float32) -> Float32:
    """Make the memory [cell, 4] of cells whose first sample is `raw` [cell, 3]: voltage as now, no current yet."""
    none = np.zeros(len(raw), dtype=np.float32)
    return np.stack([raw[:, 0], raw[:, 0], none, none], axis=1)


def step(memory: Float32, raw: Float32) -> tuple[Float32, Float32]:
    """Take in one sample: memory after it [cell, 4], features [cell, 5]."""
    taken = np.stack([raw[:, 0], raw[:, 0], raw[:, 1], raw[:, 1]], axis=1)
    pace = np.array([1.0 / MINUTE_SECOND, 1.0 / HALF_HOUR_SECOND] * 2, dtype=np.float32)
    memory = memory + pace * (taken - memory)
    return memory, _features(raw[:, 2], *memory.T)


def learn(training: Sequence[Run], validation: Sequence[Run], seed: int = 0) -> Domain:
    """Cover the training runs with points, and measure on the validation runs how near is usual."""
    random = np.random.default_rng(seed)
    seen, unseen = (np.concatenate([f for r in runs for f in _of_run(r, random)]) for runs in (training, validation))
    spread = np.maximum(seen.std(axis=0), 1e-3).astype(np.float32)
    points = _cover(random.permutation(seen)[:CANDIDATES] / spread)
    domain = Domain(points, spread, 0.0)
    usual = np.quantile(domain.distance(random.permutation(unseen)[:CANDIDATES]), USUAL)
    return Domain(points, spread, float(usual) * ROOM)


def _features(temperature: Float32, volt: Float32, old_volt: Float32, c_rate: Float32, old_c_rate: Float32) -> Float32:
    return np.stack([temperature, volt, c_rate, volt - old_volt, old_c_rate], axis=1)


def _of_run(run: Run, random: np.random.Generator) -> list[Float32]:
    """Give the features [second, 5] of a run begun at its first second and in its middle."""
    latest = max(1, len(run) - SHORTEST_SECOND)
    found = []
    for first in (0, *random.integers(0, latest, INSIDE_STARTS)):
        volt, c_rate = run.voltage_volt[first:], run.c_rate[first:]
        kept = [
            _mean(values, second, begun)
            for values, begun in ((volt, volt[0]), (c_rate, 0.0))
            for second in (MINUTE_SECOND, HALF_HOUR_SECOND)
        ]
        found.append(_features(run.temperature_celsius[first:], *kept).astype(np.float32))
    return found


def _mean(values: Float32, second: float, begun: float) -> Float32:
    """Follow `values` with a memory of so many seconds that began at `begun`."""
    pace = 1.0 / second
    return np.asarray(begun + lfilter([pace], [1.0, pace - 1.0], values.astype(np.float64) - begun))


def _cover(candidates: Float32) -> Float32:
    """Choose points so that each next one is the candidate farthest from all before."""
    chosen = [0]
    nearest = np.full(len(candidates), np.inf)
    while len(chosen) < min(POINTS, len(candidates)):
        nearest = np.minimum(nearest, ((candidates - candidates[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(nearest.argmax()))
    return np.ascontiguousarray(candidates[chosen], dtype=np.float32)
