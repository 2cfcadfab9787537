"""daemon/advance.py: killed between any two steps, it brings about what it would have, health reports too."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import closing

import numpy as np
import pytest

from daemon import memory, models
from daemon.advance import Advance
from daemon.batch import Batch
from daemon.checkpoint import read_header
from daemon.config import Cells, Checkpoint, Config, HealthChecks, Outbox, PackRule
from daemon.config import Journal as Rule
from daemon.delivery import Delivery
from daemon.errors import JournalError
from daemon.fleet import Fleet
from daemon.health.examiner import Examiner
from daemon.journal import Journal, Position
from daemon.models import Model
from daemon.publish import Publisher
from tests.daemon.counting import Counting, write_cell_type
from tests.daemon.health.test_rounds import Judging, Refusing, samples

BATCH = 150
RECEIVED = float(int(time.time()))


class Shelf:
    """A sink that keeps a thing once, and counts how often it came."""

    name, batch_items, gather_second = "shelf", 1_000, 0.0

    def __init__(self) -> None:
        self.states, self.events, self.health, self.came = {}, {}, {}, 0

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def deliver(self, parcel) -> list:
        self.came += len(parcel.states)
        self.states |= {(name, s.unix_time_second): (s.soc, s.soh, s.flags) for name, s in parcel.states}
        self.events |= {(name, e.unix_time_second, e.kind, e.phase): e.detail for name, e in parcel.events}
        self.health |= {(name, h.unix_time_second, h.check): (h.values, h.soh_effect) for name, h in parcel.health}
        return []


class Process:
    """What stands between the journal and the sinks while a process lives."""

    def __init__(self, folder, config, shelf):
        self.journal = Journal(folder, Rule())
        self.examiner = Examiner(lambda: [Judging(delay_second=0.01), Refusing(name="refusing")], HealthChecks())
        self.fleet, self.publisher = Fleet(config, None, self.examiner), Publisher(config)
        self.delivery = Delivery(folder, Outbox(), [shelf])
        self.stopping = asyncio.Event()
        self.advance = Advance(folder, Checkpoint(), self.fleet, self.publisher, self.delivery, self.stopping)
        self.end = self.journal.end

    async def start(self) -> None:
        await self.delivery.open()
        assert await self.advance.catch_up(self.journal, self.end)

    async def end_it(self) -> None:
        """Leave what was not written unwritten; what waits in the outbox may or may not be delivered."""
        self.advance.close()
        await self.delivery.close(5.0)
        self.journal.close()
        self.examiner.close()


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setitem(models.MODELS, "coulomb", Model(Counting))
    rule = PackRule(pattern="*", cell_type=write_cell_type(tmp_path / "counted"))
    return Config(cells=Cells(packs=[rule])).model_copy(update={"health": HealthChecks()})


def batches() -> list[Batch]:
    names, *columns = samples()
    return [Batch(names, *(c[i : i + BATCH] for c in columns)) for i in range(0, len(columns[0]), BATCH)]


async def live(folder, config, checkpoints=(), kills=(), unseen_kills=()) -> tuple[Shelf, memory.Memory]:
    """Take all batches; `unseen_kills` come after the journal's commit, `kills` after the turn that follows it."""
    shelf = Shelf()
    process = Process(folder, config, shelf)
    await process.start()
    for number, batch in enumerate(batches()):
        block = process.journal.append(batch, RECEIVED + number)
        if number not in unseen_kills:
            await process.advance.move_on(block)
        if number in checkpoints:
            await process.advance.checkpoint()
        if number in kills or number in unseen_kills:
            await process.end_it()
            process = Process(folder, config, shelf)
            await process.start()
    await process.advance.checkpoint()
    kept = memory.take(process.fleet, process.publisher)
    await process.end_it()
    return shelf, kept


@pytest.mark.parametrize(
    ("checkpoints", "kills", "unseen_kills"),
    [
        ((), (3,), ()),
        ((2, 5), (2, 4, 5, 9), ()),
        ((1, 3, 6, 8), (7, 11), (2, 8)),
        (range(16), range(0, 16, 3), (4, 10)),
        ((), (), (0, 1, 15)),
    ],
)
async def test_kills_leave_no_trace(tmp_path, config, checkpoints, kills, unseen_kills):
    calm, wanted = await live(tmp_path / "calm", config)
    shelf, found = await live(tmp_path / "wild", config, checkpoints, kills, unseen_kills)
    assert (shelf.states, shelf.events, shelf.health) == (calm.states, calm.events, calm.health)
    assert len(calm.health) >= 4
    assert {effect for (_, _, check), (_, effect) in calm.health.items() if check == "judging"} == {"taken"}
    assert [check for _, _, check in calm.health].count("refusing") == 2  # once of each cell
    assert shelf.came == calm.came  # no state was said twice
    assert {n: a.tobytes() for n, a in found.arrays.items()} == {n: a.tobytes() for n, a in wanted.arrays.items()}
    skipped = "fleet/counters/"
    assert all(fact == wanted.facts[n] for n, fact in found.facts.items() if not n.startswith(skipped))


async def test_a_stop_while_it_catches_up_costs_nothing(tmp_path, config):
    calm, _ = await live(tmp_path / "calm", config)
    with closing(Journal(tmp_path / "wild", Rule())) as journal:
        for number, batch in enumerate(batches()):
            journal.append(batch, RECEIVED + number)
    shelf = Shelf()
    process = Process(tmp_path / "wild", config, shelf)
    await process.delivery.open()
    process.stopping.set()
    assert not await process.advance.catch_up(process.journal, process.end)
    await process.advance.checkpoint()
    await process.end_it()
    process = Process(tmp_path / "wild", config, shelf)
    await process.start()
    await process.end_it()
    assert shelf.states == calm.states


async def test_a_long_turn_says_again_and_again_that_it_lives(tmp_path, config, monkeypatch):
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        process = Process(tmp_path, config, Shelf())
        await process.start()
        second = RECEIVED + 20.0 * np.arange(30)  # a source that is slow, after an absence
        values = (np.full(30, value) for value in (3.6, -1.0, 25.0))
        block = process.journal.append(Batch(("p0/c0",), np.zeros(30, np.int32), second, *values), RECEIVED)
        await process.advance.move_on(block)
        assert process.fleet.counters.rows == 20 * 29
        systemd.setblocking(False)
        assert [systemd.recv(100) for _ in range(9)] == [b"WATCHDOG=1"] * 9  # one a minute of its time
        await process.end_it()


async def test_without_a_checkpoint_the_newest_hours_of_the_journal_are_gone_through(tmp_path, config, monkeypatch):
    with closing(Journal(tmp_path, Rule())) as journal:
        for number, batch in enumerate(batches()):
            journal.append(batch, RECEIVED + 3_600.0 * number)
    monkeypatch.setattr("daemon.advance.time.time", lambda: RECEIVED + 3_600.0 * 24.5)
    shelf = Shelf()
    process = Process(tmp_path, config, shelf)
    await process.start()
    await process.end_it()
    assert min(second for _, second in shelf.states) == BATCH / 2


async def test_blocks_that_are_missing_behind_the_checkpoint_are_said(tmp_path, config, caplog):
    process = Process(tmp_path, config, Shelf())
    await process.start()
    for number, batch in enumerate(batches()[:6]):
        await process.advance.move_on(process.journal.append(batch, RECEIVED))
        if number == 2:
            await process.advance.checkpoint()
    process.journal._database.run("DELETE FROM block WHERE id <= 5")
    await process.end_it()
    process = Process(tmp_path, config, Shelf())
    await process.start()
    await process.end_it()
    (gap,) = [r.fields for r in caplog.records if r.getMessage() == "gap"]
    assert (gap["checkpoint"], gap["journal"]) == (3, 6)
    assert process.advance.needed == Position(process.end.journal, 3)


async def test_a_checkpoint_that_cannot_be_written_is_said_and_the_one_before_serves(tmp_path, config, caplog):
    process = Process(tmp_path, config, Shelf())
    await process.start()
    first, second = (process.journal.append(batch, RECEIVED) for batch in batches()[:2])
    await process.advance.move_on(first)
    await process.advance.checkpoint()
    (tmp_path / "fleet.ckpt.new").mkdir()  # nothing can be written in its place
    await process.advance.move_on(second)
    await process.advance.checkpoint()
    assert "checkpoint" in [r.getMessage() for r in caplog.records]
    assert process.advance.needed == first.position
    (tmp_path / "fleet.ckpt.new").rmdir()
    await process.advance.checkpoint()
    assert read_header(tmp_path / "fleet.ckpt").position == second.position
    await process.end_it()


async def test_a_batch_that_raises_ends_nothing_and_is_not_forgotten(tmp_path, config, caplog, monkeypatch):
    process = Process(tmp_path, config, Shelf())
    await process.start()
    push = process.fleet.push

    def fails_once(batch):
        monkeypatch.setattr(process.fleet, "push", push)
        raise ArithmeticError("a fault of ours")

    monkeypatch.setattr(process.fleet, "push", fails_once)
    for batch in batches()[:2]:
        await process.advance.move_on(process.journal.append(batch, RECEIVED))
    assert "fault" in [r.getMessage() for r in caplog.records]
    assert process.fleet.counters.rows > 0
    await process.advance.checkpoint()
    assert read_header(tmp_path / "fleet.ckpt").block == 2
    await process.end_it()


@pytest.mark.parametrize("stopped", [False, True])
async def test_a_disk_that_is_full_when_something_is_to_be_said_loses_nothing(tmp_path, config, monkeypatch, stopped):
    calm, wanted = await live(tmp_path / "calm", config)
    shelf = Shelf()
    process = Process(tmp_path / "wild", config, shelf)
    await process.start()
    for number, batch in enumerate(batches()):
        block = process.journal.append(batch, RECEIVED + number)
        if number == 7:
            tried = asyncio.Event()
            loop, add = asyncio.get_running_loop(), process.delivery.outbox.add

            def full(*_, loop=loop, tried=tried):
                loop.call_soon_threadsafe(tried.set)
                raise JournalError("cannot write: database or disk is full")

            monkeypatch.setattr(process.delivery.outbox, "add", full)
            waiting = asyncio.create_task(process.advance.move_on(block))
            await tried.wait()
            assert not waiting.done()
            if stopped:
                process.stopping.set()
                await waiting
                monkeypatch.setattr(process.delivery.outbox, "add", add)
                later = Batch(batch.cells, batch.cell, batch.unix_time_second + 1e4, *[np.ones(len(batch))] * 3)
                await process.advance.move_on(block._replace(position=Position("later", 99), batch=later))
                await process.advance.checkpoint()
                await process.end_it()
                process = Process(tmp_path / "wild", config, shelf)
                await process.start()
            else:
                monkeypatch.setattr(process.delivery.outbox, "add", add)
                await waiting
        else:
            await process.advance.move_on(block)
        if number == 5:
            await process.advance.checkpoint()
    await process.advance.checkpoint()
    found = memory.take(process.fleet, process.publisher)
    await process.end_it()
    assert (shelf.states, shelf.events, shelf.health) == (calm.states, calm.events, calm.health)
    assert {n: a.tobytes() for n, a in found.arrays.items()} == {n: a.tobytes() for n, a in wanted.arrays.items()}
