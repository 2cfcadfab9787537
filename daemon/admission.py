"""Which samples the grid takes: each cell's clock only goes forward, and what does not fit is counted apart.

A time that the cell has had before is a `duplicate`. An older one, never seen, is `late`. One that is older
than `late_second`, or newer than `jump_second`, comes from a clock that jumped: it is dropped until
`clock_recovery_sample` of them in a row agree with each other; the last of those is `anchored`, and the cell
goes on from there. Only times count here, so that a cell's verdicts depend on its own samples alone, and on
their order, never on how they were batched.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daemon.slots import Slots, by_slot, column, waves
from daemon.wire import EARLIEST_SECOND, LATEST_SECOND

if TYPE_CHECKING:
    from daemon.config import Grid

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
REMEMBERED = 256  # times per cell that a duplicate is told by
MANY = 10_000  # samples taken in a row are counted up to here (the longest `clock_recovery_sample`)


class Verdict(enum.IntEnum):
    """What becomes of a sample."""

    ACCEPTED = 0
    ANCHORED = 1  # accepted, on a clock that jumped
    DUPLICATE = 2
    LATE = 3
    CLOCK = 4
    INVALID = 5  # not a number, or no time at all


@dataclass(slots=True)
class Clocks:
    """What each cell's clock has said."""

    newest: Float = column(np.nan)  # time of the newest sample taken
    seen: Float = column(np.nan, np.float64, REMEMBERED)  # times taken lately, a ring
    seen_next: NDArray[np.int32] = column(0, np.int32)
    stray: Float = column(np.nan)  # newest time on another clock
    strays: NDArray[np.int32] = column(0, np.int32)  # in a row that agree
    steady: NDArray[np.int32] = column(MANY, np.int32)  # taken in a row since the last stray
    disturbed: Bool = column(0, np.bool_)  # a stray came since the last sample taken


@dataclass(frozen=True, slots=True)
class Admission:
    """Samples in their order of arrival, and what becomes of each."""

    slot: Slots  # [sample]
    time: Float
    verdict: NDArray[np.int8]  # of Verdict
    disturbed: Bool  # taken, after a clock jump
    jump_from_second: Float  # the cell's own time, where a clock jump begins that is worth telling; else NaN


def admit(clocks: Clocks, slot: Slots, time: Float, sound: Bool, rule: Grid) -> Admission:
    """Judge samples in their order of arrival; those not `sound` (NaN in a value) are invalid."""
    none = np.zeros(len(slot), dtype=bool)
    judged = Admission(slot, time, np.full(len(slot), Verdict.INVALID, dtype=np.int8), none, np.full(len(slot), np.nan))
    valid = np.flatnonzero(sound & (time >= EARLIEST_SECOND) & (time <= LATEST_SECOND))  # NaN is neither
    order, begins = by_slot(slot[valid])
    rows = valid[order]
    plain = _plain(clocks, judged, rows, begins, rule)
    _take_plain(clocks, judged, rows[plain], begins[plain])
    rows = np.sort(rows[~plain])
    for wave in waves(slot[rows]):
        _take_round(clocks, judged, rows[wave], rule)
    return judged


def _plain(clocks: Clocks, judged: Admission, rows: Slots, begins: Bool, rule: Grid) -> Bool:
    """Find the cells whose every sample simply follows the one before: the common case, taken without rounds."""
    time = judged.time[rows]
    before = np.empty_like(time)
    before[1:] = time[:-1]
    before[begins] = clocks.newest[judged.slot[rows[begins]]]
    follows = np.isnan(before) | ((time > before) & (time <= before + rule.jump_second))
    cell = np.cumsum(begins) - 1
    plain: Bool = ~np.isin(cell, cell[~follows])
    return plain


def _take_plain(clocks: Clocks, judged: Admission, rows: Slots, begins: Bool) -> None:
    """Take whole cells whose samples (`rows`, by slot) all follow one another."""
    if not len(rows):
        return
    first = np.flatnonzero(begins)
    count = np.diff(np.append(first, len(rows)))
    cells = judged.slot[rows[first]]
    place = np.arange(len(rows)) - np.repeat(first, count)
    kept = place >= np.repeat(count, count) - REMEMBERED  # of many, the last ones fill the ring
    ring = (np.repeat(clocks.seen_next[cells], count) + place) % REMEMBERED
    clocks.seen[judged.slot[rows[kept]], ring[kept]] = judged.time[rows[kept]]
    clocks.seen_next[cells] = (clocks.seen_next[cells] + count) % REMEMBERED
    clocks.newest[cells] = judged.time[rows[first + count - 1]]
    clocks.strays[cells] = 0
    clocks.steady[cells] = np.minimum(clocks.steady[cells] + count, MANY)
    judged.verdict[rows] = Verdict.ACCEPTED
    judged.disturbed[rows[first]] = clocks.disturbed[cells]
    clocks.disturbed[cells] = False


def _take_round(clocks: Clocks, judged: Admission, rows: Slots, rule: Grid) -> None:
    """Judge one sample of each of some cells."""
    s, t = judged.slot[rows], judged.time[rows]
    newest, stray, strays, steady = clocks.newest[s], clocks.stray[s], clocks.strays[s], clocks.steady[s]
    known = ~np.isnan(newest)
    seen = (clocks.seen[s] == t[:, None]).any(axis=1) | ((strays > 0) & (t == stray))
    off = known & ~seen & ((t < newest - rule.late_second) | (t > newest + rule.jump_second))
    late = known & ~seen & ~off & (t <= newest)
    agrees = (strays > 0) & (t > stray) & (t <= stray + rule.jump_second)
    strays = np.where(off, np.where(agrees, strays + 1, 1), np.where(seen, strays, 0))
    anchored = off & (strays >= rule.clock_recovery_sample)
    taken = anchored | ~(seen | off | late)

    told = off & ~anchored & (steady >= rule.clock_recovery_sample)
    judged.jump_from_second[rows[told]] = newest[told]
    judged.disturbed[rows] = taken & clocks.disturbed[s]
    judged.verdict[rows] = Verdict.ACCEPTED
    judged.verdict[rows[off]] = Verdict.CLOCK
    judged.verdict[rows[anchored]] = Verdict.ANCHORED
    judged.verdict[rows[late]] = Verdict.LATE
    judged.verdict[rows[seen]] = Verdict.DUPLICATE

    clocks.disturbed[s] = (clocks.disturbed[s] | off) & ~taken
    clocks.stray[s] = np.where(off, t, stray)
    clocks.strays[s] = np.where(taken, 0, strays)
    clocks.steady[s] = np.where(off, 0, np.minimum(steady + taken, MANY))
    clocks.newest[s[taken]] = t[taken]
    clocks.seen[s[anchored]] = np.nan  # times of the clock that was left
    ring = clocks.seen_next[s[taken]]
    clocks.seen[s[taken], ring] = t[taken]
    clocks.seen_next[s[taken]] = (ring + 1) % REMEMBERED
