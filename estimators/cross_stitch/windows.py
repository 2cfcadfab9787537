"""Training data as an endless stream of windows: many rows side by side, each walking through a run.

A row starts at a random place of a random run (`inside` of the rows in the middle, the others at the
run's first second) and walks on, window by window, with its recurrent state carried; where the run ends,
the row starts anew elsewhere. The very first walk of each row is cut within an hour, so that the hours of the
rows do not all end in one window. Each start draws its own faults of the sensors and its own wrong SOH_0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
HOUR_SECOND = 3600
BRIEF_SECOND = 600


@dataclass(frozen=True, slots=True)
class Run:
    """One cell over one stretch of time, one row a second."""

    name: str
    voltage_volt: Array  # [second]
    c_rate: Array  # [second] current over nominal capacity, positive on charge
    temperature_celsius: Array  # [second]
    soc: Array  # [second] the target, in the reference of the weights
    soh: Array  # [second]
    weight: float = 1.0  # how often it is drawn, relative to its length

    def __len__(self) -> int:
        """Count the seconds."""
        return len(self.soc)

    def inputs(self) -> Array:
        """Stack what the network sees: [second, 3]."""
        return np.stack([self.voltage_volt, self.c_rate, self.temperature_celsius], axis=1)


@dataclass(frozen=True, slots=True)
class Faults:
    """Standard deviations of what each start of a row draws for its sensors and its SOH_0."""

    c_rate_offset: float = 0.05
    c_rate_gain: float = 0.01
    voltage_offset_volt: float = 0.004
    voltage_per_c_rate_volt: float = 0.012  # a resistance more or less: no cell is the one that was measured
    voltage_noise_volt: float = 0.001
    temperature_offset_celsius: float = 0.7
    soh: float = 0.03


@dataclass(frozen=True, slots=True)
class Window:
    """`seconds` of `rows` rows; where a run ended inside, `mask` is 0 and the inputs repeat the last."""

    raw: Array  # [second, row, 3] volt, C-rate, degree Celsius
    soc: Array  # [second, row]
    mask: Array  # [second, row]
    soh: Array  # [row] at the window's last second
    initial_soh: Array  # [row]
    age_second: NDArray[np.int64]  # [row] seconds since the row's start, at the window's first second

    @property
    def fresh(self) -> NDArray[np.bool_]:
        """Tell which rows start with this window."""
        fresh: NDArray[np.bool_] = self.age_second == 0
        return fresh


class Stream:
    """Endless windows over runs; the same seed gives the same windows."""

    def __init__(
        self,
        runs: list[Run],
        *,
        rows: int,
        seconds: int,
        seed: int,
        inside: float,
        faults: Faults,
        brief: float = 0.0,
    ) -> None:
        self._inputs = [r.inputs() for r in runs]
        self._runs = runs
        self._share = np.array([len(r) * r.weight for r in runs], dtype=np.float64)
        self._share /= self._share.sum()
        self._rows, self._seconds, self._faults = rows, seconds, faults
        self._inside, self._brief = inside, brief
        self._random = np.random.default_rng(seed)
        self._run = np.zeros(rows, dtype=np.int64)
        self._at = np.full(rows, np.iinfo(np.int64).max)  # next second of the row's run; past its end: start anew
        self._age = np.zeros(rows, dtype=np.int64)
        self._left = np.zeros(rows, dtype=np.int64)  # windows until the row starts anew, wherever it is
        self._first = True
        self._offset = np.zeros((rows, 3), dtype=np.float32)
        self._gain = np.ones(rows, dtype=np.float32)
        self._resistance = np.zeros(rows, dtype=np.float32)
        self._initial_soh = np.zeros(rows, dtype=np.float32)

    def next(self) -> Window:
        """Walk every row on by one window."""
        n, rows = self._seconds, self._rows
        raw = np.empty((n, rows, 3), dtype=np.float32)
        soc = np.empty((n, rows), dtype=np.float32)
        mask = np.zeros((n, rows), dtype=np.float32)
        soh = np.empty(rows, dtype=np.float32)
        for row in range(rows):
            if self._at[row] >= len(self._runs[self._run[row]]) or self._left[row] == 0:
                self._start(row)
            run, at = self._runs[self._run[row]], self._at[row]
            index = np.minimum(np.arange(at, at + n), len(run) - 1)
            raw[:, row], soc[:, row], soh[row] = self._inputs[self._run[row]][index], run.soc[index], run.soh[index[-1]]
            mask[: len(run) - at, row] = 1.0
        raw[..., 0] += self._resistance * raw[..., 1]
        raw += self._offset
        raw[..., 1] *= self._gain
        raw[..., 0] += self._random.normal(0.0, self._faults.voltage_noise_volt, (n, rows)).astype(np.float32)
        window = Window(raw, soc, mask, soh, self._initial_soh.copy(), self._age.copy())
        self._at += n
        self._age += n
        self._left -= 1
        self._first = False
        return window

    def _start(self, row: int) -> None:
        """Put a row at a new place with new faults."""
        draw, faults = self._random, self._faults
        number = int(draw.choice(len(self._runs), p=self._share))
        run = self._runs[number]
        self._run[row], self._age[row] = number, 0
        self._at[row] = draw.integers(0, max(1, len(run) - 2 * self._seconds)) if draw.random() < self._inside else 0
        brief = not self._first and draw.random() < self._brief
        self._left[row] = BRIEF_SECOND // self._seconds if brief else len(run)
        if self._first:  # or all rows would reach their hours together
            self._left[row] = draw.integers(1, max(2, HOUR_SECOND // self._seconds + 1))
        spread = (faults.voltage_offset_volt, faults.c_rate_offset, faults.temperature_offset_celsius)
        self._offset[row] = draw.normal(0.0, spread)
        self._resistance[row] = draw.normal(0.0, faults.voltage_per_c_rate_volt)
        self._gain[row] = draw.normal(1.0, faults.c_rate_gain)
        self._initial_soh[row] = run.soh[min(int(self._at[row]), len(run) - 1)] + draw.normal(0.0, faults.soh)
