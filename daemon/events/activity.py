"""Rest, charge and discharge, by scores.

Each second is one of rest, charge or discharge by its current, and adds to or takes from a score of each. An
activity begins when its score is full, with the second at which the score left zero as its beginning, and ends
when another begins, when its own score is used up, or at a gap. So a drive's regeneration is no charge, its
stops are no rests, and a pulse of some seconds does not end a rest. What ends a rest began when the rest was first
disturbed, though it may have begun with a stop or two.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daemon.events.wave import NO_TURNS, NOTHING, Float, Int, Turns, Wave
from daemon.slots import Slots, column


class Activity(enum.IntEnum):
    """What a cell does."""

    REST = 0
    CHARGE = 1
    DISCHARGE = 2


REST, CHARGE, DISCHARGE = map(int, Activity)  # as plain numbers: names of an enum are slow to look up
FULL = np.array([60, 60, 30], dtype=np.int16)  # [activity] seconds in a row that establish it
SMOOTH_SECOND, FAR = 4.0, 3.0  # far from rest: so many times the current below which a cell rests
ALONE = np.diag(FULL)  # [activity, activity] scores of a cell that does one thing only
ADDS = np.array(  # [what this second is, activity]
    [
        [1, -1, 0],  # a drive that coasts between two brakings is not charged
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
    before: NDArray[np.int8] = column(NOTHING, np.int8)  # the newest charge or discharge: what a rest comes after
    score: NDArray[np.int16] = column(0, np.int16, len(Activity))
    since: Int = column(0, np.int64, len(Activity))  # the second in which the score left zero
    left: Int = column(0, np.int64)  # the second in which the score of rest was full no more
    smooth: Float = column(0.0)  # [A] the current over some seconds; what is far from rest counts as just far

    def doing(self, wave: Wave, resting_below: Float) -> NDArray[np.int8]:
        """Tell what each cell does in this second; one that a noisy sensor lifts out of a rest, rests."""
        ampere, slots = wave.current_ampere, wave.slot
        near = FAR * resting_below
        smooth = self.smooth[slots]
        smooth += (np.minimum(np.maximum(ampere, -near), near) - smooth) / SMOOTH_SECOND
        self.smooth[slots] = smooth
        size = np.abs(ampere)
        rests = (size < resting_below) | ((size < near) & (np.abs(smooth) < resting_below))
        return np.where(rests, REST, np.where(ampere > 0, CHARGE, DISCHARGE)).astype(np.int8)

    def advance(self, wave: Wave, doing: NDArray[np.int8]) -> Turns:
        """Move every cell on by a second of doing something."""
        rows = self._unsettled(wave, doing)
        if not len(rows):
            return NO_TURNS
        doing, slots, second, each = doing[rows], wave.slot[rows], wave.second[rows], np.arange(len(rows))
        was, begin, last = self.now[slots], self.begin[slots], self.last[slots]
        score = self.score[slots]
        after = np.minimum(np.maximum(score + ADDS[doing], 0), FULL)
        since = np.where((score == 0) & (after > 0), second[:, None], self.since[slots])
        full = after[each, doing] == FULL[doing]
        after[full] = ALONE[doing[full]]
        begins = full & (was != doing)
        ends = (was != NOTHING) & (begins | (after[each, was] == 0))
        resting = was == REST
        left = np.where(resting & (score[:, REST] == FULL[REST]), second, self.left[slots])
        began = np.where(resting & (doing != REST), np.minimum(left, since[each, doing]), since[each, doing])

        now = np.where(begins, doing, np.where(ends, NOTHING, was))
        self.now[slots] = now
        self.begin[slots] = np.where(begins, began, begin)
        self.last[slots] = np.where(now == doing, second, last)
        self.before[slots] = np.where(begins & (doing != REST), doing, self.before[slots])
        self.score[slots], self.since[slots], self.left[slots] = after, since, left
        turns = begins | ends
        if not turns.any():
            return NO_TURNS
        turn = np.flatnonzero(turns)
        return Turns(
            rows[turn],
            np.where(ends, was, NOTHING)[turn],
            begin[turn],
            np.where(begins, began, last + 1)[turn],
            np.where(begins, doing, NOTHING)[turn],
            began[turn],
        )

    def _unsettled(self, wave: Wave, doing: NDArray[np.int8]) -> Slots:
        """Leave out the cells that go on with what they do and have nothing else in mind: most, most of the time."""
        settled = (self.now[wave.slot] == doing) & (self.score[wave.slot] == ALONE[doing]).all(axis=1)
        self.last[wave.slot[settled]] = wave.second[settled]
        return np.flatnonzero(~settled)
