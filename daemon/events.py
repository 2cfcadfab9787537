"""Rest, charge and discharge recognised on the grid; gaps and clock jumps told. Arrays in, events out; causal.

Each second is one of rest, charge or discharge by its current, and adds to or takes from a score of each. An
activity begins when its score is full, with the second at which the score left zero as its beginning, and ends
when another begins, when its own score is used up, or at a gap. So a drive's regeneration is no charge, its
stops are no rests, and a pulse of some seconds does not end a rest.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daemon.grid import Closed, Gaps, Resume
from daemon.slots import Slots, column, waves
from daemon.wire import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.admission import Admission

Float = NDArray[np.float64]
Int = NDArray[np.int64]


class Activity(enum.IntEnum):
    """What a cell does."""

    REST = 0
    CHARGE = 1
    DISCHARGE = 2


NOTHING = -1
FULL = np.array([60, 30, 30], dtype=np.int16)  # [activity] seconds in a row that establish it
ALONE = np.diag(FULL)  # [activity, activity] scores of a cell that does one thing only
ADDS = np.array(  # [what this second is, activity]
    [
        [1, 0, 0],
        [-2, 1, -1],  # rest falls twice as fast: a cell that drives every third second does not rest
        [-2, -1, 1],
    ],
    dtype=np.int16,
)


@dataclass(slots=True)
class Activities:
    """What each cell does, and what speaks for each activity."""

    now: NDArray[np.int8] = column(NOTHING, np.int8)
    begin: Int = column(0, np.int64)
    last: Int = column(0, np.int64)  # newest second of the present activity
    score: NDArray[np.int16] = column(0, np.int16, len(Activity))
    since: Int = column(0, np.int64, len(Activity))  # the second in which the score left zero


class Told(NamedTuple):
    """An event, and the sample that brought it about (for the order)."""

    sample: int
    slot: int
    event: Event


def recognise(state: Activities, closed: Closed, rest_ampere: Float) -> Iterator[Told]:
    """Tell which activities begin and end; `rest_ampere` is by slot."""
    current = closed.current_ampere
    rests = np.abs(current) < rest_ampere[closed.slot]
    doing = np.where(rests, Activity.REST, np.where(current > 0, Activity.CHARGE, Activity.DISCHARGE))
    for rows in waves(closed.slot):
        yield from _advance(state, closed, *_unsettled(state, closed, rows, doing[rows]))


def _unsettled(
    state: Activities, closed: Closed, rows: Slots, doing: NDArray[np.intp]
) -> tuple[Slots, NDArray[np.intp]]:
    """Leave out the cells that go on with what they do and have nothing else in mind: most cells, most of the time."""
    slots = closed.slot[rows]
    score = state.score[slots]
    settled = (state.now[slots] == doing) & (score == ALONE[doing]).all(axis=1) & (closed.resume[rows] == Resume.NO_GAP)
    state.last[slots[settled]] = closed.second[rows[settled]]
    return rows[~settled], doing[~settled]


def _advance(state: Activities, closed: Closed, rows: Slots, doing: NDArray[np.intp]) -> Iterator[Told]:
    """Move the scores of cells on by one second each."""
    if not len(rows):
        return
    slots, second, each = closed.slot[rows], closed.second[rows], np.arange(len(rows))
    restart = closed.resume[rows] != Resume.NO_GAP
    was, begin, last = state.now[slots], state.begin[slots], state.last[slots]
    score = np.where(restart[:, None], 0, state.score[slots])
    after = np.minimum(np.maximum(score + ADDS[doing], 0), FULL)
    since = np.where((score == 0) & (after > 0), second[:, None], state.since[slots])
    full = after[each, doing] == FULL[doing]
    after[full] = ALONE[doing[full]]
    begins = full & (was != doing)
    ends = (was != NOTHING) & (begins | restart | (after[each, was] == 0))
    began = since[each, doing]

    now = np.where(begins, doing, np.where(ends, NOTHING, was))
    state.now[slots] = now
    state.begin[slots] = np.where(begins, began, begin)
    state.last[slots] = np.where(now == doing, second, last)
    state.score[slots], state.since[slots] = after, since
    for i in np.flatnonzero(begins | ends):
        sample, slot, at = int(closed.sample[rows[i]]), int(slots[i]), float(second[i])
        if ends[i]:
            detail: dict[str, float | str] = {"end_second": float(began[i] if begins[i] else last[i] + 1)}
            yield Told(sample, slot, Event(at, _word(was[i]), "end", float(begin[i]), detail))
        if begins[i]:
            yield Told(sample, slot, Event(at, _word(doing[i]), "begin", float(began[i])))


def _word(activity: int) -> str:
    return Activity(activity).name.lower()


def of_gaps(gaps: Gaps, max_hold_second: Float) -> Iterator[Told]:
    """Tell of cells that fell silent and go on, once they do; `max_hold_second` is by slot."""
    for i, (sample, slot) in enumerate(zip(gaps.sample.tolist(), gaps.slot.tolist(), strict=True)):
        begin, end = float(gaps.from_second[i]), float(gaps.to_second[i])
        length = "jump_second" if gaps.anchored[i] else "gap_second"
        policy = "kept" if gaps.kept[i] else "reinitialised"
        if not gaps.anchored[i]:
            yield Told(sample, slot, Event(begin + float(max_hold_second[slot]), "stale", "once", begin))
        yield Told(sample, slot, Event(end, "resumed", "once", begin, {length: end - begin, "policy": policy}))


def of_jumps(judged: Admission) -> Iterator[Told]:
    """Tell of clocks that jumped: the cell's own time, and how far off its sample is."""
    for sample in np.flatnonzero(~np.isnan(judged.jump_from_second)).tolist():
        own = float(judged.jump_from_second[sample])
        detail: dict[str, float | str] = {"jump_second": float(judged.time[sample]) - own}
        yield Told(sample, int(judged.slot[sample]), Event(own, "clock", "once", own, detail))
