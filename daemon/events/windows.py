"""Charges at constant current that pass a window of voltages from below it to above: what Q(V) is read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daemon.events.charging import CURRENT, VOLTAGE, Stages
from daemon.events.wave import NO_ROWS, Float, Int, Wave
from daemon.slots import Slots, column

ABOVE, BELOW, INSIDE, PASSED = 0, 1, 2, 3


class Passed(NamedTuple):
    """Charges that passed the window in a second; arrays are [charge]."""

    row: Slots  # of the wave
    begin: Int
    end: Int
    charge_ah: Float


NONE_PASSED = Passed(NO_ROWS, np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


@dataclass(slots=True)
class Windows:
    """Where each charge stands to the window."""

    stands: NDArray[np.int8] = column(ABOVE, np.int8)
    charge: Int = column(-1, np.int64)  # which one, by its beginning
    begin: Int = column(0, np.int64)  # when it came into the window
    taken: Float = column(0.0)  # [A s] since

    def advance(self, wave: Wave, stages: Stages, low_volt: Float, high_volt: Float) -> Passed:
        """Move charges at constant current, or such that may become it, on by a second; limits are by slot."""
        rows = np.flatnonzero((stages.count[wave.slot] > 0) & (stages.stage[wave.slot] != VOLTAGE))
        if not len(rows):
            return NONE_PASSED
        slots = wave.slot[rows]
        volt, low, high = stages.volt[slots], low_volt[slots], high_volt[slots]
        new = self.charge[slots] != stages.begin[slots]
        self.charge[slots] = stages.begin[slots]
        stands = np.where(new, np.where(volt < low, BELOW, ABOVE), self.stands[slots])
        enters = (stands == BELOW) & (volt >= low)
        self.begin[slots] = np.where(enters, wave.second[rows], self.begin[slots])
        taken = np.where(enters, 0.0, self.taken[slots]) + wave.current_ampere[rows]
        self.taken[slots] = taken
        stands = np.where(enters, INSIDE, stands)
        passes = (stands == INSIDE) & (volt >= high) & (stages.stage[slots] == CURRENT)
        self.stands[slots] = np.where(passes, PASSED, stands)
        if not passes.any():
            return NONE_PASSED
        passed = np.flatnonzero(passes)
        at = slots[passed]
        return Passed(rows[passed], self.begin[at], wave.second[rows[passed]] + 1, taken[passed] / 3600.0)
