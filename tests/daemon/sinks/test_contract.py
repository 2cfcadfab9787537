"""What every sink promises, held against the real thing that it writes to."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import daemon.sinks
from daemon.config import Config, Mqtt
from daemon.config import InfluxSink as InfluxRule
from daemon.config import SqliteSink as SqliteRule
from daemon.config.outputs import Outbox as OutboxRule
from daemon.delivery import Delivery
from daemon.parcel import Parcel
from daemon.sinks.influx import InfluxSink
from daemon.sinks.mqtt import MqttSink
from daemon.sinks.sqlite import SqliteSink
from daemon.wire import Event, State
from tests.service.databases import make_influx1, make_victoria
from tests.service.mosquitto import make_mosquitto
from tests.service.programs import wait_for
from tests.service.running import Ear

pytestmark = pytest.mark.service
BEGIN = 1_763_700_000


def states(first: int, count: int, cell: str = "c0") -> list[tuple[str, State]]:
    return [
        (f"p0/{cell}", State(BEGIN + k, k / 1_000, 0.01, 0.9, 0.02, "ekf-1", ["stale"])) for k in range(first, count)
    ]


def keys(parcel: Parcel) -> dict[tuple[str, str, float], float]:
    return {(*name.split("/"), s.unix_time_second): s.soc for name, s in parcel.states}


class ToSqlite:
    """The embedded store; it has no outage of its own."""

    has_outage = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def sink(self) -> SqliteSink:
        return SqliteSink(self.folder, SqliteRule(), 0.01)

    def begin(self) -> None: ...

    def end(self) -> None: ...

    def stored(self) -> dict[tuple[str, str, float], float]:
        if not (self.folder / "states.sqlite").exists():
            return {}
        with closing(sqlite3.connect(self.folder / "states.sqlite")) as store:
            rows = store.execute("SELECT pack, cell, unix_time_second, soc FROM state")
            return {tuple(row[:3]): row[3] for row in rows}


class ToMqtt:
    has_outage = True

    def __init__(self, folder: Path) -> None:
        self.broker = make_mosquitto(folder)
        self.heard: dict[tuple[str, str, float], float] = {}
        self.ear: Ear | None = None

    def sink(self) -> MqttSink:
        return MqttSink(Config(mqtt=Mqtt(port=self.broker.port)))

    def begin(self) -> None:
        self.broker.start()
        self.ear = Ear(self.broker.port)

    def end(self) -> None:
        if self.ear is not None:
            self.stored()
            self.ear.close()
            self.ear = None
        self.broker.stop()

    def stored(self) -> dict[tuple[str, str, float], float]:
        for topic, payload, _ in list(self.ear.heard) if self.ear else ():
            if topic.startswith("bms/state/") and topic.count("/") == 3:
                state = json.loads(payload)
                self.heard[*topic.split("/")[2:], state["unix_time_second"]] = state["soc"]
        return self.heard


class ToServer:
    """A time-series server over HTTP."""

    has_outage = True

    def __init__(self, server) -> None:
        self.server = server

    def sink(self) -> InfluxSink:
        url = f"http://127.0.0.1:{self.server.program.port}"
        return InfluxSink(InfluxRule(url=url, api=self.server.api, timeout_second=5.0), 0.01)

    def begin(self) -> None:
        self.server.program.start()
        if self.server.api == "v1":
            self.server.create("bmsd")

    def end(self) -> None:
        self.server.program.stop()

    def stored(self) -> dict[tuple[str, str, float], float]:
        return self.server.stored()


PLACES = {
    "sqlite": ToSqlite,
    "mqtt": ToMqtt,
    "influx-v2": lambda folder: ToServer(make_victoria(folder)),
    "influx-v1": lambda folder: ToServer(make_influx1(folder)),
}


@pytest.fixture(params=PLACES)
def place(request, tmp_path):
    """A place that takes states; it is not there until it begins."""
    folder = tmp_path / "place"
    folder.mkdir()
    place = PLACES[request.param](folder)
    yield place
    place.end()


async def delivered(place, *parcels: Parcel) -> list:
    """Let a sink deliver parcels directly, one after another."""
    sink = place.sink()
    await sink.open()
    try:
        return [await sink.deliver(parcel) for parcel in parcels]
    finally:
        await sink.close()


def test_every_sink_has_its_place_here():
    files = {p.stem for p in Path(daemon.sinks.__path__[0]).glob("*.py")} - {"__init__", "contract"}
    assert files == {name.partition("-")[0] for name in PLACES}


async def test_every_state_arrives(place):
    place.begin()
    event = Event(BEGIN, "rest", "begin", BEGIN - 60.0, {"c_rate": 0.01, "why": "a b"})
    parcel = Parcel(states(0, 500), [("p0/c0", event)])
    assert await delivered(place, parcel) == [[]]
    wait_for(lambda: place.stored() == keys(parcel), "all states")


async def test_a_state_that_is_delivered_again_overwrites_itself(place):
    place.begin()
    first, again = Parcel(states(0, 10)), Parcel([(n, s) for n, s in states(0, 10)])
    await delivered(place, first, again, Parcel(states(10, 11)))
    wait_for(lambda: len(place.stored()) == 11, "eleven states")


async def test_nothing_at_all_is_delivered_at_once(place):
    place.begin()
    assert await delivered(place, Parcel()) == [[]]


async def test_an_outage_fills_the_outbox_and_all_arrives_afterwards(place, tmp_path):
    sink = place.sink()
    delivery = Delivery(tmp_path / "state", OutboxRule(), [sink])
    await delivery.open()
    expected = {}
    try:
        for k in range(5):
            await delivery.put(Parcel(states(100 * k, 100 * k + 100)))
            expected |= keys(Parcel(states(100 * k, 100 * k + 100)))
        if place.has_outage:
            assert (await delivery.tally()).waiting[sink.name] == 500
        place.begin()

        async def empty() -> bool:
            return (await delivery.tally()).waiting[sink.name] == 0

        await soon(empty)
        await asyncio.to_thread(wait_for, lambda: place.stored().items() >= expected.items(), "what waited")
        place.end()
        place.begin()
        await delivery.put(Parcel(states(900, 950)))
        await soon(empty)
    finally:
        await delivery.close(1.0)
    assert delivery.outbox.delivered[sink.name] == 550
    wait_for(lambda: place.stored().items() >= (expected | keys(Parcel(states(900, 950)))).items(), "all states")


async def test_what_waits_survives_a_restart_of_the_service(place, tmp_path):
    if not place.has_outage:
        pytest.skip("the embedded store is never away")
    before = Delivery(tmp_path / "state", OutboxRule(), [place.sink()])
    await before.open()
    await before.put(Parcel(states(0, 50)))
    await before.close(0.1)
    place.begin()
    after = Delivery(tmp_path / "state", OutboxRule(), [place.sink()])
    await after.open()
    await after.close(10.0)
    wait_for(lambda: place.stored() == keys(Parcel(states(0, 50))), "all states")


async def soon(condition) -> None:
    """Wait, in the event loop, until an asynchronous condition holds."""
    async with asyncio.timeout(30.0):
        while not await condition():  # noqa: ASYNC110 - a condition on disk has no event
            await asyncio.sleep(0.02)
