"""States, events, health reports, pack summaries and our own status to the broker, over a connection of its own.

`<prefix>/status` is `online` from the moment we are connected and `offline` by our last will. What is retained
is published again after each reconnect, since the broker may have lost it. A state that is old when it leaves
is marked `historical`.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from daemon import wire
from daemon.broker import Link
from daemon.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import paho.mqtt.client as paho

    from daemon.config import Config
    from daemon.parcel import Parcel
    from daemon.sinks.contract import Refused
    from daemon.wire import CellsFrame, Event, Health, PackState, State

ONLINE, OFFLINE = b"online", b"offline"
CHECKS_MOST = 5  # reports kept of a cell, one a check


class Publication(NamedTuple):
    """One message on its way out."""

    topic: str
    payload: bytes
    retain: bool


class MqttSink:
    """The broker of `mqtt:` as a sink."""

    name = "mqtt"
    batch_items = 1_000  # as many as the connection lets be in flight
    gather_second = 0.0

    def __init__(self, config: Config) -> None:
        """Prepare; nothing is connected yet."""
        self._prefix, self._rule = config.mqtt.prefix, config.publish
        self._status = wire.status_topic(self._prefix)
        client_id = f"{config.mqtt.client_id}-out"
        self._link = Link(config.mqtt, client_id, self, persistent=False, will=(self._status, OFFLINE))
        self._retained: dict[str, bytes] = {}  # by topic, the latest published last
        self._retained_max = (3 + CHECKS_MOST) * config.cells.cells_max  # a cell's, and its pack's summary and frame
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connected = asyncio.Event()
        self._delivery: asyncio.Future[None] | None = None
        self._flying: set[int] = set()  # what of it the broker has not confirmed; the link's thread alone

    def reload(self, config: Config) -> None:
        """Go on under other settings of `publish:`."""
        self._rule = config.publish

    @property
    def is_up(self) -> bool:
        """Tell whether the broker has accepted us."""
        return self._link.is_up

    async def open(self) -> None:
        """Begin to connect; the broker need not be there."""
        self._loop = asyncio.get_running_loop()
        self._link.start()

    async def deliver(self, parcel: Parcel) -> list[Refused]:
        """Publish everything and wait until the broker has confirmed it."""
        await self._connected.wait()
        publications = self._publications(parcel)
        if publications:
            self._delivery = asyncio.get_running_loop().create_future()
            self._link.post(lambda client: self._send(client, publications))
            await self._delivery
        return []

    def show(self, packs: Iterable[tuple[str, PackState, CellsFrame]]) -> None:
        """Publish summaries and frames: they are of now, and do not wait for a broker that is away."""
        for pack, summary, frame in packs:
            self._show(wire.state_topic(self._prefix, pack), self._leaving(summary, summary.unix_time_second))
            if self._rule.frame_topics:
                self._show(wire.cells_topic(self._prefix, pack), self._leaving(frame, max(frame.unix_time_second)))

    def show_metrics(self, payload: bytes) -> None:
        """Publish the counters."""
        self._show(f"{self._status}/metrics", payload)

    async def close(self) -> None:
        """Say `offline` and go."""
        self._link.post(lambda client: client.publish(self._status, OFFLINE, qos=1, retain=True))
        await asyncio.to_thread(self._link.close)

    def _publications(self, parcel: Parcel) -> list[Publication]:
        publications = []
        for name, state in parcel.states if self._rule.cell_topics else ():
            topic = wire.state_topic(self._prefix, *name.split("/", 1))
            payload = self._leaving(state, state.unix_time_second)
            self._keep(topic, payload)
            publications.append(Publication(topic, payload, retain=True))
        for name, event in parcel.events:
            topic = wire.event_topic(self._prefix, *name.split("/", 1))
            publications.append(Publication(topic, self._leaving(event, event.unix_time_second), retain=False))
        for name, health in parcel.health:
            pack, cell = name.split("/", 1)
            topic = wire.health_topic(self._prefix, pack, cell, health.check)
            payload = self._leaving(health, health.unix_time_second)
            self._keep(topic, payload)
            publications.append(Publication(topic, payload, retain=True))
        return publications

    def _leaving(self, body: State | Event | Health | PackState | CellsFrame, second: float) -> bytes:
        """Encode what leaves now; what is not of now says so."""
        old = time.time() - second > self._rule.historical_second
        return wire.encode(msgspec.structs.replace(body, historical=True) if old else body)

    def _show(self, topic: str, payload: bytes) -> None:
        self._keep(topic, payload)
        if self._connected.is_set():
            self._link.post(lambda client: client.publish(topic, payload, retain=True))

    def _keep(self, topic: str, payload: bytes) -> None:
        self._retained.pop(topic, None)
        self._retained[topic] = payload
        if len(self._retained) > self._retained_max:
            del self._retained[next(iter(self._retained))]

    def _came_up(self) -> None:
        retained = [Publication(topic, payload, retain=True) for topic, payload in self._retained.items()]
        online = Publication(self._status, ONLINE, retain=True)
        self._link.post(lambda client: _publish(client, [online, *retained]))
        self._connected.set()

    def _went_down(self) -> None:
        self._connected.clear()
        if self._delivery is not None and not self._delivery.done():
            self._delivery.set_exception(SinkError("the connection was lost"))

    def _confirmed(self) -> None:
        if self._delivery is not None and not self._delivery.done():
            self._delivery.set_result(None)

    # In the link's thread.

    def _send(self, client: paho.Client, publications: list[Publication]) -> None:
        self._flying.update(_publish(client, publications))

    def up(self) -> None:
        """Pass it on to the event loop."""
        self._tell(self._came_up)

    def down(self) -> None:
        """Pass it on to the event loop."""
        self._flying.clear()
        self._tell(self._went_down)

    def message(self, message: paho.MQTTMessage) -> None:
        """Ignore: nothing is subscribed here."""

    def published(self, mid: int) -> None:
        """Pass it on to the event loop when the last of a delivery is confirmed."""
        if mid in self._flying:
            self._flying.remove(mid)
            if not self._flying:
                self._tell(self._confirmed)

    def full(self) -> bool:
        """Read always."""
        return False

    def _tell(self, what: Callable[[], None]) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(what)
        except RuntimeError:
            return  # the loop has ended; so will the link


def _publish(client: paho.Client, publications: list[Publication]) -> list[int]:
    """Publish at QoS 1; returns the numbers by which the broker confirms."""
    return [client.publish(p.topic, p.payload, qos=1, retain=p.retain).mid for p in publications]
