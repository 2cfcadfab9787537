"""Pulses: steady steps of current, from rest and back to rest; and the trains that they come in.

A step that is taken back within a minute is a pulse if the cell rested before it and after it, and its current was
steady in between (the grid's first and last second of it may be cut, and do not count). Pulling away from a stop
is none: nothing about it is steady. A pulse is told ten seconds after its end. A train is over when no pulse
follows for half an hour, or when the cell charges or discharges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daemon.events.wave import NO_ROWS, Bool, Float, Int, Wave
from daemon.slots import Slots, column

CALM_BEFORE, CALM_AFTER = 8, 10  # [s] of rest
LONGEST_SECOND = 60
LEAST_C_RATE = 0.1
STEADY, STEADY_C_RATE = 0.1, 0.02  # the most that a pulse's current may range over
NONE, WAITS = 0, -1  # in place of a pulse's length: there is none; something else goes on
TRAIN_PAUSE_SECOND = 1_800
RELAXATION_SECOND = 30  # recorded after a pulse
NEVER = -1


class Found(NamedTuple):
    """What a second showed. Arrays are rows of the wave."""

    opened: Slots  # a step from rest: it may become a pulse
    recorded: Slots  # belongs to a train's recording
    refuted: Slots  # it was no pulse
    pulse: Slots  # it was one
    begin: Int  # [pulse]
    end: Int
    ampere: Float  # of its inner seconds, where it has any


_never = np.empty(0, np.int64)
NOTHING_FOUND = Found(NO_ROWS, NO_ROWS, NO_ROWS, NO_ROWS, _never, _never, np.empty(0))


@dataclass(slots=True)
class Pulses:
    """What may be a pulse of each cell, and the train it stands in."""

    calm: NDArray[np.int8] = column(0, np.int8)  # seconds of rest in a row, up to CALM_AFTER
    length: NDArray[np.int8] = column(WAITS, np.int8)  # of what may be a pulse, or NONE, or WAITS
    begin: Int = column(0, np.int64)
    end: Int = column(NEVER, np.int64)  # of the newest step, pulse or not
    charge: Float = column(0.0)  # [A s]
    newest: Float = column(0.0)  # [A] in the newest second of it
    low: Float = column(np.inf)  # of its inner seconds
    high: Float = column(-np.inf)
    train_begin: Int = column(NEVER, np.int64)  # of the train's first pulse
    train_end: Int = column(0, np.int64)  # of its last
    train_count: NDArray[np.int32] = column(0, np.int32)

    def advance(self, wave: Wave, rests: Bool, idle: Bool) -> Found:
        """Move every cell on by a second; `idle`: it neither charges nor discharges for long."""
        length, calm = self.length[wave.slot], self.calm[wave.slot]
        quiet = np.where(rests, (length == NONE) & (calm == CALM_AFTER), (length == WAITS) & (calm == 0))
        after = self.train_begin[wave.slot] != NEVER
        relaxes = after & rests & (wave.second - self.train_end[wave.slot] < RELAXATION_SECOND)
        if quiet.all() and not relaxes.any():
            return NOTHING_FOUND
        rows = np.flatnonzero(~quiet)
        self._rest(wave, rows[rests[rows]])
        opened = rows[~rests[rows] & (length == NONE)[rows] & (calm >= CALM_BEFORE)[rows] & idle[rows]]
        self._open(wave, opened)
        refuted = self._work(wave, rows[~rests[rows]], np.isin(rows[~rests[rows]], opened))
        recorded = np.flatnonzero((self.length[wave.slot] > NONE) | relaxes)
        done = rows[(self.length[wave.slot] > NONE)[rows] & (self.calm[wave.slot] == CALM_AFTER)[rows]]
        is_pulse, ampere = self._judge(wave, done)
        pulse, no_pulse = done[is_pulse], done[~is_pulse]
        self.length[wave.slot[done]] = NONE
        begin, end = self.begin[wave.slot[pulse]], self.end[wave.slot[pulse]]
        self._join_train(wave.slot[pulse], begin, end)
        return Found(opened, recorded, np.concatenate([refuted, no_pulse]), pulse, begin, end, ampere[is_pulse])

    def over(self, wave: Wave, busy: Bool) -> Slots:
        """Find the rows whose train is over: nothing followed, or the cell does something else."""
        runs = (self.train_begin[wave.slot] != NEVER) & (self.length[wave.slot] <= NONE)
        if not runs.any():
            return NO_ROWS
        return np.flatnonzero(runs & (busy | (wave.second - self.train_end[wave.slot] >= TRAIN_PAUSE_SECOND)))

    def _rest(self, wave: Wave, rows: Slots) -> None:
        slots = wave.slot[rows]
        calm = self.calm[slots]
        self.end[slots] = np.where(calm == 0, wave.second[rows], self.end[slots])
        self.calm[slots] = np.minimum(calm + 1, CALM_AFTER)
        waits = (self.length[slots] == WAITS) & (calm + 1 >= CALM_BEFORE)
        self.length[slots[waits]] = NONE

    def _open(self, wave: Wave, rows: Slots) -> None:
        slots = wave.slot[rows]
        self.begin[slots], self.calm[slots] = wave.second[rows], 0
        self.charge[slots] = self.newest[slots] = 0.0
        self.low[slots], self.high[slots] = np.inf, -np.inf

    def _work(self, wave: Wave, rows: Slots, opens: Bool) -> Slots:
        """Let a second of current lengthen what may be a pulse; give the rows where it can be none any more."""
        slots, ampere = wave.slot[rows], wave.current_ampere[rows]
        length = self.length[slots]
        torn = (length > NONE) & (self.calm[slots] > 0)  # rest in the middle, and not enough of it
        long = (length > NONE) & (wave.second[rows] - self.begin[slots] >= LONGEST_SECOND)
        inner, newest = length >= 2, self.newest[slots]
        self.low[slots] = np.where(inner, np.minimum(self.low[slots], newest), self.low[slots])
        self.high[slots] = np.where(inner, np.maximum(self.high[slots], newest), self.high[slots])
        self.charge[slots] += ampere
        self.newest[slots] = ampere
        self.length[slots] = np.where(opens, 1, np.where((length > NONE) & ~torn & ~long, length + 1, WAITS))
        self.calm[slots] = 0
        return rows[torn | long]

    def _judge(self, wave: Wave, rows: Slots) -> tuple[Bool, Float]:
        """Tell which of the steps that came back to rest were pulses, and their current."""
        slots, nominal = wave.slot[rows], wave.nominal_capacity_ah[rows]
        low, high, seconds = self.low[slots], self.high[slots], self.end[slots] - self.begin[slots]
        has_inner = high >= low
        low, high = np.where(has_inner, low, 0.0), np.where(has_inner, high, 0.0)
        ampere = np.where(has_inner, (low + high) / 2.0, self.charge[slots] / np.maximum(seconds, 1))
        inner = high - low
        steady = inner <= np.maximum(STEADY * np.abs(ampere), STEADY_C_RATE * nominal)
        return steady & (np.abs(ampere) >= LEAST_C_RATE * nominal), ampere

    def _join_train(self, slots: Slots, begin: Int, end: Int) -> None:
        fresh = self.train_begin[slots] == NEVER
        self.train_begin[slots] = np.where(fresh, begin, self.train_begin[slots])
        self.train_count[slots] = np.where(fresh, 0, self.train_count[slots]) + 1
        self.train_end[slots] = end
