"""Recordings begun and ended as detectors say, and what stands in them when a phase is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daemon.events.activity import CHARGE, DISCHARGE, REST
from daemon.events.charging import Stage
from daemon.events.pulses import NEVER, RELAXATION_SECOND, Found, Pulses
from daemon.events.wave import NOTHING, Bool, Float, Int, Turns, Wave
from daemon.recording import FIRST, LookBack, Recordings, Signal
from daemon.slots import Slots, column
from estimators.check import Trigger

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

STIRRED_SECOND = 3  # of current end a rest's recording, though they may not end the rest
REST_RECORDED_SECOND = 3_600  # a cell may rest for weeks: what was seen of it is given after an hour
OF_STAGE = {
    Stage.CONSTANT_CURRENT: (Signal.CONSTANT_CURRENT, Trigger.CONSTANT_CURRENT),
    Stage.CONSTANT_VOLTAGE: (Signal.CONSTANT_VOLTAGE, Trigger.CONSTANT_VOLTAGE),
}
ENDS = (  # what makes an end of a recording that is finished
    (Signal.CONSTANT_CURRENT, CHARGE),
    (Signal.CONSTANT_VOLTAGE, CHARGE),
    (Signal.REST, CHARGE),
    (Signal.REST, DISCHARGE),
)
OF_A_CHARGE = (Signal.CONSTANT_CURRENT, Signal.CONSTANT_VOLTAGE, Signal.REST)


class Over(NamedTuple):
    """Phases of one kind that are over; arrays are [phase]."""

    row: Slots  # of the wave
    trigger: Trigger
    begin: Int
    end: Int
    interrupted: bool = False


@dataclass(slots=True)
class Rests:
    """What is known of a rest that is recorded."""

    after: NDArray[np.int8] = column(NOTHING, np.int8)  # what was done before it
    stirred: NDArray[np.int8] = column(0, np.int8)  # seconds of current in a row
    since: Int = column(0, np.int64)


@dataclass(slots=True)
class Before:
    """How the rest ended that the newest charge followed; NaN: it followed none."""

    volt: Float = column(np.nan)
    celsius: Float = column(np.nan)
    length: Float = column(np.nan)  # [s] that were recorded
    after: NDArray[np.int8] = column(NOTHING, np.int8)  # what was done before it


@dataclass(slots=True)
class Marks:
    """Where a train's recording stood when what may be a pulse began."""

    count: NDArray[np.int32] = column(0, np.int32)
    taken: Float = column(0.0)


class Keeper:
    """All recordings, by slot."""

    def __init__(self) -> None:
        """Begin with no cells."""
        self.recordings, self.look_back, self.rests, self.marks = Recordings(), LookBack(), Rests(), Marks()
        self.before = Before()

    @property
    def states(self) -> tuple[DataclassInstance, ...]:
        """All that has a row for each slot."""
        return self.recordings, self.look_back, self.rests, self.marks, self.before

    def add(self, wave: Wave) -> None:
        """Add a second to what is recorded of charges and rests."""
        runs = self.recordings.runs[wave.slot]
        if runs.any():
            for signal in OF_A_CHARGE:
                self._add(signal, wave, np.flatnonzero(runs[:, signal]))

    def _add(self, signal: Signal, wave: Wave, rows: Slots) -> None:
        if len(rows):
            self.recordings.add(
                signal,
                wave.slot[rows],
                wave.second[rows],
                wave.voltage_volt[rows],
                wave.current_ampere[rows],
                wave.temperature_celsius[rows],
                wave.held[rows],
            )

    def turn_stages(self, wave: Wave, turns: Turns, interrupted: bool = False) -> list[Over]:
        """End and begin recordings of constant current and of constant voltage."""
        over: list[Over] = []
        if not len(turns.row):
            return over
        slots, second = wave.slot[turns.row], wave.second[turns.row]
        for stage, (signal, trigger) in OF_STAGE.items():
            ends, begins = turns.was == stage, turns.now == stage
            if ends.any():
                self.recordings.finish(signal, slots[ends], turns.was_end[ends], self.look_back, interrupted)
                over.append(Over(turns.row[ends], trigger, turns.was_begin[ends], turns.was_end[ends], interrupted))
            self.recordings.start(signal, slots[begins], turns.begin[begins], self.look_back, second[begins])
        return over

    def turn_activities(self, wave: Wave, turns: Turns, after: NDArray[np.int8]) -> list[Over]:
        """Begin to record rests; what begins makes an end of what went before. A charge keeps how its rest ended."""
        if not len(turns.row):
            return []
        slots, second = wave.slot[turns.row], wave.second[turns.row]
        self._remember_rest(slots[turns.now == CHARGE])
        for signal, next_begins in ENDS:
            old = (turns.now == next_begins) & (self.recordings.begin[slots, signal] < turns.begin)
            self.recordings.forget(signal, slots[old & ~self.recordings.runs[slots, signal]])
        rests = turns.now == REST
        at = slots[rests]
        self.recordings.start(Signal.REST, at, turns.begin[rests], self.look_back, second[rests])
        self.rests.after[at], self.rests.stirred[at] = after[at], 0
        return self.charges_over(turns)

    def _remember_rest(self, slots: Slots) -> None:
        """Keep how the rest before a charge ended; nothing where there was none."""
        kept, before, signal = self.recordings, self.before, Signal.REST
        last = FIRST[signal] + np.maximum(kept.count[slots, signal] - 1, 0)
        there = (kept.count[slots, signal] > 0) & ~kept.runs[slots, signal] & ~kept.interrupted[slots, signal]
        before.volt[slots] = np.where(there, kept.volt[slots, last], np.nan)
        before.celsius[slots] = np.where(there, kept.celsius[slots, last], np.nan)
        before.length[slots] = np.where(there, kept.second[slots, last] + 1.0, np.nan)
        before.after[slots] = self.rests.after[slots]

    def charges_over(self, turns: Turns, interrupted: bool = False) -> list[Over]:
        """Give the charges that are over as a whole."""
        over = turns.was == CHARGE
        if not over.any():
            return []
        return [Over(turns.row[over], Trigger.CHARGE, turns.was_begin[over], turns.was_end[over], interrupted)]

    def end_rests(self, wave: Wave, rests: Bool) -> list[Over]:
        """End the recordings of rests that are stirred, or as long as is looked at."""
        rows = np.flatnonzero(self.recordings.runs[wave.slot, Signal.REST])
        if not len(rows):
            return []
        slots, second = wave.slot[rows], wave.second[rows]
        stirred = self.rests.stirred[slots]
        since = np.where(stirred == 0, second, self.rests.since[slots])
        stirred = np.where(rests[rows], 0, stirred + 1).astype(np.int8)
        self.rests.stirred[slots], self.rests.since[slots] = stirred, since
        long = second + 1 - self.recordings.begin[slots, Signal.REST] >= REST_RECORDED_SECOND
        ends = (stirred >= STIRRED_SECOND) | long
        return self.finish_rests(wave, rows[ends], np.where(stirred > 0, since, second + 1)[ends])

    def finish_rests(self, wave: Wave, rows: Slots, end: Int, interrupted: bool = False) -> list[Over]:
        """End recordings of rests."""
        if not len(rows):
            return []
        begin = self.recordings.begin[wave.slot[rows], Signal.REST]
        self.recordings.finish(Signal.REST, wave.slot[rows], end, self.look_back, interrupted)
        return [Over(rows, Trigger.REST, begin, end, interrupted)]

    def add_pulses(self, wave: Wave, found: Found, pulses: Pulses) -> None:
        """Add a second to trains of pulses; what turned out to be no pulse is taken out again."""
        if not (len(found.recorded) or len(found.refuted)):
            return
        kept, signal = self.recordings, Signal.PULSES
        refuted = wave.slot[found.refuted]
        alone = pulses.train_begin[refuted] == NEVER
        kept.forget(signal, refuted[alone])
        kept.count[refuted[~alone], signal] = self.marks.count[refuted[~alone]]
        kept.taken[refuted[~alone], signal] = self.marks.taken[refuted[~alone]]
        slots = wave.slot[found.opened]
        self.marks.count[slots], self.marks.taken[slots] = kept.count[slots, signal], kept.taken[slots, signal]
        joins = pulses.train_begin[slots] != NEVER
        kept.from_look_back(signal, slots[joins], wave.second[found.opened[joins]] - 1, self.look_back)
        fresh = found.opened[~joins]
        self._add(signal, wave, np.setdiff1d(found.recorded, fresh))
        second = wave.second[fresh]
        kept.start(signal, wave.slot[fresh], second - 1, self.look_back, second)

    def end_trains(self, wave: Wave, rows: Slots, pulses: Pulses, interrupted: bool = False) -> list[Over]:
        """End recordings of trains, a while after the last pulse; let the next pulse begin another."""
        if not len(rows):
            return []
        slots = wave.slot[rows]
        begin, last = pulses.train_begin[slots].copy(), self.look_back.second[slots].max(axis=1)
        end = np.minimum(last + 1, pulses.train_end[slots] + RELAXATION_SECOND)
        self.recordings.finish(Signal.PULSES, slots, end, self.look_back, interrupted)
        pulses.train_begin[slots] = NEVER
        return [Over(rows, Trigger.PULSES, begin, end, interrupted)]
