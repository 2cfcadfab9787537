"""What becomes of a check's SOH: taken into the cell's own, or told and left alone.

It counts from a fixed number of the cell's seconds after the phase closed, however samples fell into batches and
however long the check took: a replay and a live day give the same bits.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daemon.slots import Slots, column

if TYPE_CHECKING:
    from estimators.check import Report, Standing

WAIT_STEPS = 60  # of a cell's seconds, from the end of a phase until what is found of it counts
QUEUE = 8  # SOHs that may wait for one cell at a time
DISAGREES = 3.0  # standard deviations
NEVER = np.iinfo(np.int64).max


class Effect(enum.StrEnum):
    """What became of a SOH."""

    NONE = "none"  # the check gave none, or one from outside of its domain
    TAKEN = "taken"
    DISAGREES = "disagrees"  # too far from what is believed for both to be right: told, not taken
    RISES = "rises"  # cells do not get better: told, not taken


def judge(standing: Standing, report: Report) -> Effect:
    """Decide by how the cell stood when the phase closed."""
    soh, std = report.values.get("soh", math.nan), report.std.get("soh", math.nan)
    if report.refused is not None or not report.in_domain or not math.isfinite(soh + std + standing.soh):
        return Effect.NONE
    surprise = soh - standing.soh
    if abs(surprise) > DISAGREES * math.hypot(standing.soh_std, std):
        return Effect.DISAGREES
    share = standing.soh_std**2 / max(standing.soh_std**2 + std**2, 1e-12)
    return Effect.RISES if share * surprise > standing.soh_std else Effect.TAKEN


@dataclass(slots=True)
class Waiting:
    """SOHs on their way into the cells' states, and how many seconds each cell has been stepped."""

    step: NDArray[np.int64] = column(0, np.int64)
    next: NDArray[np.int64] = column(NEVER, np.int64)  # the earliest of the following
    at: NDArray[np.int64] = column(NEVER, np.int64, QUEUE)
    soh: NDArray[np.float64] = column(np.nan, np.float64, QUEUE)
    std: NDArray[np.float64] = column(np.nan, np.float64, QUEUE)


class Due(NamedTuple):
    """SOHs that count from now on, each cell at most once."""

    slot: Slots
    soh: NDArray[np.float64]
    std: NDArray[np.float64]


def put(waiting: Waiting, slot: int, at: int, soh: float, std: float) -> bool:
    """Let a SOH wait for its cell's step `at`; false where too many wait for it already."""
    free = np.flatnonzero(waiting.at[slot] == NEVER)[:1]
    waiting.at[slot, free], waiting.soh[slot, free], waiting.std[slot, free] = at, soh, std
    waiting.next[slot] = waiting.at[slot].min()
    return bool(len(free))


def pass_second(waiting: Waiting, slots: Slots) -> Due | None:
    """Let one second of some cells pass; what is due in it is given once. None: nothing."""
    waiting.step[slots] += 1
    slots = slots[waiting.next[slots] <= waiting.step[slots]]
    if not len(slots):
        return None
    first = waiting.at[slots].argmin(axis=1)
    due = Due(slots, waiting.soh[slots, first], waiting.std[slots, first])
    waiting.at[slots, first] = NEVER
    waiting.next[slots] = waiting.at[slots].min(axis=1)
    return due
