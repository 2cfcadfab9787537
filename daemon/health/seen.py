"""What was over in a replayed log, by its own events: what checks were, or might have been, asked about."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from daemon.replay import States

if TYPE_CHECKING:
    from daemon.rows import Output

LOOKED_AT = ("rest", "charge", "pulse")  # kinds of events whose phases some check wants


class Rest(NamedTuple):
    """A rest that is over; in event time."""

    begin_second: float
    end_second: float
    after: str  # charge | discharge | unknown


@dataclass
class Seen(States):
    """What the fleet said of one recording, with its rests."""

    rests: list[Rest] = field(default_factory=list)
    over: Counter[str] = field(default_factory=Counter)  # kind of event -> how many
    _after: str = "unknown"  # what the newest rest came after

    def take(self, output: Output, samples: int = 0) -> None:
        """Add what came of so many samples."""
        super().take(output, samples)
        for _, event in output.events:
            if event.kind == "rest" and event.phase == "begin":
                self._after = str(event.detail["after"])
            elif event.kind in LOOKED_AT and event.phase != "begin":
                self.over[event.kind] += 1
                if event.kind == "rest":
                    self.rests.append(Rest(event.begin_second, float(event.detail["end_second"]), self._after))
