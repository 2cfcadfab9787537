"""daemon/ingest.py and daemon/broker.py against a real mosquitto: what is acknowledged, and when."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import subprocess
import sys
from contextlib import closing

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from daemon.config import Journal as Rule
from daemon.config import Mqtt
from daemon.config.mqtt import Tls
from daemon.ingest import Message, Subscriber
from daemon.journal import Journal
from daemon.wire import Sample, encode
from tests.service.mosquitto import make_mosquitto
from tests.service.programs import needs, wait_for
from tests.service.running import ROOT

pytestmark = pytest.mark.service


class Publisher:
    """Publishes numbered samples and waits until the broker has them."""

    def __init__(self, port: int) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "publisher")
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def send(self, numbers: range) -> None:
        payload = [encode(Sample(3.7, -1.0, float(k), 25.0)) for k in numbers]
        sent = [self._client.publish(f"bms/telemetry/p0/c{k % 5}", p, 1) for k, p in zip(numbers, payload, strict=True)]
        for info in sent:
            info.wait_for_publish(20)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def publisher(mosquitto_broker):
    publisher = Publisher(mosquitto_broker.port)
    yield publisher
    publisher.close()


@contextlib.asynccontextmanager
async def subscribed(port: int, **settings):
    subscriber = Subscriber(Mqtt(port=port, **settings))
    await subscriber.start()
    try:
        yield subscriber
    finally:
        await subscriber.close()


async def begin_session(port: int) -> None:
    """Subscribe once: from now on the broker queues."""
    async with subscribed(port) as subscriber:
        assert subscriber.is_up


async def until(condition, what: str) -> None:
    await asyncio.to_thread(wait_for, condition, what)


async def take(subscriber: Subscriber, count: int) -> list[Message]:
    """Gather so many messages without acknowledging them."""
    taken: list[Message] = []
    async for group in subscriber.groups():
        taken += group
        if len(taken) >= count:
            return taken
    return taken


def journaled(folder) -> set[float]:
    with closing(Journal(folder, Rule())) as journal:
        return {second for _, _, batch in journal.read() for second in batch.unix_time_second.tolist()}


def test_kill_9_at_random_moments_loses_no_sample(mosquitto_broker, publisher, tmp_path):
    command = [sys.executable, "-m", "tests.service.journaling", str(mosquitto_broker.port), str(tmp_path / "state")]
    rng, sent = random.Random(4), 0
    asyncio.run(begin_session(mosquitto_broker.port))
    child = subprocess.Popen(command, cwd=ROOT)
    for _ in range(6):
        publisher.send(range(sent, sent + 400))
        sent += 400
        goal = rng.randrange(max(1, sent - 400), sent)
        wait_for(lambda goal=goal: len(journaled(tmp_path / "state")) >= goal, "some of them in the journal")
        child.kill()
        child.wait()
        child = subprocess.Popen(command, cwd=ROOT)
    try:
        wait_for(lambda: journaled(tmp_path / "state") == {float(k) for k in range(sent)}, "all of them")
    finally:
        child.kill()
        child.wait()


async def test_what_was_not_acknowledged_is_delivered_again(mosquitto_broker, publisher):
    async with subscribed(mosquitto_broker.port) as first:
        publisher.send(range(20))
        taken = await take(first, 20)
        first.acknowledge(taken[:5])
    async with subscribed(mosquitto_broker.port) as second:
        again = await take(second, 15)
    assert [m.payload for m in again] == [m.payload for m in taken[5:]]


async def test_no_more_messages_wait_than_the_bound_and_all_arrive(mosquitto_broker, publisher):
    async with subscribed(mosquitto_broker.port, unacknowledged_max=50, group_second=0.0) as subscriber:
        publisher.send(range(1_000))
        taken = 0
        async for group in subscriber.groups():
            assert subscriber.received - taken <= 50
            await asyncio.sleep(0)
            taken += len(group)
            subscriber.acknowledge(group)
            if taken == 1_000:
                break


async def test_large_messages_come_in_groups_of_few_bytes_and_wait_within_the_bound(mosquitto_broker, publisher):
    bound = 1_048_576
    async with subscribed(mosquitto_broker.port, unacknowledged_max_byte=bound) as subscriber:
        for _ in range(40):
            publisher._client.publish("bms/telemetry/p0", b"x" * 100_000, 1)
        await until(subscriber.full, "the bound")
        sizes, taken = [], 0
        async for group in subscriber.groups():
            sizes.append(sum(len(message.payload) for message in group))
            taken += len(group)
            assert (subscriber.received - subscriber.settled) * 100_000 < bound + 100_000
            subscriber.acknowledge(group)
            if taken == 40:
                break
        assert max(sizes) <= bound // 8 + 100_000


async def test_a_stop_while_messages_are_being_gathered_ends_the_groups(mosquitto_broker, publisher):
    async with subscribed(mosquitto_broker.port, group_second=0.5) as subscriber:

        async def consume() -> None:
            async for group in subscriber.groups():
                subscriber.acknowledge(group)

        consuming = asyncio.create_task(consume())
        await asyncio.sleep(0)  # it waits for the first message
        await asyncio.to_thread(publisher.send, range(3))
        await asyncio.to_thread(wait_for, lambda: subscriber.received, "a message")
        subscriber.stop()
        await asyncio.wait_for(consuming, 5)


async def test_at_the_bound_the_connection_is_kept_alive(tmp_path):
    broker = make_mosquitto(tmp_path, "log_type all")
    broker.start()
    publisher = Publisher(broker.port)
    try:
        async with subscribed(broker.port, unacknowledged_max=10, keepalive_second=5) as subscriber:
            publisher.send(range(100))
            await until(lambda: subscriber.received == 10, "the bound")
            log = broker.folder / "log"
            await until(lambda: log.read_text().count("Received UNSUBSCRIBE from bmsd") >= 3, "signs of life")
            assert subscriber.is_up
            assert subscriber.received == 10
    finally:
        publisher.close()
        broker.stop()


async def test_an_acknowledgement_of_an_older_connection_is_not_sent(mosquitto_broker, publisher):
    async with subscribed(mosquitto_broker.port) as subscriber:
        publisher.send(range(10))
        before = await take(subscriber, 10)
        mosquitto_broker.stop()
        await until(lambda: not subscriber.is_up, "the loss")
        mosquitto_broker.start()
        after = await take(subscriber, 10)
        subscriber.acknowledge(before)
        assert {m.generation for m in before} == {1}
        assert {m.generation for m in after} == {2}
    async with subscribed(mosquitto_broker.port) as later:
        assert len(await take(later, 10)) == 10


async def test_it_connects_to_a_broker_that_comes_later(absent_broker):
    async with subscribed(absent_broker.port) as subscriber:
        assert not subscriber.is_up
        absent_broker.start()
        await until(lambda: subscriber.is_up, "the connection")


async def test_a_refusal_is_said_with_its_reason_and_tried_again(tmp_path, caplog):
    broker = make_mosquitto(tmp_path)
    config = tmp_path / "mosquitto.conf"
    config.write_text(config.read_text().replace("allow_anonymous true", "allow_anonymous false"))
    broker.start()
    try:
        with caplog.at_level(logging.WARNING, "bmsd"):
            async with subscribed(broker.port) as subscriber:
                assert not subscriber.is_up
        fields = caplog.records[0].fields
        assert fields["reason"] == "refused: Not authorized"
        assert fields["port"] == broker.port
    finally:
        broker.stop()


@pytest.fixture
def tls_broker(tmp_path):
    openssl = needs("openssl", "openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    options = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, "req", *options.split(), *files], check=True, capture_output=True)
    broker = make_mosquitto(tmp_path, f"certfile {certificate}", f"keyfile {key}")
    broker.start()
    yield broker, certificate
    broker.stop()


async def test_telemetry_comes_over_tls(tls_broker):
    broker, certificate = tls_broker
    tls = Tls(enabled=True, ca_file=certificate)
    publisher = paho.Client(CallbackAPIVersion.VERSION2)
    publisher.tls_set(str(certificate))
    async with subscribed(broker.port, host="127.0.0.1", tls=tls, unacknowledged_max=100) as subscriber:
        publisher.connect("127.0.0.1", broker.port)
        publisher.loop_start()
        for k in range(300):
            publisher.publish(f"bms/telemetry/p/c{k}", b"x" * 2_000, 1)
        taken = 0
        async for group in subscriber.groups():
            taken += len(group)
            subscriber.acknowledge(group)
            if taken == 300:
                break
        publisher.disconnect()
        publisher.loop_stop()


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # paho leaves that socket to the collector
async def test_a_broker_with_a_certificate_of_unknown_authority_is_not_trusted(tls_broker, caplog):
    with caplog.at_level(logging.WARNING, "bmsd"):
        async with subscribed(tls_broker[0].port, host="127.0.0.1", tls=Tls(enabled=True)) as subscriber:
            assert not subscriber.is_up
    assert "certificate verify failed" in caplog.records[0].fields["reason"]
