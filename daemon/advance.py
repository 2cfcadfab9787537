"""The fleet on its way through the journal: from the checkpoint to the journal's end, then block by block as they come.

    block -> fleet -> publisher -> outbox, and now and then a checkpoint

One turn at a time: a turn is over when what it brought about is in the outbox. A checkpoint is copied between two
turns, so what is behind it has been said, and what is not will be brought about again by the journal. While the disk
does not take what is to be said, the turn waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from daemon import memory
from daemon.checkpoint import Checkpoints
from daemon.errors import JournalError
from daemon.fleet import Counters
from daemon.notify import notify
from daemon.parcel import Parcel
from daemon.says import Say

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from daemon.config import Checkpoint as Rule
    from daemon.delivery import Delivery
    from daemon.fleet import Fleet
    from daemon.journal import Block, Journal, Position
    from daemon.publish import Newest, Publisher
    from daemon.rows import Output
    from daemon.wire import CellsFrame, PackState

HOUR_SECOND = 3_600.0
RETRY_SECOND = 1.0  # between tries to write the outbox
TURNS_KEPT = 1_000  # durations that the percentiles are of

P = ParamSpec("P")
T = TypeVar("T")

say = Say("service")


class Advance:
    """Moves one fleet and its publisher on, in a thread of their own."""

    def __init__(
        self,
        folder: Path,
        rule: Rule,
        fleet: Fleet,
        publisher: Publisher,
        delivery: Delivery,
        stopping: asyncio.Event,
    ) -> None:
        """Take the newest good checkpoint of a state directory."""
        self.turn_second: deque[float] = deque(maxlen=TURNS_KEPT)
        self.stale = 0  # cells, when last looked at
        self.done_second = time.monotonic()  # when the thread had last done what it was given
        self.checkpoint_second: float | None = None  # our clock, at the newest one of this process
        self._rule, self._fleet, self._publisher, self._delivery = rule, fleet, publisher, delivery
        self._stopping = stopping
        self._checkpoints = Checkpoints(folder)
        self._checkpoints.load(fleet, publisher)
        self._position = self._checkpoints.saved  # in the journal, behind the block that the fleet had last
        self._caught_up = False
        self._unsaid = False  # a turn was given up at a stop: the fleet is ahead of what was said
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tick")
        fleet.on_step = self._step_done

    @property
    def needed(self) -> Position:
        """Tell from where on the journal must stay."""
        return self._checkpoints.needed

    @property
    def is_caught_up(self) -> bool:
        """Tell whether the journal is behind us, and only what comes is ahead."""
        return self._caught_up

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    async def catch_up(self, journal: Journal, end: Position) -> bool:
        """Go through the journal behind the checkpoint, up to `end`; false where we are told to stop before."""
        began, position = time.monotonic(), self._position
        ours = position.journal == end.journal
        since = -math.inf if position.journal else time.time() - self._rule.journal_hour * HOUR_SECOND
        said = await self._delivery.position()
        blocks = journal.read(position.block if ours else 0, end.block, since)
        count = samples = 0
        try:
            while (block := await self._in_thread(next, blocks, None)) is not None:
                if self._stopping.is_set():
                    return False
                if not count and ours and block.position.block > position.block + 1:
                    say.error("gap", checkpoint=position.block, journal=block.position.block, why="blocks are missing")
                in_outbox = said.journal == block.position.journal and said.block >= block.position.block
                await self.move_on(block, in_outbox=in_outbox)
                count, samples = count + 1, samples + len(block.batch)
        except JournalError as err:
            say.error("damaged", file=err.where, why=err.what, then="we go on without the rest of it")
        finally:
            await self._in_thread(blocks.close)
        self._fleet.counters = Counters()
        self._caught_up = True
        say.info("caught up", blocks=count, samples=samples, second=round(time.monotonic() - began, 1))
        return True

    async def move_on(self, block: Block, *, in_outbox: bool = False) -> None:
        """Take one block, and put what it brings about into the outbox unless it is there already."""
        async with self._turn:
            if self._unsaid:
                return  # what follows must not be said before it
            try:
                parcel = await self._in_thread(self._push, block)
                if in_outbox:  # but for what health checks found: that comes when it comes, in one turn or another
                    await self._delivery.put_or_drop(Parcel([], parcel.events, parcel.health))
                elif not await self._put(parcel, block.position):
                    self._unsaid = True
                    return
            except Exception as err:  # noqa: BLE001 - one bad batch does not end the others; it is in the journal
                say.error("fault", err, samples=len(block.batch))
            self._position = block.position
        notify("WATCHDOG=1")

    async def _put(self, parcel: Parcel, position: Position) -> bool:
        """Put into the outbox, trying until the disk takes it; false where we are told to stop before it does."""
        while not await self._delivery.put(parcel, position):
            notify("WATCHDOG=1")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECOND):
                    await self._stopping.wait()
            if self._stopping.is_set():
                return False
        return True

    def _push(self, block: Block) -> Parcel:
        began = time.perf_counter()
        parcel = self._said(self._fleet.push(block.batch), block.received_second)
        self.turn_second.append(time.perf_counter() - began)
        return parcel

    def _finish_checks(self) -> Parcel:
        return self._said(self._fleet.catch_up(), time.time())

    def _said(self, output: Output, now_second: float) -> Parcel:
        return self._publisher.take(output, self._fleet.names, self._fleet.labels, now_second)

    async def tell_silent(self) -> None:
        """Say who has fallen silent; nobody has while we catch up, or wait for the disk."""
        if self._caught_up and not self._turn.locked():
            async with self._turn:
                parcel = await self._in_thread(self._publisher.silent, self._fleet.names, time.time())
                self.stale = await self._in_thread(self._publisher.stale, self._fleet.names)
                await self._delivery.put_or_drop(parcel)

    async def packs(self) -> list[tuple[str, PackState, CellsFrame]]:
        """Summarise each pack that has news since the last call."""
        return await self._in_thread(self._publisher.packs, self._fleet.names)

    async def newest(self) -> Newest:
        """Copy the newest row of each cell."""
        return await self._in_thread(self._publisher.newest, self._fleet.names, time.time())

    async def checkpoint(self) -> None:
        """Copy the fleet's memory between two turns, and write it while the next ones go on.

        Health checks that were asked are waited for: what they find is then part of the memory.
        """
        async with self._turn:
            position = self._position
            if self._unsaid or position == self._checkpoints.saved:
                return
            await self._delivery.put_or_drop(await self._in_thread(self._finish_checks))
            kept = await self._in_thread(memory.take, self._fleet, self._publisher)
        try:
            await self._delivery.sync()  # what is behind the checkpoint will not be brought about again
            size = await asyncio.to_thread(self._checkpoints.save, kept, position)
        except (OSError, JournalError) as err:
            say.seldom("checkpoint", "", why=err, then="the one before and the journal serve")
            return
        self.checkpoint_second = time.time()
        say.debug("checkpoint", block=position.block, bytes=size)

    async def _in_thread(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        done = await asyncio.get_running_loop().run_in_executor(self._thread, lambda: action(*args, **kwargs))
        self.done_second = time.monotonic()
        return done

    def _step_done(self) -> None:
        """Say that we live, in the thread: a block of a slow source that has waited long is an hour's work."""
        self.done_second = time.monotonic()
        notify("WATCHDOG=1")
