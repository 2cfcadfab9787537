"""Phases that are over, each with a copy of what was recorded of its cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from daemon.events.tell import ACTIVITIES
from daemon.recording import Recordings, Signal
from daemon.slots import pick
from estimators.check import Evidence, Facts, RestEnd, Standing, Trigger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.events.keep import Keeper, Over
    from daemon.events.wave import Float, Wave
    from daemon.history import Past

SEEN_IN = {
    Trigger.REST: Signal.REST,
    Trigger.CONSTANT_CURRENT: Signal.CONSTANT_CURRENT,
    Trigger.CONSTANT_VOLTAGE: Signal.CONSTANT_VOLTAGE,
    Trigger.CHARGE: Signal.CONSTANT_CURRENT,
    Trigger.PULSES: Signal.PULSES,
}


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of one cell; its evidence is laid out when somebody asks, off the hot path."""

    sample: int  # that showed it
    slot: int
    second: int  # the grid second that showed it
    trigger: Trigger
    begin_second: float
    end_second: float
    interrupted: bool
    rest_after: str
    rest_before: RestEnd | None  # of the newest charge
    throughput_ah: float
    recordings: Recordings  # of every cell that ended a phase in the same wave
    past: Past  # of the same cells
    place: int  # of this cell in them

    def evidence(self, facts: Facts, standing: Standing) -> Evidence:
        """Lay out what a check is asked about."""
        shown = {signal.name.lower(): self.recordings.recording(signal, self.place) for signal in Signal}
        signal = SEEN_IN.get(self.trigger)
        return Evidence(
            self.trigger,
            self.begin_second,
            self.end_second,
            self.interrupted,
            facts,
            standing,
            1.0 if signal is None else self.recordings.sample_second(signal, self.place),
            self.rest_after,  # type: ignore[arg-type]
            self.rest_before,
            history=self.past.told(self.place, self.second, facts),
            **shown,
        )


def phases(wave: Wave, over: list[Over], keeper: Keeper, throughput_ah: Float, past: Past) -> Iterator[Phase]:
    """Give what is over; recordings and the past are copied once for all of it. `throughput_ah` is by slot."""
    if not over:
        return
    row = np.concatenate([o.row for o in over])
    slots, place = np.unique(wave.slot[row], return_inverse=True)
    recordings, past = pick(keeper.recordings, slots), past.pick(slots)
    places = iter(place.tolist())
    for kind in over:
        for at, begin, end in zip(kind.row.tolist(), kind.begin.tolist(), kind.end.tolist(), strict=True):
            slot = int(wave.slot[at])
            yield Phase(
                int(wave.sample[at]),
                slot,
                int(wave.second[at]),
                kind.trigger,
                float(begin),
                float(end),
                kind.interrupted,
                ACTIVITIES[int(keeper.rests.after[slot])],
                _rest_before(keeper, slot),
                float(throughput_ah[slot]),
                recordings,
                past,
                next(places),
            )


def _rest_before(keeper: Keeper, slot: int) -> RestEnd | None:
    before = keeper.before
    volt, length, celsius = (float(a[slot]) for a in (before.volt, before.length, before.celsius))
    return None if np.isnan(volt) else RestEnd(volt, length, celsius, ACTIVITIES[int(before.after[slot])])
