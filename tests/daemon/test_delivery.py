"""daemon/delivery.py: a sink that is away, slow or broken holds up nothing but itself."""

from __future__ import annotations

import asyncio

import pytest

from daemon import delivery as module
from daemon.config import Outbox as Rule
from daemon.delivery import Delivery
from daemon.errors import JournalError, SinkError
from daemon.parcel import Parcel
from daemon.sinks.contract import Refused
from daemon.wire import State


class Place:
    """A sink whose faults a test calls forth."""

    batch_items, gather_second = 1_000, 0.0

    def __init__(self, name: str) -> None:
        self.name, self.taken, self.tried, self.fault = name, [], 0, None
        self.heard = asyncio.Event()
        self.open_gate = asyncio.Event()
        self.open_gate.set()
        self.refuse: list[Refused] = []

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def deliver(self, parcel: Parcel) -> list[Refused]:
        self.tried += 1
        await self.open_gate.wait()
        if self.fault:
            self.heard.set()
            raise self.fault
        self.taken += [name for name, _ in parcel.states]
        self.heard.set()
        return self.refuse

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.taken) < count:
                self.heard.clear()
                await self.heard.wait()


def parcel(*names: str) -> Parcel:
    return Parcel([(f"p/{n}", State(0.0, 0.5, 0.1, 0.9, 0.1, "e", [])) for n in names])


@pytest.fixture
async def opened(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "full_jitter", lambda attempt: 0.001 * attempt)
    places = [Place("one"), Place("two")]
    delivery = Delivery(tmp_path, Rule(), places)
    await delivery.open()
    yield delivery, *places
    for place in places:
        place.open_gate.set()
    await delivery.close(2.0)


async def test_every_sink_gets_everything(opened):
    delivery, one, two = opened
    for k in range(20):
        await delivery.put(parcel(f"c{k}"))
    await asyncio.gather(one.until(20), two.until(20))
    assert one.taken == two.taken == [f"p/c{k}" for k in range(20)]
    assert delivery.outbox.produced == 20


async def test_one_that_hangs_does_not_hold_up_the_other(opened):
    delivery, one, two = opened
    one.open_gate.clear()
    for k in range(10):
        await delivery.put(parcel(f"c{k}"))
    await two.until(10)
    assert one.taken == []
    one.open_gate.set()
    await one.until(10)


@pytest.mark.parametrize("fault", [SinkError("away"), RuntimeError("a fault of ours")])
async def test_one_that_fails_is_tried_again_until_it_takes_it(opened, fault):
    delivery, one, _two = opened
    one.fault = fault
    await delivery.put(parcel("c0"))
    async with asyncio.timeout(10):
        while one.tried < 3:
            one.heard.clear()
            await one.heard.wait()
    one.fault = None
    await one.until(1)
    assert one.taken == ["p/c0"]


async def test_what_is_refused_is_counted_and_does_not_come_again(opened):
    delivery, one, two = opened
    one.refuse = [Refused("p/c0", "bad")]
    await delivery.put(parcel("c0", "c1"))
    await asyncio.gather(one.until(2), two.until(2))
    one.refuse = []
    await delivery.put(parcel("c2"))
    await one.until(3)
    await delivery.close(2.0)
    assert delivery.outbox.refused == {"one": 1, "two": 0}
    assert delivery.outbox.delivered == {"one": 2, "two": 3}


async def test_closing_delivers_what_waits_but_does_not_wait_for_the_dead(tmp_path):
    live, dead = Place("live"), Place("dead")
    live.gather_second = 60.0
    dead.fault = SinkError("away")
    delivery = Delivery(tmp_path, Rule(), [live, dead])
    await delivery.open()
    await delivery.put(parcel("c0"))
    async with asyncio.timeout(10):
        await delivery.close(60.0)
    assert live.taken == ["p/c0"]
    again = Place("dead")
    later = Delivery(tmp_path, Rule(), [again])
    await later.open()
    await again.until(1)
    await later.close(1.0)


async def test_a_disk_that_fails_when_a_delivery_is_noted_ends_no_sink(opened, monkeypatch):
    delivery, one, two = opened
    done, failures = delivery.outbox.done, []

    def fails_twice(sink, *args):
        if sink == "one" and len(failures) < 2:
            failures.append(sink)
            raise JournalError("cannot write: disk I/O error")
        done(sink, *args)

    monkeypatch.setattr(delivery.outbox, "done", fails_twice)
    await delivery.put(parcel("c0"))
    await asyncio.gather(one.until(3), two.until(1))  # taken again until it is noted
    await delivery.put(parcel("c1"))
    await asyncio.gather(one.until(4), two.until(2))
    assert one.taken == ["p/c0", "p/c0", "p/c0", "p/c1"]


async def test_a_full_disk_drops_and_counts_and_raises_nothing(opened):
    delivery, one, _two = opened
    await delivery.put(parcel("c0"))
    await one.until(1)
    pages = await delivery._run(lambda: delivery.outbox._database.run("PRAGMA page_count").fetchone()[0])
    await delivery._run(lambda: delivery.outbox._database.run(f"PRAGMA max_page_count = {pages}").fetchone())
    assert not await delivery.put(parcel(*(f"c{k}" for k in range(5_000))))
    assert delivery.outbox.dropped.total() == 0
    await delivery.put_or_drop(parcel(*(f"c{k}" for k in range(5_000))))
    assert delivery.outbox.dropped == {"one": 5_000, "two": 5_000}
