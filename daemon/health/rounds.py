"""From phases that are over to the cells' SOH: asks the examiner, tells what it found, lets SOHs wait their turn.

A cell that a check can never judge is refused at each charge of its life: a refusal that lasts is told once, and again
when there was something else to tell in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daemon.health.fold import WAIT_STEPS, Effect, Waiting, put
from daemon.slots import column
from daemon.wire import Event
from estimators.check import LASTING, Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import DataclassInstance

    from daemon.grid import Closed
    from daemon.health.examiner import Examiner, Found
    from daemon.rows import Closing
    from daemon.slots import Slots
    from daemon.wire import Health

BLOCK_WAVES = WAIT_STEPS  # seconds of a cell that are stepped before phases in them are asked about


CHECKS_MOST = 16  # whose refusals are remembered
REASONS = (None, *Refusal)


@dataclass(slots=True)
class Refused:
    """Why each check, by its number, refused each cell at last; an index into `REASONS`."""

    reason: NDArray[np.int8] = column(0, np.int8, CHECKS_MOST)


class Rounds:
    """The checks of one fleet. Without an examiner nothing is asked."""

    def __init__(self, examiner: Examiner | None) -> None:
        """Begin with no cells."""
        self.waiting, self.refused = Waiting(), Refused()
        self._ask = None if examiner is None else examiner.ask
        self._collect = None if examiner is None else examiner.collect

    @property
    def states(self) -> tuple[DataclassInstance, ...]:
        """All that has a row for each slot."""
        return self.waiting, self.refused

    def ask(self, closings: Sequence[Closing], closed: Closed) -> None:
        """Have phases looked at that ended among the seconds that were stepped last."""
        if self._ask is not None:
            for closing in closings:
                slot = closing.phase.slot
                since = int(np.count_nonzero((closed.slot == slot) & (closed.second > closing.phase.second)))
                self._ask(closing, int(self.waiting.step[slot]) - since + WAIT_STEPS)

    def collect(
        self, names: Sequence[str | None], seconds: int | None = None
    ) -> tuple[list[tuple[str, Health]], list[tuple[str, Event]]]:
        """Give reports, and events where a SOH was not taken.

        What may count within so many of a cell's next seconds is waited for; None: everything is.
        """
        if self._collect is None:
            return [], []
        step = self.waiting.step

        def due(closing: Closing, at: int) -> bool:
            return seconds is None or at <= step[closing.phase.slot] + seconds

        reports, events = [], []
        for found in self._collect(due):
            name, slot = found.closing.cell, found.closing.phase.slot
            if names[slot] == name and self._is_known(found):
                continue
            if found.effect is Effect.TAKEN and names[slot] == name:
                soh, std = found.report.values["soh"], found.report.std["soh"]
                put(self.waiting, slot, found.due_step, soh, std)
            reports.append((name, found.wire()))
            if found.effect in {Effect.DISAGREES, Effect.RISES}:
                events.append((name, _event(found)))
        return reports, events

    def _is_known(self, found: Found) -> bool:
        """Tell whether a refusal that lasts was told before; remember it."""
        if found.number >= CHECKS_MOST:
            return False
        reasons, reason = self.refused.reason[found.closing.phase.slot], found.report.refused
        before, reasons[found.number] = REASONS[reasons[found.number]], REASONS.index(reason)
        return reason == before and reason in LASTING


def blocks(waves: Sequence[Slots]) -> list[Slots]:
    """Part waves into blocks short enough that no phase of a block counts within it: rows in the order of closing."""
    parts = (waves[i : i + BLOCK_WAVES] for i in range(0, len(waves), BLOCK_WAVES))
    return [np.sort(np.concatenate(part)) for part in parts]


def _event(found: Found) -> Event:
    phase, standing, report = found.closing.phase, found.closing.standing, found.report
    detail: dict[str, float | str] = {
        "check": report.check,
        "said_soh": report.values["soh"],
        "said_soh_std": report.std["soh"],
        "soh": standing.soh,
        "soh_std": standing.soh_std,
    }
    return Event(float(phase.second), f"soh_{found.effect}", "once", phase.begin_second, detail)
