"""The service: telemetry in, states out, until told to stop.

    Subscriber -> [journal thread: decode, commit] -> acknowledge -> [tick thread: fleet, publisher] -> outbox -> sinks

Each arrow is bounded: unacknowledged messages by `mqtt.unacknowledged_max`, blocks between journal and tick
by BLOCKS_MAX, what waits for sinks by the outbox on disk. Nothing is lost between acknowledgement and disk. The
fleet's memory goes to a checkpoint now and then; a start takes the newest one and goes through the journal behind it,
by the same code, before it goes on with what comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import TYPE_CHECKING

from daemon import says
from daemon.advance import Advance
from daemon.batch import BatchBuilder
from daemon.delivery import Delivery
from daemon.errors import BmsdError, JournalError
from daemon.fleet import Fleet
from daemon.health.checks import examiner
from daemon.http.pulse import Pulse
from daemon.http.routes import Sources
from daemon.http.server import Server
from daemon.ingest import Decoder, Message, Subscriber
from daemon.journal import Journal
from daemon.meter import Meter
from daemon.notify import notify
from daemon.overload import Overload
from daemon.publish import Publisher
from daemon.says import Say
from daemon.sinks.influx import InfluxSink
from daemon.sinks.mqtt import MqttSink
from daemon.sinks.sqlite import SqliteSink
from daemon.wire import encode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TextIO

    from daemon.batch import Batch
    from daemon.config import Config
    from daemon.journal import Block
    from daemon.sinks.contract import Sink

BLOCKS_MAX = 4  # between journal and tick; with them full, messages wait unacknowledged
BEAT_SECOND = 1.0  # at most, between looks at what the clock brings: stale cells, summaries, retention, watchdog
TRIM_SECOND = 10.0
MINUTE_SECOND = 60.0
DRAIN_SECOND = 3.0  # for the sinks to take what waits, when told to stop
RETRY_SECOND = 1.0  # between tries to write the journal

say = Say("service")


class Service:
    """Everything that runs between start and stop."""

    def __init__(self, config: Config, reread: Callable[[], Config]) -> None:
        """Open what is on disk and load the weights; `reread` reads the configuration again, for SIGHUP.

        Raises ConfigError, WeightsError, JournalError.
        """
        self._config, self._reread = config, reread
        folder = config.service.state_directory
        self._stopping = asyncio.Event()
        self._lock = _lock(folder)
        self._examiner = examiner(config.health)
        self._fleet = Fleet(config, examiner=self._examiner)
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(config.service.torch_threads)
        self._journal = Journal(folder, config.journal)
        self._journal_end = self._journal.end  # at the start: what follows comes by the queue
        self._mqtt = MqttSink(config) if config.sinks.mqtt.enabled else None
        self._delivery = Delivery(folder, config.sinks.outbox, self._make_sinks(folder))
        self._decoder, self._publisher = Decoder(config.mqtt, config.cells), Publisher(config)
        self._subscriber = Subscriber(config.mqtt)
        self._overload = Overload(config.mqtt.shed_after_second)
        self._advance = Advance(folder, config.checkpoint, self._fleet, self._publisher, self._delivery, self._stopping)
        self._blocks: asyncio.Queue[Block | None] = asyncio.Queue(BLOCKS_MAX)
        self._journal_thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._meter = Meter(self._subscriber, self._decoder, self._fleet, self._delivery, self._advance)
        self._meter.journal_bytes = self._journal.bytes
        sources = Sources(self._pulse, self._meter.read, self._advance.newest)
        self._http = Server(config.http, sources) if config.http.enabled else None

    def _make_sinks(self, folder: Path) -> list[Sink]:
        sinks, gather = self._config.sinks, self._config.sinks.outbox.flush_second
        made: list[Sink] = [self._mqtt] if self._mqtt else []
        made += [SqliteSink(folder, sinks.sqlite, gather)] if sinks.sqlite.enabled else []
        made += [InfluxSink(sinks.influx, gather)] if sinks.influx.enabled else []
        return made

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; then take no more, finish what is here and leave."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        await self._delivery.open()
        async with asyncio.TaskGroup() as tasks:
            connecting = tasks.create_task(self._subscriber.start())
            ingesting = tasks.create_task(self._ingest())
            ticking = tasks.create_task(self._tick())
            beating = tasks.create_task(self._beat())
            keeping = tasks.create_task(self._keep())
            serving = tasks.create_task(self._http.serve()) if self._http else None
            say.info("started", version=version("bmsd"), estimators=",".join(self._fleet.labels), pid=os.getpid())
            notify("READY=1")
            await self._stopping.wait()
            notify("STOPPING=1")
            say.info("stopping")
            connecting.cancel()
            if serving:
                serving.cancel()
            self._subscriber.stop()
            await ingesting
            await self._blocks.put(None)
            await ticking
            await beating
            await keeping
        await self._advance.checkpoint()
        await self._show_metrics()
        await self._subscriber.close()
        await self._delivery.close(DRAIN_SECOND)
        self._journal_thread.shutdown()
        self._advance.close()
        if self._examiner is not None:
            self._examiner.close()
        self._journal.close()
        self._lock.close()
        say.info("stopped", journaled=self._meter.journaled, published=self._delivery.outbox.produced)

    async def _ingest(self) -> None:
        """Messages -> journal -> acknowledgement -> batches for the tick."""
        loop = asyncio.get_running_loop()
        async for group in self._subscriber.groups():
            if self._advance.is_caught_up:  # until then it is no overload that input waits
                self._overload.note(time.monotonic(), self._subscriber.busy_second)
            batch = await loop.run_in_executor(self._journal_thread, self._decode, group)
            block = None
            if len(batch) and (block := await self._journal_it(batch)) is None:
                return
            self._meter.settle(len(batch))
            self._subscriber.acknowledge(group)
            if block is not None:
                await self._blocks.put(block)

    def _decode(self, group: list[Message]) -> Batch:
        builder = BatchBuilder()
        for message in group:
            self._decoder.take(message.topic, message.payload, message.arrival_second, builder)
        batch = builder.build()
        return self._decoder.shed(batch) if self._overload.active else batch

    async def _journal_it(self, batch: Batch) -> Block | None:
        """Commit a batch, trying until the disk takes it; None where we are told to stop before it does."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return await loop.run_in_executor(self._journal_thread, self._journal.append, batch, time.time())
            except JournalError as err:
                say.seldom("journal", err.what, why=err.what, where=err.where, mend=err.mend, then="not acknowledged")
                if await _elapses(RETRY_SECOND, self._stopping):
                    return None

    async def _tick(self) -> None:
        """What the journal has beyond the checkpoint -> states, then what comes, until None."""
        caught_up = await self._advance.catch_up(self._journal, self._journal_end)
        while (block := await self._blocks.get()) is not None:
            if caught_up:  # else we stop, and the next start finds it in the journal
                await self._advance.move_on(block)

    async def _keep(self) -> None:
        """Write a checkpoint now and then."""
        while not await _elapses(self._config.checkpoint.every_second, self._stopping):
            await self._advance.checkpoint()

    async def _beat(self) -> None:
        """Do what the clock brings. A turn passes through the tick's thread, so a stuck one stops the watchdog."""
        due = dict.fromkeys(("packs", "metrics", "trim"), 0.0)
        minute = time.monotonic() + MINUTE_SECOND
        while not await _elapses(min(BEAT_SECOND, self._config.publish.pack_second), self._stopping):
            now, rule = time.monotonic(), self._config.publish
            await self._advance.tell_silent()
            if self._mqtt and now >= due["packs"]:
                due["packs"] = now + rule.pack_second
                self._mqtt.show(await self._advance.packs())
            if now >= due["metrics"]:
                due["metrics"] = now + rule.metrics_second
                await self._show_metrics()
            if now >= due["trim"]:
                due["trim"] = now + TRIM_SECOND
                await self._trim()
            if now >= minute:
                minute = now + MINUTE_SECOND
                self._meter.say_minute()
            notify("WATCHDOG=1")

    async def _trim(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            needed = self._advance.needed
            while await loop.run_in_executor(self._journal_thread, self._journal.trim, time.time(), needed):
                pass
            self._meter.journal_bytes = await loop.run_in_executor(self._journal_thread, lambda: self._journal.bytes)
            await self._delivery.trim()
        except JournalError as err:
            say.seldom("retention", err.what, why=err.what, where=err.where)

    def _reload(self) -> None:
        """Read the configuration again; take what can be taken while running, and name the rest."""
        try:
            new = self._reread()
        except BmsdError as err:
            say.error("reload refused", why=err.what)
            return
        old = self._config
        service = old.service.model_copy(update={"log_level": new.service.log_level})
        taken = old.model_copy(update={"publish": new.publish, "service": service})
        waiting = [name for name in type(new).model_fields if getattr(new, name) != getattr(taken, name)]
        self._config = taken
        says.set_level(taken.service.log_level)
        self._publisher.reload(taken)
        if self._mqtt:
            self._mqtt.reload(taken)
        say.info("reloaded", taken="publish,service.log_level", needs_restart=",".join(waiting) or "nothing")

    def _pulse(self) -> Pulse:
        connected = {"telemetry": self._subscriber.is_up}
        if self._mqtt:
            connected["states"] = self._mqtt.is_up
        return Pulse(time.monotonic() - self._advance.done_second, connected)

    async def _show_metrics(self) -> None:
        if self._mqtt:
            try:
                self._mqtt.show_metrics(encode(await self._meter.read()))
            except JournalError as err:
                say.seldom("metrics", err.what, why=err.what, where=err.where)


async def _elapses(second: float, event: asyncio.Event) -> bool:
    """Wait; true where the event came first."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(second):
            return await event.wait()
    return False


def _lock(folder: Path) -> TextIO:
    """Take the state directory for ourselves, until the process ends. Raises JournalError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("w")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as err:
        mend = "give each its own service.state_directory and mqtt.client_id"
        raise JournalError("another bmsd runs on this state directory", where=str(folder), mend=mend) from err
    except OSError as err:
        mend = "make it writable, or set service.state_directory"
        raise JournalError(f"cannot write: {err}", where=str(folder), mend=mend) from err
    return file
