"""Equivalent full cycles: the charge that went in and out, over twice the nominal capacity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daemon.events.wave import NO_TURNS, Bool, Float, Int, Turns, Wave
from daemon.slots import column

HOUR_SECOND = 3600.0


@dataclass(slots=True)
class Cycles:
    """Charge moved by each cell since it was first heard; what flows at rest is a sensor's noise, and counts not."""

    throughput_ah: Float = column(0.0)
    begin: Int = column(-1, np.int64)  # where the present cycle began

    def advance(self, wave: Wave, rests: Bool) -> Turns:
        """Count a second; give the cells that complete a cycle in it."""
        before = self.throughput_ah[wave.slot]
        after = before + np.where(rests, 0.0, np.abs(wave.current_ampere) / HOUR_SECOND)
        self.throughput_ah[wave.slot] = after
        begin, full = self.begin[wave.slot], 2.0 * wave.nominal_capacity_ah
        complete = after // full > before // full
        end = wave.second + 1
        self.begin[wave.slot] = np.where(complete, end, np.where(begin < 0, wave.second, begin))
        if not complete.any():
            return NO_TURNS
        row = np.flatnonzero(complete)
        none = np.full(len(row), -1, np.int8)
        return Turns(row, np.zeros(len(row), np.int8), begin[row], end[row], none, end[row])
