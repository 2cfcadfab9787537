"""What the service has done since it started: counted where it happens, read here, published and said."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from daemon.says import Say
from daemon.wire import Metrics

if TYPE_CHECKING:
    from daemon.delivery import Delivery
    from daemon.fleet import Fleet
    from daemon.ingest import Decoder, Subscriber

TICKS_KEPT = 1_000  # durations that the percentiles are of

say = Say("service")


@dataclass
class Meter:
    """Reads the counters of every part; those that no part has are kept here."""

    subscriber: Subscriber
    decoder: Decoder
    fleet: Fleet
    delivery: Delivery
    journaled: int = 0
    journal_bytes: int = 0
    tick_second: deque[float] = field(default_factory=lambda: deque(maxlen=TICKS_KEPT))
    began: float = field(default_factory=time.monotonic)

    async def read(self) -> Metrics:
        """Read all that is published."""
        decoder, counters, outbox = self.decoder, self.fleet.counters, self.delivery.outbox
        waiting = await self.delivery.waiting()
        p50, p99 = self._tick_ms()
        return Metrics(
            unix_time_second=time.time(),
            version=version("bmsd"),
            up_second=round(time.monotonic() - self.began, 1),
            received=self.subscriber.received,
            accepted=decoder.accepted,
            rejected=dict(self._rejected()),
            journaled=self.journaled,
            duplicate=counters.duplicate,
            late=counters.late,
            clock=counters.clock,
            rows=counters.rows,
            published=self.delivery.published,
            waiting={sink: of.items for sink, of in waiting.items()},
            delivered=dict(outbox.delivered),
            dropped=dict(outbox.dropped),
            refused=dict(outbox.refused),
            cells=len(self.fleet),
            tick_p50_ms=p50,
            tick_p99_ms=p99,
            journal_bytes=self.journal_bytes,
            last_rejected={str(reason): last._asdict() for reason, last in list(decoder.last_rejected.items())},
        )

    def say_minute(self) -> None:
        """Say what a person would miss, in one line."""
        counters = self.fleet.counters
        say.info(
            "minute",
            received=self.subscriber.received,
            journaled=self.journaled,
            rejected=self._rejected().total(),
            duplicate=counters.duplicate,
            late=counters.late,
            rows=counters.rows,
            cells=len(self.fleet),
            tick_p99_ms=self._tick_ms()[1],
            dropped=self.delivery.outbox.dropped.total(),
        )

    def _rejected(self) -> Counter[str]:
        """Add up what the decoder and the fleet did not take; both go on counting in their threads."""
        total: Counter[str] = Counter()
        for counts in (self.decoder.rejected, self.fleet.counters.refused):
            total.update({str(reason): count for reason, count in dict(counts).items()})
        return total

    def _tick_ms(self) -> tuple[float, float]:
        p50, p99 = np.percentile(list(self.tick_second) or [0.0], [50, 99]) * 1_000
        return round(float(p50), 3), round(float(p99), 3)
