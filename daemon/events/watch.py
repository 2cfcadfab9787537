"""All detectors over all cells: closed seconds in, events and phases that are over out.

Seconds are shown in waves, the j-th closed second of each cell in the j-th wave. An event is told when it is sure,
with the second at which it began. A phase that is over is given once, with what was recorded of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from daemon.events import discharges, tell
from daemon.events.activity import CHARGE, REST, Activities
from daemon.events.charging import CURRENT, Stages
from daemon.events.cycles import Cycles
from daemon.events.keep import Keeper, Over
from daemon.events.phases import Phase, phases
from daemon.events.pulses import NEVER, Pulses
from daemon.events.wave import NOTHING, Bool, Float, Int, Told, Turns, Wave
from daemon.events.windows import Windows
from daemon.history import Discharged, Measured, Past, Week
from daemon.recording import Signal
from daemon.slots import Slots, clear, waves
from estimators.check import Trigger

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from numpy.typing import NDArray

    from daemon.grid import Closed


class Bounds(NamedTuple):
    """What the configuration says of the cells, by slot."""

    rest_ampere: Float
    nominal_capacity_ah: Float
    window_low_volt: Float  # a charge from below it to above the next is told
    window_high_volt: Float
    voltage_min_volt: Float
    voltage_max_volt: Float


class Seen(NamedTuple):
    """What closed seconds brought to light, in the order in which it came."""

    told: list[Told]
    phases: list[Phase]


class Watch:
    """What is recognised of all cells; state by slot."""

    def __init__(self) -> None:
        """Begin with no cells."""
        self.activities, self.stages, self.windows = Activities(), Stages(), Windows()
        self.cycles, self.pulses, self.keeper = Cycles(), Pulses(), Keeper()
        self.measured, self.discharged, self.week = Measured(), Discharged(), Week()

    @property
    def states(self) -> tuple[DataclassInstance, ...]:
        """All that has a row for each slot."""
        own = (self.activities, self.stages, self.windows, self.cycles, self.pulses)
        return (*own, *self.past, *self.keeper.states)

    @property
    def past(self) -> Past:
        """What cells went through."""
        return Past(self.measured, self.discharged, self.week)

    def see(self, closed: Closed, bounds: Bounds) -> Seen:
        """Look at closed seconds."""
        seen = Seen([], [])
        for rows in waves(closed.slot):
            wave = Wave.of(closed, rows, bounds.rest_ampere, bounds.nominal_capacity_ah)
            if wave.restart.any():
                self._cut(wave, np.flatnonzero(wave.restart), seen, interrupted=True)
            self._look(wave, bounds, seen)
        return seen

    def flush(self, closed: Closed, bounds: Bounds) -> Seen:
        """Look at the last seconds of logs, and end what goes on in their cells."""
        seen = self.see(closed, bounds)
        last = len(closed) - 1 - np.unique(closed.slot[::-1], return_index=True)[1]
        wave = Wave.of(closed, last, bounds.rest_ampere, bounds.nominal_capacity_ah)
        self._cut(wave, np.arange(len(last)), seen, interrupted=False)
        return seen

    def _look(self, wave: Wave, bounds: Bounds, seen: Seen) -> None:
        """See one wave: detectors first, then recordings, then words."""
        keeper = self.keeper
        keeper.look_back.note(wave)
        doing = self.activities.doing(wave, self.stages.resting_below(wave))
        rests = doing == REST
        activities = self.activities.advance(wave, doing)
        stages = self.stages.advance(wave, doing == CHARGE, keeper.look_back)
        passed = self.windows.advance(wave, self.stages, bounds.window_low_volt, bounds.window_high_volt)
        cycles = self.cycles.advance(wave, rests)
        now = self.activities.now[wave.slot]
        taken = discharges.advance(
            self.discharged, self.measured, wave, rests, now == CHARGE, bounds.voltage_min_volt, bounds.voltage_max_volt
        )
        self._use(wave, rests)
        works = now > REST
        found = self.pulses.advance(wave, rests, ~works)
        follows = self.activities.begin[wave.slot] >= self.pulses.train_end[wave.slot]
        trains = self.pulses.over(wave, works & follows)

        keeper.add(wave)
        keeper.add_pulses(wave, found, self.pulses)
        over = keeper.turn_stages(wave, stages)
        over += keeper.turn_activities(wave, activities, self.activities.before)
        over += keeper.end_rests(wave, rests)
        over += keeper.end_trains(wave, trains, self.pulses)
        if len(cycles.row):
            over.append(Over(cycles.row, Trigger.CYCLE, cycles.was_begin, cycles.was_end))
        if len(taken.row):
            over.append(Over(taken.row, Trigger.CAPACITY, taken.begin, taken.end))
        seen.phases.extend(phases(wave, over, keeper, self.cycles.throughput_ah, self.past))
        discharges.begin_anew(self.discharged, wave.slot[activities.row[activities.was == CHARGE]])
        seen.told.extend(tell.activities(wave, activities, self.activities.before))
        seen.told.extend(tell.stages(wave, stages))
        seen.told.extend(tell.windows(wave, passed, bounds.window_low_volt, bounds.window_high_volt))
        seen.told.extend(tell.pulses(wave, found))
        seen.told.extend(tell.cycles(wave, cycles, self.cycles.throughput_ah))
        seen.told.extend(tell.capacities(wave, taken))

    def _use(self, wave: Wave, rests: Bool) -> None:
        """Add a second to how cells are used."""
        ampere = wave.current_ampere
        steady = self.stages.stage[wave.slot] == CURRENT
        counts = np.stack([np.ones_like(rests), steady, ~rests & (ampere < 0.0)], axis=1)
        values = np.stack([wave.temperature_celsius, ampere, -ampere], axis=1)
        self.week.add(wave.slot, wave.second, values, counts)

    def _cut(self, wave: Wave, rows: Slots, seen: Seen, interrupted: bool) -> None:
        """End whatever goes on in cells with the last second that is known of it; begin to look anew."""
        slots, keeper = wave.slot[rows], self.keeper
        end = keeper.look_back.second[slots].max(axis=1) + 1
        activities = _ending(rows, slots, self.activities.now, self.activities.begin, self.activities.last)
        stages = _ending(rows, slots, self.stages.stage, self.stages.begin, self.stages.last)
        resting = keeper.recordings.runs[slots, Signal.REST]
        over = keeper.turn_stages(wave, stages, interrupted)
        over += keeper.charges_over(activities, interrupted)
        over += keeper.finish_rests(wave, rows[resting], end[resting], interrupted)
        over += keeper.end_trains(wave, rows[self.pulses.train_begin[slots] != NEVER], self.pulses, interrupted)
        keeper.recordings.forget(Signal.PULSES, slots[keeper.recordings.runs[slots, Signal.PULSES]])
        seen.phases.extend(phases(wave, over, keeper, self.cycles.throughput_ah, self.past))
        seen.told.extend(tell.activities(wave, activities, self.activities.before, interrupted))
        seen.told.extend(tell.stages(wave, stages, interrupted))
        own = (self.activities, self.stages, self.windows, self.pulses, self.discharged)
        for state in (*own, keeper.look_back, keeper.marks):
            clear(state, slots)


def _ending(rows: Slots, slots: Slots, now: NDArray[np.int8], begin: Int, last: Int) -> Turns:
    """Say that whatever goes on (by slot) ends after its last second."""
    on = now[slots] != NOTHING
    slots = slots[on]
    nothing = np.full(len(slots), NOTHING, np.int8)
    return Turns(rows[on], now[slots], begin[slots], last[slots] + 1, nothing, last[slots] + 1)
