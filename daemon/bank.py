"""One estimator with the states of all its cells, by slot.

Rows are stepped in chunks of a few fixed shapes, padded with copies of a row: what an estimator computes for a
row is the same bits in any chunk of 16 rows and more (DESIGN, "Time"), below that it is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from daemon.models import label
from estimators.contract import Estimate, Estimator, Float, Second, Start, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.slots import Slots

SHAPES = (16, 64, 256, 1024)


def chunk(rows: int) -> tuple[int, int]:
    """Say how many of `rows` to step next, and in which shape: little padding, few calls.

    >>> chunk(1), chunk(300), chunk(700), chunk(5000)
    ((1, 16), (256, 256), (700, 1024), (1024, 1024))
    """
    fits = next((s for s in SHAPES if s >= rows), SHAPES[-1])
    if 2 * rows <= fits and rows > SHAPES[0]:
        fits = max(s for s in SHAPES if s <= rows)
    return min(rows, fits), fits


@dataclass(slots=True, eq=False)
class Bank:
    """An estimator, and the state of each of its cells."""

    estimator: Estimator
    label: str = field(init=False)
    state: State = field(init=False)  # each [slot, ...]

    def __post_init__(self) -> None:
        self.label = label(self.estimator)
        self.state = {n: a[:0] for n, a in self.estimator.init(Start.unknown(1, 1.0)).items()}

    def grow(self, slots: int) -> None:
        """Make room for so many slots."""
        for name, old in self.state.items():
            new = np.zeros((slots, *old.shape[1:]), old.dtype)
            new[: len(old)] = old
            self.state[name] = new

    def start(self, slots: Slots, start: Start) -> None:
        """Make the state of some cells anew."""
        for pick, count in _chunks(len(slots)):
            for name, fresh in self.estimator.init(
                Start(start.soc[pick], start.soh[pick], start.soh_std[pick])
            ).items():
                self.state[name][slots[pick[:count]]] = fresh[:count]

    def calibrate(self, slots: Slots, soh: Float, soh_std: Float) -> None:
        """Take a SOH that was found out elsewhere into some cells, each named once."""
        for pick, count in _chunks(len(slots)):
            rows = slots[pick]
            state = {name: a[rows] for name, a in self.state.items()}
            for name, a in self.estimator.calibrate(state, soh[pick], soh_std[pick]).items():
                self.state[name][rows[:count]] = a[:count]

    def step(self, slots: Slots, second: Second) -> Estimate:
        """Advance some cells, each named once, by one second."""
        parts = [self._step_chunk(slots, second, pick, count) for pick, count in _chunks(len(slots))]
        if len(parts) == 1:
            return parts[0]
        return Estimate(*(np.concatenate([getattr(p, n) for p in parts]) for n in Estimate.__slots__))

    def _step_chunk(self, slots: Slots, second: Second, pick: Slots, count: int) -> Estimate:
        rows = slots[pick]
        after, estimate = self.estimator.step(
            {name: a[rows] for name, a in self.state.items()},
            Second(second.voltage_volt[pick], second.current_ampere[pick], second.temperature_celsius[pick]),
        )
        for name, a in after.items():
            self.state[name][rows[:count]] = a[:count]
        return Estimate(*(getattr(estimate, n)[:count] for n in Estimate.__slots__))


def _chunks(rows: int) -> Iterator[tuple[Slots, int]]:
    """Part `rows` into chunks: the indices of each, padded with copies of its first, and how many are real."""
    at = 0
    while at < rows:
        count, shape = chunk(rows - at)
        pick = np.full(shape, at)
        pick[:count] = np.arange(at, at + count)
        yield pick, count
        at += count
