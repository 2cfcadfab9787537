"""Gaps and clock jumps, told as events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from daemon.events.wave import Float, Told
from daemon.wire import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.admission import Admission
    from daemon.grid import Gaps


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
