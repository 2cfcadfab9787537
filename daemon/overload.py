"""When input outruns us for long: less of it is taken, by one rule, until we have caught up.

Being behind is no harm for a while: messages wait at the broker. If it lasts, they would wait ever longer and at last
be dropped there without a word. So from then on, of all samples of one cell in one second of its time, the newest
alone is taken; the others are counted as `shed`. A source of one sample a second loses nothing by it.
"""

from __future__ import annotations

import numpy as np

from daemon.batch import Batch
from daemon.says import Say

BUSY_SHARE = 0.9  # of the time

say = Say("ingest")


class Overload:
    """Sums up the time that we were behind, less the time that we were not, between 0 and `after_second`.

    Behind is who finds something to read nearly always: no pause shows that all has been taken.
    """

    def __init__(self, after_second: float) -> None:
        self.active = False
        self._after = after_second
        self._behind = 0.0
        self._last: tuple[float, float] | None = None

    def note(self, now_second: float, busy_second: float) -> None:
        """Tell how long, so far, there was something to read."""
        then, busy_then = self._last or (now_second, busy_second)
        self._last = now_second, busy_second
        elapsed = now_second - then
        grows = busy_second - busy_then > BUSY_SHARE * elapsed
        self._behind = min(max(0.0, self._behind + (elapsed if grows else -elapsed)), self._after)
        if not self.active and self._behind >= self._after:
            self.active = True
            say.warning("overloaded", second=self._after, then="the newest sample of a cell and second alone is taken")
        elif self.active and self._behind <= 0.0:
            self.active = False
            say.info("no longer overloaded", then="every sample is taken")


def thin(batch: Batch) -> Batch:
    """Keep the newest sample of each cell in each second of its time, in the order of arrival."""
    order = np.lexsort((batch.unix_time_second, batch.cell))  # stable: of equal times, the last to arrive is last
    cell, second = batch.cell[order], np.floor(batch.unix_time_second[order])
    last = np.ones(len(order), dtype=bool)
    last[:-1] = (cell[1:] != cell[:-1]) | (second[1:] != second[:-1])
    return batch.pick(np.sort(order[last]))
