"""What the service has done since it started: counted where it happens, read here, published and said."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from daemon.says import Say
from daemon.wire import Metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daemon.advance import Advance
    from daemon.delivery import Delivery
    from daemon.fleet import Fleet
    from daemon.ingest import Decoder, Subscriber
    from daemon.wire import Reject

say = Say("service")


@dataclass
class Meter:
    """Reads the counters of every part; those that no part has are kept here."""

    subscriber: Subscriber
    decoder: Decoder
    fleet: Fleet
    delivery: Delivery
    advance: Advance
    offered: int = 0  # samples in messages that were acknowledged, as are the next three
    accepted: int = 0
    journaled: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    journal_bytes: int = 0
    began: float = field(default_factory=time.monotonic)

    def settle(self, samples: int) -> None:
        """Count a group of messages that is about to be acknowledged, so many samples of which are in the journal.

        Between two groups the decoder stands still: what is published balances to the last message.
        """
        self.offered, self.accepted = self.decoder.offered, self.decoder.accepted
        self.rejected = _by_name(self.decoder.rejected)
        self.journaled += samples

    async def read(self) -> Metrics:
        """Read all that is published."""
        tally = await self.delivery.tally()
        decoder, counters, now = self.decoder, self.fleet.counters, time.time()
        p50, p99 = self._tick_ms()
        checkpoint = self.advance.checkpoint_second
        received = self.subscriber.received
        return Metrics(
            unix_time_second=now,
            version=version("bmsd"),
            up_second=round(time.monotonic() - self.began, 1),
            received=received,
            unacknowledged=received - self.subscriber.settled,
            offered=self.offered,
            accepted=self.accepted,
            rejected=self.rejected,
            journaled=self.journaled,
            turned_away=_by_name(counters.refused),
            duplicate=counters.duplicate,
            late=counters.late,
            clock=counters.clock,
            rows=counters.rows,
            published=tally.produced,
            carried=tally.carried,
            waiting=tally.waiting,
            delivered=tally.delivered,
            dropped=tally.dropped,
            refused=tally.refused,
            cells=len(self.fleet),
            stale=self.advance.stale,
            tick_p50_ms=p50,
            tick_p99_ms=p99,
            journal_bytes=self.journal_bytes,
            checkpoint_age_second=None if checkpoint is None else round(now - checkpoint, 1),
            last_rejected={str(reason): last._asdict() for reason, last in list(decoder.last_rejected.items())},
        )

    def say_minute(self) -> None:
        """Say what a person would miss, in one line."""
        counters = self.fleet.counters
        say.info(
            "minute",
            received=self.subscriber.received,
            journaled=self.journaled,
            rejected=sum(self.rejected.values()),
            duplicate=counters.duplicate,
            late=counters.late,
            rows=counters.rows,
            cells=len(self.fleet),
            tick_p99_ms=self._tick_ms()[1],
            dropped=self.delivery.outbox.dropped.total(),
        )

    def _tick_ms(self) -> tuple[float, float]:
        p50, p99 = np.percentile(list(self.advance.turn_second) or [0.0], [50, 99]) * 1_000
        return round(float(p50), 3), round(float(p99), 3)


def _by_name(counts: Mapping[Reject, int]) -> dict[str, int]:
    """Name what is counted; its thread may go on counting meanwhile."""
    return {str(reason): count for reason, count in dict(counts).items()}
