"""MQTT messages -> samples; a message is acknowledged only when its owner says so, after the journal has it.

    Subscriber.groups()  ->  Decoder.take(...)  ->  BatchBuilder  ->  journal  ->  Subscriber.acknowledge(...)

The subscription is QoS 1 in a persistent session, so the broker keeps what we have not acknowledged and
sends it again: after a crash, and after a lost connection. What waits here is bounded by
`mqtt.unacknowledged_max` and `mqtt.unacknowledged_max_byte`: at the bound the network thread stops reading, and
the broker queues. If that lasts, `daemon/overload.py` has less taken.
Plain paho in a thread of its own was chosen by measurement (benchmarks/mqtt_receive.py).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

from daemon import wire
from daemon.broker import Link
from daemon.limits import Limits
from daemon.overload import thin
from daemon.says import Say
from daemon.wire import Frame, Reject, Sample, WireError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    import paho.mqtt.client as paho

    from daemon.batch import Batch, BatchBuilder
    from daemon.config import Cells, Mqtt

SHOWN = 200  # bytes of a rejected payload, letters of its topic and of what is wrong with it
TOPICS_KEPT, PACKS_KEPT = 65_536, 4_096  # parsed topics and packs' rules that are remembered
GROUPS_IN_BOUND = 8  # a group has at most this part of the bytes that may wait: decoded, they take ten times as much

say = Say("ingest")


class Message(NamedTuple):
    """One message as it came, and what is needed to acknowledge it."""

    topic: str
    payload: bytes
    arrival_second: float  # our clock
    mid: int
    qos: int
    generation: int  # of the connection that it came by


class Rejected(NamedTuple):
    """The last message that was not taken for one reason."""

    topic: str
    what: str
    payload: str  # its first bytes


class Decoder:
    """Turns messages into samples; counts what is not taken, by reason."""

    def __init__(self, config: Mqtt, cells: Cells) -> None:
        self.offered = 0  # samples; a message that cannot be read counts as one
        self.accepted = 0  # samples
        self.rejected: Counter[Reject] = Counter()  # messages, or single cells of a frame
        self.last_rejected: dict[Reject, Rejected] = {}
        self._payload_max = config.payload_max_byte
        self._limits = Limits(config, cells)
        self._rule = lru_cache(PACKS_KEPT)(cells.rule)
        self._parse = lru_cache(TOPICS_KEPT)(partial(wire.parse_topic, config.prefix))

    def take(self, topic: str, payload: bytes, arrival_second: float, builder: BatchBuilder) -> None:
        """Add the samples of one message to `builder`. Never raises for what a message holds."""
        before = len(builder)
        try:
            pack, count, samples, errors = self._read(topic, payload, arrival_second)
        except WireError as err:
            self.offered += 1
            self._reject(topic, payload, err)
            return
        self.offered += count
        for cell, sample in samples:
            if error := self._add(pack, cell, sample, arrival_second, builder):
                errors.append(error)
        for error in errors:
            self._reject(topic, payload, error)
        self.accepted += len(builder) - before

    def shed(self, batch: Batch) -> Batch:
        """Keep of accepted samples what an overload leaves, and count the others."""
        kept = thin(batch)
        if dropped := len(batch) - len(kept):
            self.accepted -= dropped
            self.rejected[Reject.SHED] += dropped
        return kept

    def _read(
        self, topic: str, payload: bytes, arrival_second: float
    ) -> tuple[str, int, Iterable[tuple[str, Sample]], list[WireError]]:
        """Take a message apart: its pack, how many samples, the sound ones by cell, what is wrong with the others."""
        pack, cell = self._parse(topic)
        self._limits.message(pack, arrival_second)
        if len(payload) > self._payload_max:
            raise WireError(Reject.SIZE, f"{len(payload)} bytes, more than {self._payload_max}")
        if cell is not None:
            return pack, 1, ((cell, wire.decode_sample(payload)),), []
        try:
            frame = wire.decode_frame(payload)
            return pack, len(frame.cell), _samples(frame), []
        except WireError:
            frame, errors = wire.salvage_frame(payload)
            return pack, len(frame.cell) + len(errors), _samples(frame), errors

    def _add(
        self, pack: str, cell: str, sample: Sample, arrival_second: float, builder: BatchBuilder
    ) -> WireError | None:
        """Add one sample as its pack's rule wants it; or say why not."""
        rule = self._rule(pack)
        if rule is None:
            return WireError(Reject.UNKNOWN_CELL, f"cell {pack}/{cell}: no rule of cells.packs fits pack {pack}")
        second = sample.unix_time_second
        if second is None:
            if rule.clock != "server":
                return WireError(Reject.TIME_MISSING, f"no unix_time_second, and pack {pack} is not `clock: server`")
            second = arrival_second
        name = f"{pack}/{cell}"
        try:
            self._limits.cell(pack, name)
        except WireError as err:
            return err
        celsius = math.nan if sample.temperature_celsius is None else sample.temperature_celsius
        builder.add(name, second, sample.voltage_volt, sample.current_ampere, celsius)
        return None

    def _reject(self, topic: str, payload: bytes, err: WireError) -> None:
        self.rejected[err.reason] += 1
        last = Rejected(topic[:SHOWN], str(err)[:SHOWN], payload[:SHOWN].decode("utf-8", "replace"))
        self.last_rejected[err.reason] = last
        say.seldom("rejected", err.reason, reason=err.reason, topic=last.topic, what=last.what)


class Subscriber:
    """The persistent subscription to all telemetry."""

    def __init__(self, config: Mqtt) -> None:
        self._config = config
        subscription = f"{config.prefix}/telemetry/#"  # all of it, so that a wrong topic is told and not unheard
        self._link = Link(config, config.client_id, self, persistent=True, subscription=subscription)
        self._waiting: deque[Message] = deque()
        self._received = self._received_bytes = 0  # counted by the network thread alone
        self._settled = self._settled_bytes = 0  # counted by the event loop alone
        self._arrived, self._filled = asyncio.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = False

    @property
    def received(self) -> int:
        """Count the messages so far."""
        return self._received

    @property
    def settled(self) -> int:
        """Count those that were acknowledged."""
        return self._settled

    @property
    def busy_second(self) -> float:
        """Sum up the time in which there was something to read, whether or not it was read."""
        return self._link.busy_second

    @property
    def is_up(self) -> bool:
        """Tell whether the broker has accepted us."""
        return self._link.is_up

    async def start(self) -> None:
        """Begin to connect; the broker need not be there. Returns after the first attempt."""
        self._loop = asyncio.get_running_loop()
        self._link.start()
        await asyncio.to_thread(self._link.attempted.wait)

    def stop(self) -> None:
        """Take no more messages, and end `groups`; what was handed out may still be acknowledged."""
        self._stopped = True
        self._arrived.set()
        self._filled.set()

    async def close(self) -> None:
        """Leave the broker: what was not acknowledged, it will send again."""
        self.stop()
        await asyncio.to_thread(self._link.close)

    async def groups(self) -> AsyncIterator[list[Message]]:
        """Yield messages, gathered for `group_second` or until the bound is reached, whichever is first."""
        while not self._stopped:  # asked again here: the clearing below may wipe out a stop's signal
            await self._arrived.wait()
            if self._stopped:
                return
            try:
                async with asyncio.timeout(self._config.group_second):
                    await self._filled.wait()
            except TimeoutError:
                pass
            self._arrived.clear()
            self._filled.clear()
            if group := self._take():
                yield group

    def _take(self) -> list[Message]:
        """Take those that wait; of very large ones, as many as may be decoded at once."""
        group: list[Message] = []
        room = self._config.unacknowledged_max_byte // GROUPS_IN_BOUND
        while self._waiting and room > 0:
            group.append(self._waiting.popleft())
            room -= len(group[-1].payload)
        if self._waiting:  # the rest is the next group, at once
            self._arrived.set()
            self._filled.set()
        return group

    def acknowledge(self, group: list[Message]) -> None:
        """Tell the broker that these messages are safe."""
        self._settled += len(group)
        self._settled_bytes += sum(len(message.payload) for message in group)
        self._link.post(partial(self._send, group))

    def _send(self, group: list[Message], client: paho.Client) -> None:
        """Acknowledge what came by this connection; the rest is sent again by the broker, under new numbers."""
        for message in group:
            if message.qos and message.generation == self._link.generation:
                client.ack(message.mid, message.qos)

    # What the link tells us, in its thread.

    def up(self) -> None:
        """Go on: the link has subscribed."""

    def down(self) -> None:
        """Leave what waits as it is: it is journaled, and the broker's copy is told as a duplicate."""

    def published(self, mid: int) -> None:
        """Ignore: nothing is published here."""

    def full(self) -> bool:
        """Tell whether as many messages wait for acknowledgement as may, or no more are wanted."""
        return (
            self._stopped
            or self._received - self._settled >= self._config.unacknowledged_max
            or self._received_bytes - self._settled_bytes >= self._config.unacknowledged_max_byte
        )

    def message(self, message: paho.MQTTMessage) -> None:
        """Put one message with those that wait, and wake the event loop if it sleeps."""
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = "(not UTF-8)"
        payload = bytes(message.payload)
        self._waiting.append(Message(topic, payload, time.time(), message.mid, message.qos, self._link.generation))
        self._received += 1
        self._received_bytes += len(payload)
        if not self._arrived.is_set():
            self._signal(self._arrived)
        if self.full():
            self._signal(self._filled)

    def _signal(self, event: asyncio.Event) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(event.set)
        except RuntimeError:
            return  # the loop has ended; so will the link


def _samples(frame: Frame) -> Iterator[tuple[str, Sample]]:
    """Walk a frame's cells; a value given once stands for all."""
    count, ampere, celsius = len(frame.cell), frame.current_ampere, frame.temperature_celsius
    amperes = ampere if isinstance(ampere, list) else [ampere] * count
    celsiuses = celsius if isinstance(celsius, list) else [celsius] * count
    for cell, volt, amp, temperature in zip(frame.cell, frame.voltage_volt, amperes, celsiuses, strict=True):
        yield cell, Sample(volt, amp, frame.unix_time_second, temperature)
