"""daemon/sinks/mqtt.py against a real broker: what is retained, what is said of ourselves, what is marked old."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time

import pytest

from daemon.config import Config, Mqtt, Publish
from daemon.parcel import Parcel
from daemon.sinks.mqtt import MqttSink
from daemon.wire import CellsFrame, Event, Health, PackState, State
from tests.service.programs import wait_for
from tests.service.running import Ear

pytestmark = pytest.mark.service


def state(second: float) -> State:
    return State(second, 0.5, 0.01, 0.9, 0.02, "ekf-1", [])


def summary(second: float) -> tuple[str, PackState, CellsFrame]:
    frame = CellsFrame([second], ["c0"], [0.5], [0.01], [0.9], [0.02], [[]])
    return "p0", PackState(second, 1, 0.5, 0.5, 0.5, 0.0, 0.9, 0.9, 0.9, "c0", 0.0), frame


@contextlib.asynccontextmanager
async def opened(port: int, **publish):
    sink = MqttSink(Config(mqtt=Mqtt(port=port), publish=Publish(**publish)))
    await sink.open()
    try:
        yield sink
    finally:
        await sink.close()


async def heard(ear: Ear, topic: str, what: bytes | None = None) -> bytes:
    found = lambda: ear.last(topic) is not None and what in {None, ear.last(topic)}  # noqa: E731
    await asyncio.to_thread(wait_for, found, f"{topic} {what or ''}")
    payload = ear.last(topic)
    assert payload is not None
    return payload


async def test_status_is_online_while_connected_and_offline_after_a_goodbye(mosquitto_broker, ear):
    async with opened(mosquitto_broker.port):
        await heard(ear, "bms/status", b"online")
    await heard(ear, "bms/status", b"offline")


async def test_states_and_health_reports_are_retained_and_events_are_not(mosquitto_broker, ear):
    async with opened(mosquitto_broker.port) as sink:
        now = time.time()
        health = Health(now, "rest", "svr-1", "rest", now)
        event = Event(now, "rest", "begin", now)
        await sink.deliver(Parcel([("p0/c0", state(now))], [("p0/c0", event)], [("p0/c0", health)]))
        sink.show([summary(now)])
        sink.show_metrics(b"{}")
        await heard(ear, "bms/status/metrics")
        late = Ear(mosquitto_broker.port)
        for topic in (
            "bms/state/p0/c0",
            "bms/health/p0/c0/rest",
            "bms/state/p0",
            "bms/state/p0/cells",
            "bms/status/metrics",
            "bms/status",
        ):
            await heard(late, topic)
        assert late.last("bms/event/p0/c0") is None
        assert all(retained for _, _, retained in late.heard)
        late.close()


async def test_what_is_old_when_it_leaves_says_so(mosquitto_broker, ear):
    async with opened(mosquitto_broker.port, historical_second=100.0) as sink:
        await sink.deliver(Parcel([("p0/old", state(time.time() - 200)), ("p0/new", state(time.time()))]))
        sink.show([summary(time.time() - 200)])
        assert json.loads(await heard(ear, "bms/state/p0/old"))["historical"] is True
        assert "historical" not in json.loads(await heard(ear, "bms/state/p0/new"))
        assert json.loads(await heard(ear, "bms/state/p0/cells"))["historical"] is True


async def test_topics_can_be_switched_off(mosquitto_broker, ear):
    async with opened(mosquitto_broker.port, cell_topics=False, frame_topics=False) as sink:
        await sink.deliver(Parcel([("p0/c0", state(1.0))], [("p0/c0", Event(1.0, "rest", "end", 0.0))]))
        sink.show([summary(1.0)])
        await heard(ear, "bms/event/p0/c0")
        await heard(ear, "bms/state/p0")
        sink.show_metrics(b"last")
        await heard(ear, "bms/status/metrics")
    assert {t for t, _, _ in ear.heard} == {"bms/event/p0/c0", "bms/state/p0", "bms/status", "bms/status/metrics"}


async def test_retained_states_are_there_again_after_the_broker_lost_them(mosquitto_broker):
    async with opened(mosquitto_broker.port) as sink:
        now = time.time()
        await sink.deliver(Parcel([(f"p0/c{k}", state(now)) for k in range(50)]))
        mosquitto_broker.stop(signal.SIGKILL)
        (mosquitto_broker.folder / "mosquitto.db").unlink(missing_ok=True)
        mosquitto_broker.start()
        ear = Ear(mosquitto_broker.port)
        await heard(ear, "bms/status", b"online")
        await heard(ear, "bms/state/p0/c49")
        assert len({t for t, _, _ in ear.heard}) == 51
        ear.close()


async def test_a_delivery_whose_connection_is_lost_fails_and_may_be_tried_again(mosquitto_broker):
    from daemon.errors import SinkError

    async with opened(mosquitto_broker.port) as sink:
        await sink.deliver(Parcel([("p0/c0", state(1.0))]))
        mosquitto_broker.process.send_signal(signal.SIGSTOP)
        delivery = asyncio.create_task(sink.deliver(Parcel([("p0/c0", state(2.0))])))
        await asyncio.sleep(0)
        mosquitto_broker.process.send_signal(signal.SIGKILL)
        mosquitto_broker.process.send_signal(signal.SIGCONT)
        mosquitto_broker.stop(signal.SIGKILL)
        with pytest.raises(SinkError, match="connection was lost"):
            await delivery
        mosquitto_broker.start()
        assert await sink.deliver(Parcel([("p0/c0", state(2.0))])) == []
