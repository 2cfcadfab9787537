"""The stages of a charge: constant current, then constant voltage.

A current is constant when it stays within `STEADY` of its own mean (more where the sensor is noisy) for half a
minute; some seconds outside are forgiven. It ends when `STRIKES` seconds lie outside. Where it fell while the
voltage stayed, the charger holds the voltage now. That began where a line that is level first and falls then, laid
through the last minute of current by least squares, has its bend.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daemon.events.wave import NO_TURNS, NOTHING, Bool, Float, Int, Turns, Wave
from daemon.recording import LOOK_BACK_SECOND, LookBack
from daemon.slots import Slots, column


class Stage(enum.IntEnum):
    """How a cell is charged."""

    CONSTANT_CURRENT = 0
    CONSTANT_VOLTAGE = 1


CURRENT, VOLTAGE = map(int, Stage)
ESTABLISHED_SECOND = 30
STRIKES = 5
STEADY = 0.02  # of the current
STEADY_C_RATE = 0.005
NOISES, NOISIEST = 4.0, 0.08  # a noisy sensor widens that to so many mean deviations, but to no more of the current
MEMORY_SECOND = 300  # of the mean current
VOLT_SECOND = 5.0  # over which the voltage is smoothed
SETTLES_SECOND = 30.0  # a charger that regulates softly lets its voltage creep up for minutes
SAME_VOLT, OTHER_VOLT = 0.010, 0.020
HELD_LEAST = 0.5  # a current that falls at once to less was turned down
FALLING = np.maximum(
    np.arange(LOOK_BACK_SECOND) - np.arange(LOOK_BACK_SECOND - 1)[:, None] + 1.0, 0.0
)  # [bend, second]
FALLING /= np.sqrt((FALLING**2).sum(axis=1, keepdims=True))


@dataclass(slots=True)
class Stages:
    """Which stage each cell's charge is in, and what speaks for another."""

    stage: NDArray[np.int8] = column(NOTHING, np.int8)
    begin: Int = column(0, np.int64)  # of the stage, or of what may become constant current
    last: Int = column(0, np.int64)
    count: NDArray[np.int32] = column(0, np.int32)  # seconds inside; 0: no charge goes on
    ampere: Float = column(0.0)  # mean of the constant current; smoothed in the stage of constant voltage
    noise: Float = column(0.0)  # [A] mean deviation of it
    strikes: NDArray[np.int8] = column(0, np.int8)
    struck: Int = column(0, np.int64)  # the second of the first strike
    volt: Float = column(0.0)  # smoothed
    volt_top: Float = column(0.0)  # highest of it; the voltage that is held in the stage of constant voltage

    def resting_below(self, wave: Wave) -> Float:
        """Give the current [row] below which a cell rests: while a voltage is held, the last trickle is charge yet."""
        held = self.stage[wave.slot] == VOLTAGE
        if not held.any():
            return wave.rest_ampere
        trickle = np.clip(0.5 * self.ampere[wave.slot], 0.1 * wave.rest_ampere, wave.rest_ampere)
        return np.where(held, trickle, wave.rest_ampere)

    def advance(self, wave: Wave, charging: Bool, look_back: LookBack) -> Turns:
        """Move every cell on by a second."""
        rows = np.flatnonzero(charging | (self.count[wave.slot] > 0))
        if not len(rows):
            return NO_TURNS
        slots = wave.slot[rows]
        charging, second, ampere = charging[rows], wave.second[rows], wave.current_ampere[rows]
        new = self.count[slots] == 0
        if new.any():
            self._open(slots[new], wave, rows[new])
        stage, begin = self.stage[slots], self.begin[slots]
        inside = charging & self._inside(wave, rows)
        self._learn(slots, inside, wave, rows)
        broken = self.strikes[slots] >= STRIKES
        holds = broken & charging & self._voltage_stays(slots, ampere) & (stage == CURRENT)
        begins = ~broken & (stage == NOTHING) & (self.count[slots] >= ESTABLISHED_SECOND) & inside
        ends = broken & (stage != NOTHING)
        end = self.struck[slots]
        end[holds] = self._held_since(slots[holds], second[holds], look_back)
        now = np.where(holds, VOLTAGE, np.where(begins, CURRENT, NOTHING))
        self.stage[slots] = np.where(broken | begins, now, stage)
        self.begin[slots] = np.where(holds, end, begin)
        self.last[slots] = second
        if broken.any():
            self._hold(slots[holds], ampere[holds])
            gone = broken & ~holds
            self._begin_anew(slots[gone], self.struck[slots][gone], charging[gone], ampere[gone])
        if not (begins | ends).any():
            return NO_TURNS
        turn = np.flatnonzero(begins | ends)
        was = np.where(ends, stage, NOTHING).astype(np.int8)
        return Turns(
            rows[turn],
            was[turn],
            begin[turn],
            end[turn],
            np.where(begins | holds, now, NOTHING).astype(np.int8)[turn],
            np.where(holds, end, begin)[turn],
        )

    def _open(self, slots: Slots, wave: Wave, rows: Slots) -> None:
        """Begin to look at a current that may become constant."""
        self.count[slots] = 1
        self.begin[slots], self.ampere[slots] = wave.second[rows], wave.current_ampere[rows]
        self.volt[slots] = self.volt_top[slots] = wave.voltage_volt[rows]
        self.noise[slots] = 0.0
        self.strikes[slots] = 0

    def _inside(self, wave: Wave, rows: Slots) -> Bool:
        """Tell whether a second goes on with what the stage is."""
        slots, nominal = wave.slot[rows], wave.nominal_capacity_ah[rows]
        mean = self.ampere[slots]
        least = np.maximum(STEADY * mean, STEADY_C_RATE * nominal)
        wide = np.clip(NOISES * self.noise[slots], least, np.maximum(NOISIEST * mean, least))
        steady = np.abs(wave.current_ampere[rows] - mean) <= wide
        stays = np.abs(wave.voltage_volt[rows] - self.volt_top[slots]) <= OTHER_VOLT
        inside: Bool = np.where(self.stage[slots] == VOLTAGE, stays, steady)
        return inside

    def _learn(self, slots: Slots, inside: Bool, wave: Wave, rows: Slots) -> None:
        """Let a second change what is expected of the next."""
        ampere, volt, second = wave.current_ampere[rows], wave.voltage_volt[rows], wave.second[rows]
        held = self.stage[slots] == VOLTAGE
        strikes = self.strikes[slots]
        self.struck[slots] = np.where((strikes == 0) & ~inside, second, self.struck[slots])
        self.strikes[slots] = np.maximum(strikes + np.where(inside, -1, 1), 0)

        count, mean, noise = self.count[slots] + inside, self.ampere[slots], self.noise[slots]
        off = np.minimum(np.abs(ampere - mean), NOISIEST * mean)
        share = 1.0 / np.where(held, VOLT_SECOND, np.minimum(count, MEMORY_SECOND))
        self.count[slots] = count
        self.ampere[slots] = np.where(inside, mean + share * (ampere - mean), mean)
        self.noise[slots] = np.where(
            held, noise, noise + (off - noise) / np.minimum(count + strikes + 1, MEMORY_SECOND)
        )

        smooth = self.volt[slots] + (volt - self.volt[slots]) / VOLT_SECOND
        self.volt[slots] = smooth
        top = self.volt_top[slots]
        settles = top + np.where(inside, (smooth - top) / SETTLES_SECOND, 0.0)
        self.volt_top[slots] = np.where(held, settles, np.maximum(top, smooth))

    def _voltage_stays(self, slots: Slots, ampere: Float) -> Bool:
        """Tell where a current that fell, fell because the charger holds the voltage."""
        mean = self.ampere[slots]
        fell = (ampere < mean) & (ampere > HELD_LEAST * mean)
        stays: Bool = fell & (self.volt[slots] > self.volt_top[slots] - SAME_VOLT)
        return stays

    def _held_since(self, slots: Slots, second: Int, look_back: LookBack) -> Int:
        """Find the second from which the current falls: the bend that explains most of what it falls short."""
        if not len(slots):
            return second
        seconds = second[:, None] - np.arange(LOOK_BACK_SECOND - 1, -1, -1)
        place = seconds % LOOK_BACK_SECOND
        known = (look_back.second[slots[:, None], place] == seconds) & (seconds >= self.begin[slots][:, None])
        short = np.where(known, self.ampere[slots][:, None] - look_back.ampere[slots[:, None], place], 0.0)
        explained = np.einsum("cs,bs->cb", short, FALLING)  # no matrix product: a cell's sums are its own
        bend = np.argmax(explained, axis=1)
        since: Int = np.maximum(second - (LOOK_BACK_SECOND - 1) + bend, self.begin[slots] + 1)
        return since

    def _hold(self, slots: Slots, ampere: Float) -> None:
        """Go over to the stage of constant voltage, at the voltage that is there."""
        self.volt_top[slots], self.ampere[slots] = self.volt[slots], ampere
        self.strikes[slots] = 0

    def _begin_anew(self, slots: Slots, since: Int, charging: Bool, ampere: Float) -> None:
        """Look at what comes after a stage, or after what was none."""
        self.count[slots] = np.where(charging, 1, 0)
        self.begin[slots], self.ampere[slots] = since, ampere
        self.volt_top[slots] = self.volt[slots]
        self.noise[slots] = 0.0
        self.strikes[slots] = 0
