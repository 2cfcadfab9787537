"""Discharges: how far the voltage fell by which charge, and the capacity where one measures it.

A cell is full after half a minute of charge at its limit with little current. What flows out from there is counted;
where that goes on at one current until the voltage reaches the cut-off, it is a capacity. A drive measures none.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daemon.events.wave import NO_ROWS, Bool, Float, Int, Wave
from daemon.history import LEVELS, Discharged, Measured
from daemon.slots import Slots

FULL_SECOND = 30
NEAR_VOLT = 0.02  # the limit, or the cut-off
FULL_C_RATE = 0.35  # no more current than this: programmes of fast charging end at a third of C
DEEP = 0.5  # of the nominal capacity
SHORTEST_SECOND = 600
STEADY = 0.1  # deviation of the current, of its mean


class Taken(NamedTuple):
    """Capacities that were measured in a second; arrays are [capacity]."""

    row: Slots  # of the wave
    begin: Int
    end: Int
    cycle: Int
    capacity_ah: Float
    c_rate: Float
    celsius: Float


_no_number, _no_second = np.empty(0), np.empty(0, np.int64)
NONE_TAKEN = Taken(NO_ROWS, _no_second, _no_second, _no_second, _no_number, _no_number, _no_number)


def advance(
    state: Discharged, kept: Measured, wave: Wave, rests: Bool, charges: Bool, low_volt: Float, high_volt: Float
) -> Taken:
    """Move every cell on by a second; limits are by slot."""
    slots = wave.slot
    ampere = np.where(rests, 0.0, wave.current_ampere)
    out = np.maximum(state.out[slots] - ampere, 0.0)
    state.out[slots] = out
    state.deepest[slots] = np.maximum(state.deepest[slots], out)
    _top_up(state, kept, wave, charges, high_volt)
    rows = np.flatnonzero(ampere < 0.0)
    if not len(rows):
        return NONE_TAKEN
    slots, out, ampere = slots[rows], out[rows], ampere[rows]
    _fall(state, wave.voltage_volt[rows], slots, out, low_volt[slots], high_volt[slots])
    state.second[slots] += 1
    state.ampere[slots] -= ampere
    state.square[slots] += ampere * ampere
    state.celsius[slots] += wave.temperature_celsius[rows]
    kept.deep[slots] |= out >= DEEP * 3600.0 * wave.nominal_capacity_ah[rows]
    empty = state.full[slots] & (wave.voltage_volt[rows] <= low_volt[slots] + NEAR_VOLT)
    return _measure(state, kept, wave, rows[empty]) if empty.any() else NONE_TAKEN


def begin_anew(state: Discharged, slots: Slots) -> None:
    """Look at the next discharge: a charge is over."""
    state.deepest[slots] = state.out[slots]
    state.level[slots] = 0
    state.curve[slots] = np.nan


def _top_up(state: Discharged, kept: Measured, wave: Wave, charges: Bool, high_volt: Float) -> None:
    """Find the cells that are full."""
    ampere = wave.current_ampere
    tops = charges & (wave.voltage_volt >= high_volt[wave.slot] - NEAR_VOLT)
    tops &= (ampere > 0.0) & (ampere <= FULL_C_RATE * wave.nominal_capacity_ah)
    topped = np.where(tops, np.minimum(state.topped[wave.slot] + 1, FULL_SECOND), 0)
    state.topped[wave.slot] = topped
    rows = np.flatnonzero(topped == FULL_SECOND)
    if not len(rows):
        return
    slots = wave.slot[rows]
    kept.complete(slots)
    state.full[slots], state.since[slots] = True, wave.second[rows] + 1
    for sums in (state.out, state.second, state.ampere, state.square, state.celsius):
        sums[slots] = 0


def _fall(state: Discharged, volt: Float, slots: Slots, out: Float, low_volt: Float, high_volt: Float) -> None:
    """Note what is out where a voltage is reached for the first time."""
    share = (high_volt - volt) / (high_volt - low_volt)
    reached = np.clip(np.floor(LEVELS * share), 0, LEVELS).astype(np.int16)
    before = state.level[slots]
    lower = np.flatnonzero(reached > before)
    if not len(lower):
        return
    at, level = slots[lower], np.arange(LEVELS)
    passed = (level >= before[lower][:, None]) & (level < reached[lower][:, None])
    state.curve[at] = np.where(passed, out[lower][:, None], state.curve[at])
    state.level[at] = reached[lower]


def _measure(state: Discharged, kept: Measured, wave: Wave, rows: Slots) -> Taken:
    """Take what is out for a capacity where the current was steady; either way the discharge is over."""
    slots = wave.slot[rows]
    state.full[slots] = False
    count = state.second[slots]
    mean = state.ampere[slots] / count
    variance = state.square[slots] / count - mean * mean
    rows = rows[(count >= SHORTEST_SECOND) & (variance <= (STEADY * mean) ** 2)]
    slots = wave.slot[rows]
    count = state.second[slots]
    capacity_ah = state.out[slots] / 3600.0
    c_rate = state.ampere[slots] / count / wave.nominal_capacity_ah[rows]
    celsius = state.celsius[slots] / count
    kept.put(slots, capacity_ah, c_rate, celsius)
    cycle = kept.cycles[slots].astype(np.int64) + 1
    return Taken(rows, state.since[slots], wave.second[rows] + 1, cycle, capacity_ah, c_rate, celsius)
