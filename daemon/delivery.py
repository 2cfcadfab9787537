"""Parcels -> outbox -> every sink, each at its own pace: one that is away holds up nothing but itself."""

from __future__ import annotations

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from daemon.errors import JournalError, SinkError
from daemon.jitter import full_jitter
from daemon.outbox import Outbox
from daemon.says import Say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from daemon.config import Outbox as Rule
    from daemon.journal import Position
    from daemon.outbox import Tally
    from daemon.parcel import Parcel
    from daemon.sinks.contract import Sink

P = ParamSpec("P")
T = TypeVar("T")

say = Say("delivery")


class Delivery:
    """The outbox and the sinks."""

    def __init__(self, folder: Path, rule: Rule, sinks: Sequence[Sink]) -> None:
        """Open the outbox. Raises JournalError."""
        self.outbox = Outbox(folder, rule, [sink.name for sink in sinks])
        self._sinks = sinks
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        self._news = {sink.name: asyncio.Event() for sink in sinks}
        self._draining = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Begin to deliver, first what waited on disk. Raises JournalError where a sink has no disk to write to."""
        for sink in self._sinks:
            await sink.open()
            self._news[sink.name].set()
            self._tasks.append(asyncio.create_task(self._carry(sink), name=f"sink {sink.name}"))

    async def put(self, parcel: Parcel, position: Position | None = None) -> bool:
        """Keep what a block of the journal brought about for every sink; false where the disk does not take it."""
        if not len(parcel) or not self._sinks:
            return True
        try:
            await self._run(self.outbox.add, parcel, time.time(), position)
        except JournalError as err:
            say.seldom("outbox", err.what, why=err.what, where=err.where, mend=err.mend)
            return False
        for news in self._news.values():
            news.set()
        return True

    async def put_or_drop(self, parcel: Parcel) -> None:
        """Keep what the clock brought about for every sink; what the disk does not take is dropped and counted."""
        if not await self.put(parcel):
            self.outbox.drop(len(parcel))

    async def trim(self) -> None:
        """Drop what is too old or too much."""
        while await self._run(self.outbox.trim, time.time()):
            pass

    async def tally(self) -> Tally:
        """Count what became of everything."""
        return await self._run(self.outbox.tally)

    async def position(self) -> Position:
        """Tell the block of the journal that brought about the newest parcel."""
        return await self._run(lambda: self.outbox.position)

    async def sync(self) -> None:
        """Return when all that was put would survive a power cut. Raises JournalError."""
        await self._run(self.outbox.sync)

    async def close(self, patience_second: float) -> None:
        """Deliver what waits, as far as that can be done in time; the rest stays on disk."""
        self._draining.set()
        for news in self._news.values():
            news.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience_second)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for sink in self._sinks:
            await sink.close()
        self._thread.shutdown()
        self.outbox.close()

    async def _carry(self, sink: Sink) -> None:
        """Bring one sink what waits for it, until draining finds no more or fails."""
        news, attempt = self._news[sink.name], 0
        while True:
            await news.wait()
            await self._pause(sink.gather_second)
            news.clear()
            last = self._draining.is_set()
            while True:
                try:
                    if not await self._carry_some(sink):
                        break
                except Exception as err:  # noqa: BLE001 - a sink's fault, of whatever kind, is its own
                    attempt += 1
                    await self._back_off(sink, err, attempt)
                    if self._draining.is_set():
                        return
                else:
                    attempt = 0
            if last:
                return

    async def _carry_some(self, sink: Sink) -> bool:
        """Bring one sink the oldest of what waits for it; false where nothing does."""
        batch = await self._run(self.outbox.next, sink.name, sink.batch_items)
        if batch is None:
            return False
        upto, parcel = batch
        refused = await sink.deliver(parcel)
        for one in refused:
            say.seldom("refused", f"{sink.name}{one.why}", sink=sink.name, item=one.item, why=one.why)
        await self._run(self.outbox.done, sink.name, upto, refused, time.time())
        return True

    async def _back_off(self, sink: Sink, err: Exception, attempt: int) -> None:
        """Say why, and wait."""
        if isinstance(err, (SinkError, JournalError)):
            say.seldom("unavailable", f"{sink.name}{err.what}", sink=sink.name, why=err.what, mend=err.mend)
        else:
            say.error("fault", err, sink=sink.name)
        await self._pause(full_jitter(attempt))

    async def _pause(self, second: float) -> None:
        """Sleep, though not while draining."""
        if second > 0.0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(second):
                    await self._draining.wait()

    async def _run(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something with the outbox, in its thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: action(*args, **kwargs))
