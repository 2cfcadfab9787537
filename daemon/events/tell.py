"""What detectors found, in the words of the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daemon.events.activity import Activity
from daemon.events.charging import Stage
from daemon.events.wave import NOTHING, Float, Int, Told, Turns, Wave
from daemon.wire import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.events.discharges import Taken
    from daemon.events.pulses import Found
    from daemon.events.windows import Passed

ACTIVITIES = {NOTHING: "unknown"} | {int(activity): activity.name.lower() for activity in Activity}
STAGES = {int(stage): stage.name.lower() for stage in Stage}
Detail = dict[str, float | str]


def activities(wave: Wave, turns: Turns, after: NDArray[np.int8], interrupted: bool = False) -> Iterator[Told]:
    """Tell of rests, charges and discharges; `after` [slot] is what was done before a rest."""
    for i, row in enumerate(turns.row.tolist()):
        if turns.was[i] != NOTHING:
            yield _end(wave, row, ACTIVITIES[int(turns.was[i])], turns, i, interrupted)
        if (now := int(turns.now[i])) != NOTHING:
            detail: Detail = {"after": ACTIVITIES[int(after[wave.slot[row]])]} if now == Activity.REST else {}
            yield _told(wave, row, ACTIVITIES[now], "begin", turns.begin[i], detail)


def stages(wave: Wave, turns: Turns, interrupted: bool = False) -> Iterator[Told]:
    """Tell of constant current and constant voltage."""
    for i, row in enumerate(turns.row.tolist()):
        if turns.was[i] != NOTHING:
            yield _end(wave, row, STAGES[int(turns.was[i])], turns, i, interrupted)
        if (now := int(turns.now[i])) != NOTHING:
            yield _told(wave, row, STAGES[now], "begin", turns.begin[i], {})


def windows(wave: Wave, passed: Passed, low_volt: Float, high_volt: Float) -> Iterator[Told]:
    """Tell of charges through a window of voltages; limits are by slot."""
    for i, row in enumerate(passed.row.tolist()):
        slot = wave.slot[row]
        detail: Detail = {
            "end_second": float(passed.end[i]),
            "from_volt": float(low_volt[slot]),
            "to_volt": float(high_volt[slot]),
            "charge_ah": round(float(passed.charge_ah[i]), 6),
        }
        yield _told(wave, row, "window", "once", passed.begin[i], detail)


def pulses(wave: Wave, found: Found) -> Iterator[Told]:
    """Tell of pulses."""
    for i, row in enumerate(found.pulse.tolist()):
        detail: Detail = {"end_second": float(found.end[i]), "current_ampere": round(float(found.ampere[i]), 6)}
        yield _told(wave, row, "pulse", "once", found.begin[i], detail)


def cycles(wave: Wave, turns: Turns, throughput_ah: Float) -> Iterator[Told]:
    """Tell of cycles; `throughput_ah` is by slot."""
    for i, row in enumerate(turns.row.tolist()):
        moved = float(throughput_ah[wave.slot[row]])
        full = 2.0 * float(wave.nominal_capacity_ah[row])
        detail: Detail = {
            "end_second": float(turns.was_end[i]),
            "equivalent_full_cycles": float(moved // full),
            "throughput_ah": round(moved, 6),
        }
        yield _told(wave, row, "cycle", "once", turns.was_begin[i], detail)


def capacities(wave: Wave, taken: Taken) -> Iterator[Told]:
    """Tell of capacities that a discharge measured."""
    for i, row in enumerate(taken.row.tolist()):
        detail: Detail = {
            "end_second": float(taken.end[i]),
            "cycle": float(taken.cycle[i]),
            "capacity_ah": round(float(taken.capacity_ah[i]), 6),
            "c_rate": round(float(taken.c_rate[i]), 4),
            "temperature_celsius": round(float(taken.celsius[i]), 2),
        }
        yield _told(wave, row, "capacity", "once", taken.begin[i], detail)


def _end(wave: Wave, row: int, kind: str, turns: Turns, turn: int, interrupted: bool) -> Told:
    detail: Detail = {"end_second": float(turns.was_end[turn])}
    return _told(wave, row, kind, "end", turns.was_begin[turn], detail | ({"interrupted": 1.0} if interrupted else {}))


def _told(wave: Wave, row: int, kind: str, phase: str, begin: Int, detail: Detail) -> Told:
    event = Event(float(wave.second[row]), kind, phase, float(begin), detail)
    return Told(int(wave.sample[row]), int(wave.slot[row]), event)
