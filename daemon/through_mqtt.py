"""Recordings sent to a real broker and taken back by the service's own ingest, under a prefix of their own.

The broker is never asked to queue much: no more than WINDOW samples are on their way. A recording is whole when
the mark that was published after its last sample has come back.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from daemon.batch import BatchBuilder
from daemon.broker import Link
from daemon.errors import BrokerError
from daemon.ingest import Decoder, Message, Subscriber
from daemon.replay import Recording, States, batches
from daemon.wire import Sample, encode, telemetry_topic

if TYPE_CHECKING:
    from collections.abc import Callable

    import paho.mqtt.client as paho

    from daemon.config import Config, Mqtt
    from daemon.fleet import Fleet

WINDOW = 500  # mosquitto queues 1,000 by default, and drops the rest
GROUP_SECOND = 0.01  # there is no journal to spare
PATIENCE_SECOND = 30.0  # without a sample coming back, before the broker is given up
BEGIN, END = "begin", "end"  # in place of a pack's name


def through_mqtt(
    fleet: Fleet, all_states: list[States], config: Config, speed: float, progress: Callable[[int], None]
) -> None:
    """Send each recording and take it back; `progress` is told of samples that came back. Raises BrokerError."""
    token = secrets.token_hex(4)
    prefix, client_id = f"{config.mqtt.prefix}/replay-{token}", f"bmsd-replay-{token}"
    own = config.mqtt.model_copy(update={"prefix": prefix, "client_id": client_id, "group_second": GROUP_SECOND})
    asyncio.run(_Circuit(fleet, config, own, progress).run(all_states, speed))


class _Circuit:
    """A publisher and a subscriber of the same broker."""

    def __init__(self, fleet: Fleet, config: Config, mqtt: Mqtt, progress: Callable[[int], None]) -> None:
        self._fleet, self._mqtt, self._progress = fleet, mqtt, progress
        self._decoder = Decoder(mqtt, config.cells)
        self._window = threading.Semaphore(WINDOW)
        self._began, self._ended, self._stopped = threading.Event(), threading.Event(), threading.Event()
        self._heard = time.monotonic()

    async def run(self, all_states: list[States], speed: float) -> None:
        """Do it, and leave nothing on the broker."""
        subscriber = Subscriber(self._mqtt)
        publisher = Link(self._mqtt, f"{self._mqtt.client_id}-out", _Deaf(), persistent=False)
        taker = None
        try:
            await subscriber.start()
            publisher.start()
            await asyncio.to_thread(publisher.attempted.wait)
            if not (subscriber.is_up and publisher.is_up):
                raise self._lost("cannot be reached, or refuses us")
            for states in all_states:
                self._ended.clear()
                taker = asyncio.create_task(self._take(subscriber, states))
                await asyncio.to_thread(self._send, publisher, states.recording, speed)
                await taker
                states.take(self._fleet.flush())
        finally:
            self._stopped.set()
            if taker:
                taker.cancel()
            await subscriber.close()
            await asyncio.to_thread(publisher.close)
            await asyncio.to_thread(self._forget)

    async def _take(self, subscriber: Subscriber, states: States) -> None:
        """Feed the fleet with what comes back, until the end mark."""
        async for group in subscriber.groups():
            self._heard = time.monotonic()
            marks = {message.topic.rpartition("/")[2] for message in group if not message.payload}
            self._push([message for message in group if message.payload], states)
            subscriber.acknowledge(group)
            if BEGIN in marks:
                self._began.set()
            if END in marks:
                self._ended.set()
                return

    def _push(self, group: list[Message], states: States) -> None:
        builder = BatchBuilder()
        for message in group:
            self._decoder.take(message.topic, message.payload, message.arrival_second, builder)
        if len(builder):
            batch = builder.build()
            states.take(self._fleet.push(batch), len(batch))
            self._window.release(len(group))
            self._progress(len(batch))

    def _send(self, publisher: Link, recording: Recording, speed: float) -> None:
        """Publish a recording in a thread of its own, and wait for its end mark to come back."""
        while not self._began.wait(0.1) and not self._stopped.is_set():  # until the subscription stands
            self._check(publisher)
            publisher.post(partial(_publish, self._mark(BEGIN), b""))
        topic = telemetry_topic(self._mqtt.prefix, *recording.cell.split("/"))
        for batch in batches(recording, speed, self._stopped.wait):
            columns = (batch.voltage_volt, batch.current_ampere, batch.unix_time_second, batch.temperature_celsius)
            for volt, ampere, second, celsius in zip(*(c.tolist() for c in columns), strict=True):
                while not self._window.acquire(timeout=1.0):
                    self._check(publisher)
                if self._stopped.is_set():
                    return
                sample = Sample(volt, ampere, second, None if math.isnan(celsius) else celsius)
                publisher.post(partial(_publish, topic, encode(sample)))
        self._heard = time.monotonic()
        publisher.post(partial(_publish, self._mark(END), b""))
        while not self._ended.wait(1.0) and not self._stopped.is_set():
            self._check(publisher)

    def _check(self, publisher: Link) -> None:
        if not publisher.is_up or publisher.generation > 1:
            raise self._lost("was lost")
        if time.monotonic() - self._heard > PATIENCE_SECOND:
            raise self._lost(f"gives nothing back for {PATIENCE_SECOND:.0f} s")

    def _mark(self, word: str) -> str:
        return telemetry_topic(self._mqtt.prefix, word)

    def _lost(self, what: str) -> BrokerError:
        where = f"{self._mqtt.host}:{self._mqtt.port}"
        return BrokerError(f"the broker {what}", where=where, mend="check mqtt: in the configuration with bmsd doctor")

    def _forget(self) -> None:
        """Have the broker forget the subscriber's persistent session: a clean one of the same name ends it."""
        clean = Link(self._mqtt, self._mqtt.client_id, _Deaf(), persistent=False)
        clean.start()
        clean.attempted.wait()
        clean.close()


def _publish(topic: str, payload: bytes, client: paho.Client) -> None:
    client.publish(topic, payload, qos=1)


class _Deaf:
    """Listens to a link that only sends."""

    def up(self) -> None:
        """Ignore it."""

    def down(self) -> None:
        """Ignore it."""

    def message(self, message: paho.MQTTMessage) -> None:
        """Ignore it."""

    def published(self, mid: int) -> None:
        """Ignore it."""

    def full(self) -> bool:
        """Never."""
        return False
