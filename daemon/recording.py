"""What a phase looked like, kept for each cell in arrays of fixed length: points of voltage, charge and temperature.

A recording begins at the phase's first second, although a phase is recognised only later: the last 64 seconds of
each cell are kept beside it, and are read first. When a recording is full, every second point is dropped and the
points to come lie as far apart; charge is summed second by second, so that it stays exact. Seconds in which the
source said nothing add their charge, but no point. A cell takes `BYTES_PER_CELL` whatever happens.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daemon.slots import Slots, column
from estimators.check import Recording

if TYPE_CHECKING:
    from daemon.events.wave import Wave

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]


class Signal(enum.IntEnum):
    """What is recorded: the newest phase of each."""

    CONSTANT_CURRENT = 0
    CONSTANT_VOLTAGE = 1
    REST = 2
    PULSES = 3


ROOM = (512, 128, 256, 384)  # points by signal
FIRST = tuple(sum(ROOM[:signal]) for signal in Signal)  # each signal's first point
POINTS = sum(ROOM)
SIGNALS = len(Signal)
LOOK_BACK_SECOND = 64
CLOSER = 0.9  # of the spacing that thinning left: a source that is a little early makes a point too
BYTES_PER_CELL = POINTS * 16 + SIGNALS * 50 + LOOK_BACK_SECOND * 21


@dataclass(slots=True)
class LookBack:
    """The newest seconds of each cell, each at its number modulo `LOOK_BACK_SECOND`."""

    second: Int = column(-1, np.int64, LOOK_BACK_SECOND)
    volt: NDArray[np.float32] = column(0, np.float32, LOOK_BACK_SECOND)
    ampere: NDArray[np.float32] = column(0, np.float32, LOOK_BACK_SECOND)
    celsius: NDArray[np.float32] = column(0, np.float32, LOOK_BACK_SECOND)
    held: Bool = column(0, np.bool_, LOOK_BACK_SECOND)

    def note(self, wave: Wave) -> None:
        """Keep a second."""
        place = wave.second % LOOK_BACK_SECOND
        self.second[wave.slot, place] = wave.second
        self.volt[wave.slot, place] = wave.voltage_volt
        self.ampere[wave.slot, place] = wave.current_ampere
        self.celsius[wave.slot, place] = wave.temperature_celsius
        self.held[wave.slot, place] = wave.held


@dataclass(slots=True)
class Recordings:
    """The newest recording of each signal of each cell."""

    second: NDArray[np.int32] = column(0, np.int32, POINTS)  # since the beginning
    volt: NDArray[np.float32] = column(0, np.float32, POINTS)
    charge: NDArray[np.float32] = column(0, np.float32, POINTS)  # [A s] up to that second
    celsius: NDArray[np.float32] = column(0, np.float32, POINTS)
    count: NDArray[np.int32] = column(0, np.int32, SIGNALS)  # points
    period: NDArray[np.int32] = column(1, np.int32, SIGNALS)  # [s] between points to come
    due: NDArray[np.int32] = column(0, np.int32, SIGNALS)  # [s] the next one
    begin: Int = column(-1, np.int64, SIGNALS)  # -1: nothing is recorded
    end: Int = column(-1, np.int64, SIGNALS)
    taken: Float = column(0.0, np.float64, SIGNALS)  # [A s] so far
    last_ampere: Float = column(0.0, np.float64, SIGNALS)  # in the last point's own second
    sampled: NDArray[np.int32] = column(0, np.int32, SIGNALS)  # seconds in which the source said something
    runs: Bool = column(0, np.bool_, SIGNALS)
    interrupted: Bool = column(0, np.bool_, SIGNALS)

    def start(self, signal: Signal, slots: Slots, begin: Int, look: LookBack, now: Int) -> None:
        """Begin recordings at past seconds, as far as they are still known."""
        if not len(slots):
            return
        self.forget(signal, slots)
        self.begin[slots, signal], self.runs[slots, signal] = begin, True
        ages = np.minimum(now - begin, LOOK_BACK_SECOND - 1)
        for age in range(int(ages.max()), -1, -1):
            rows = np.flatnonzero(ages >= age)
            self.from_look_back(signal, slots[rows], now[rows] - age, look)

    def from_look_back(self, signal: Signal, slots: Slots, second: Int, look: LookBack) -> None:
        """Add a past second, where it is still known."""
        place = second % LOOK_BACK_SECOND
        known = look.second[slots, place] == second
        slots, place, second = slots[known], place[known], second[known]
        self.add(
            signal,
            slots,
            second,
            look.volt[slots, place],
            look.ampere[slots, place],
            look.celsius[slots, place],
            look.held[slots, place],
        )

    def forget(self, signal: Signal, slots: Slots) -> None:
        """Record nothing any more, and know nothing."""
        if not len(slots):
            return
        self.count[slots, signal] = 0
        self.period[slots, signal], self.due[slots, signal] = 1, 0
        self.begin[slots, signal] = self.end[slots, signal] = -1
        self.taken[slots, signal] = 0.0
        self.sampled[slots, signal] = 0
        self.runs[slots, signal] = self.interrupted[slots, signal] = False

    def add(
        self,
        signal: Signal,
        slots: Slots,
        second: Int,
        volt: NDArray[Any],
        ampere: NDArray[Any],
        celsius: NDArray[Any],
        held: Bool,
    ) -> None:
        """Add a second to running recordings, no slot twice."""
        since = (second - self.begin[slots, signal]).astype(np.int32)
        self.sampled[slots, signal] += ~held
        new = ~held & (since >= self.due[slots, signal]) & (self.count[slots, signal] < ROOM[signal])
        at = slots[new]
        if len(at):
            place = FIRST[signal] + self.count[at, signal]
            self.second[at, place] = since[new]
            self.volt[at, place] = volt[new]
            self.charge[at, place] = self.taken[at, signal]
            self.celsius[at, place] = celsius[new]
            self.last_ampere[at, signal] = ampere[new]
            self.count[at, signal] += 1
            self.due[at, signal] = since[new] + self.period[at, signal]
            full = at[self.count[at, signal] == ROOM[signal]]
            if len(full) and signal != Signal.PULSES:
                self._thin(signal, full)
        self.taken[slots, signal] += ampere

    def _thin(self, signal: Signal, slots: Slots) -> None:
        """Drop every second point."""
        first, half = FIRST[signal], ROOM[signal] // 2
        for name in ("second", "volt", "charge", "celsius"):
            points = getattr(self, name)
            points[slots, first : first + half] = points[slots, first : first + 2 * half : 2]
        last = self.second[slots, first + half - 1]
        self.count[slots, signal] = half
        self.period[slots, signal] = np.maximum(np.rint(CLOSER * last / (half - 1)), 1)
        self.due[slots, signal] = last + self.period[slots, signal]

    def finish(self, signal: Signal, slots: Slots, end: Int, look: LookBack, interrupted: Bool | bool) -> None:
        """End running recordings at past seconds (the first that belongs no more): what lies after is dropped."""
        if not len(slots):
            return
        self.runs[slots, signal] = False
        self.end[slots, signal], self.interrupted[slots, signal] = end, interrupted
        self._drop_after(signal, slots, end)
        if signal != Signal.PULSES:
            self._add_last(signal, slots, end, look)

    def _drop_after(self, signal: Signal, slots: Slots, end: Int) -> None:
        points = self.second[slots, FIRST[signal] : FIRST[signal] + ROOM[signal]]
        within = points < (end - self.begin[slots, signal])[:, None]
        within &= np.arange(ROOM[signal]) < self.count[slots, signal][:, None]
        self.count[slots, signal] = within.sum(axis=1)

    def _add_last(self, signal: Signal, slots: Slots, end: Int, look: LookBack) -> None:
        """Make the newest second before the end a point, whatever the period."""
        seconds = look.second[slots]
        since = seconds - self.begin[slots, signal][:, None]
        newest = self.second[slots, FIRST[signal] + np.maximum(self.count[slots, signal] - 1, 0)]
        fits = (seconds < end[:, None]) & (since > newest[:, None]) & ~look.held[slots] & (seconds >= 0)
        fits &= (self.count[slots, signal] > 0)[:, None]
        rows = np.flatnonzero(fits.any(axis=1))
        place = np.where(fits, seconds, -1)[rows].argmax(axis=1)
        at, last = slots[rows], seconds[rows, place]
        after = np.where(seconds[rows] >= last[:, None], look.ampere[at].astype(np.float64), 0.0).sum(axis=1)
        to = FIRST[signal] + self.count[at, signal]
        self.second[at, to] = last - self.begin[at, signal]
        self.volt[at, to], self.celsius[at, to] = look.volt[at, place], look.celsius[at, place]
        self.charge[at, to] = self.taken[at, signal] - after
        self.last_ampere[at, signal] = look.ampere[at, place]
        self.count[at, signal] += 1

    def recording(self, signal: Signal, slot: int) -> Recording | None:
        """Lay one out; None where nothing is recorded."""
        count = int(self.count[slot, signal])
        if self.begin[slot, signal] < 0 or not count:
            return None
        points = slice(FIRST[signal], FIRST[signal] + count)
        second, charge = (v[slot, points].astype(np.float64) for v in (self.second, self.charge))
        ampere = np.append(np.diff(charge) / np.diff(second), self.last_ampere[slot, signal])
        volt, celsius = (v[slot, points].astype(np.float64) for v in (self.volt, self.celsius))
        begin, interrupted = float(self.begin[slot, signal]), bool(self.interrupted[slot, signal])
        return Recording(begin, second, volt, ampere, celsius, interrupted)

    def sample_second(self, signal: Signal, slot: int) -> float:
        """Tell the source's period while it was recorded."""
        length = self.end[slot, signal] - self.begin[slot, signal]
        return float(max(length, 1) / max(int(self.sampled[slot, signal]), 1))
