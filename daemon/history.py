"""What a cell went through: its measured capacities, the use that it had last week, its newest discharge.

Arrays of fixed length, so a cell takes `BYTES_PER_CELL` however long it lives: when capacities are full, every two of
them become one and those to come lie as far apart; a week is seven days, each in the place of the day a week before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daemon.slots import Slots, column, pick
from estimators import check

Float = NDArray[np.float64]
Int = NDArray[np.int64]

POINTS = 512  # capacities
LEVELS = 64  # voltages of a discharge
DAYS = 7
DAY_SECOND = 86_400
MEANS = 3  # temperature; current while charged at constant current, and while discharged
BYTES_PER_CELL = POINTS * 8 + 9 + LEVELS * 4 + 57 + DAYS * (8 + MEANS * 16)


@dataclass(slots=True)
class Measured:
    """Capacities by the number of their cycle; a cycle is what lies between two full charges, if it is deep."""

    cycles: NDArray[np.int32] = column(0, np.int32)  # that are complete
    deep: NDArray[np.bool_] = column(0, np.bool_)  # half of the nominal capacity was taken out since the cell was full
    period: NDArray[np.int32] = column(1, np.int32)  # cycles to a point
    ah: NDArray[np.float32] = column(np.nan, np.float32, POINTS)
    c_rate: NDArray[np.float16] = column(np.nan, np.float16, POINTS)
    celsius: NDArray[np.float16] = column(np.nan, np.float16, POINTS)

    def complete(self, slots: Slots) -> None:
        """Let cells be full."""
        self.cycles[slots] += self.deep[slots]
        self.deep[slots] = False

    def put(self, slots: Slots, ah: Float, c_rate: Float, celsius: Float) -> None:
        """Keep a capacity of the present cycle of some cells; of several of one point the first."""
        self.deep[slots] = True
        self._thin(slots[self.cycles[slots] // self.period[slots] >= POINTS])
        place = self.cycles[slots] // self.period[slots]
        free = np.isnan(self.ah[slots, place])
        at, place = slots[free], place[free]
        self.ah[at, place], self.c_rate[at, place], self.celsius[at, place] = ah[free], c_rate[free], celsius[free]

    def _thin(self, slots: Slots) -> None:
        """Make one point of every two until the present cycle has room."""
        while len(slots):
            first = np.isfinite(self.ah[slots, 0::2])
            for name in ("ah", "c_rate", "celsius"):
                points = getattr(self, name)
                points[slots, : POINTS // 2] = np.where(first, points[slots, 0::2], points[slots, 1::2])
                points[slots, POINTS // 2 :] = np.nan
            self.period[slots] *= 2
            slots = slots[self.cycles[slots] // self.period[slots] >= POINTS]

    def told(self, slot: int) -> check.Capacities:
        """Lay one cell's out."""
        point = np.flatnonzero(np.isfinite(self.ah[slot]))
        cycle = (point * int(self.period[slot]) + 1).astype(np.float64)
        ah, c_rate, celsius = (
            column[slot, point].astype(np.float64) for column in (self.ah, self.c_rate, self.celsius)
        )
        return check.Capacities(cycle, ah, c_rate, celsius, int(self.cycles[slot]))


@dataclass(slots=True)
class Discharged:
    """The newest discharge of each cell, and what tells whether it measures a capacity; a gap makes it fresh."""

    out: Float = column(0.0)  # [A s] below the fullest that the cell was
    deepest: Float = column(0.0)  # [A s] the most of it since the charge before
    level: NDArray[np.int16] = column(0, np.int16)  # voltages that it fell to since then
    curve: NDArray[np.float32] = column(np.nan, np.float32, LEVELS)  # [A s] by then
    topped: NDArray[np.int16] = column(0, np.int16)  # seconds in a row at the limit, with little current
    full: NDArray[np.bool_] = column(0, np.bool_)  # what is out counts from a full charge
    since: Int = column(0, np.int64)  # the first second behind that charge
    second: NDArray[np.int32] = column(0, np.int32)  # of discharge since then, and sums over them:
    ampere: Float = column(0.0)
    square: Float = column(0.0)  # of the current
    celsius: Float = column(0.0)

    def told(self, slot: int, facts: check.Facts) -> check.Discharge | None:
        """Lay one cell's out; None where its voltage fell nowhere."""
        if not self.level[slot]:
            return None
        share = np.arange(1, LEVELS + 1) / LEVELS
        volt = facts.voltage_max_volt - share * (facts.voltage_max_volt - facts.voltage_min_volt)
        return check.Discharge(volt, self.curve[slot] / 3600.0, float(self.deepest[slot]) / 3600.0)


@dataclass(slots=True)
class Week:
    """Means of seven days: seconds and sums of each."""

    day: Int = column(-1, np.int64, DAYS)  # which one it is, since 1970
    second: Float = column(0.0, np.float64, DAYS, MEANS)
    sum: Float = column(0.0, np.float64, DAYS, MEANS)

    def add(self, slots: Slots, second: Int, values: Float, counts: NDArray[np.bool_]) -> None:
        """Add a second of some cells: values [row, mean], those that count."""
        day = second // DAY_SECOND
        place = day % DAYS
        new = self.day[slots, place] != day
        if new.any():
            at, old = slots[new], place[new]
            self.day[at, old], self.second[at, old], self.sum[at, old] = day[new], 0.0, 0.0
        self.second[slots, place] += counts
        self.sum[slots, place] += np.where(counts, values, 0.0)

    def told(self, slot: int, second: int, nominal_capacity_ah: float) -> check.Use:
        """Give how a cell was used in the seven days up to a second."""
        age = second // DAY_SECOND - self.day[slot]
        days = (age >= 0) & (age < DAYS)
        seconds, sums = (a[slot][days].sum(axis=0) for a in (self.second, self.sum))
        celsius, charge, discharge = np.where(seconds > 0, sums / np.maximum(seconds, 1.0), np.nan).tolist()
        return check.Use(celsius, charge / nominal_capacity_ah, discharge / nominal_capacity_ah)


class Past(NamedTuple):
    """All of it, for some cells."""

    measured: Measured
    discharged: Discharged
    week: Week

    def pick(self, slots: Slots) -> Past:
        """Copy some cells' past: [slot of the copy] is [its place in `slots`]."""
        return Past(pick(self.measured, slots), pick(self.discharged, slots), pick(self.week, slots))

    def told(self, slot: int, second: int, facts: check.Facts) -> check.History:
        """Lay one cell's out, as it was at a second."""
        return check.History(
            self.measured.told(slot),
            self.week.told(slot, second, facts.nominal_capacity_ah),
            self.discharged.told(slot, facts),
        )
