"""A fleet of simulated cells in packs, and the gateway that publishes its telemetry over MQTT.

    fleet = Fleet(cells=16, packs=4, seed=7, start_unix_second=1_763_700_000)
    readings = fleet.advance()                             # one simulated second
    await publish(fleet, host="127.0.0.1", port=1883, speed=60.0, stop=asyncio.Event())

Event time is the start plus the simulated seconds; the wall clock only sets the pace. Each cell is driven by
its own schedule, as on a test bench: the cells of a pack share a gateway, not a current. The truth of the
second last simulated stands in `fleet.soc` and `fleet.soh`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiomqtt
import numpy as np

from daemon import wire
from simulators import cell, schedule
from simulators import physics as kinds
from simulators.schedule import Profile
from simulators.sensor import Readings, Sensing, Sensor

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from numpy.typing import ArrayLike

    from simulators.chemistry import Float

INFLIGHT_MESSAGES = 200  # published and not yet acknowledged: enough to hide a broker's round trip
BATCH_MESSAGES = 1_000  # sent before the next round trip, at most (a second of a larger fleet is not divided)
NO_DELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)  # else every second waits for a delayed ACK, 40 ms
LONGEST_PAUSE_SECOND = 10.0  # between two attempts to connect
REFUSALS = ("Not authorized", "Bad user name or password")

log = logging.getLogger(__name__)
_quiet = logging.getLogger(f"{__name__}.mqtt")  # the client's own chatter: many pending calls are meant
_quiet.setLevel(logging.CRITICAL)


class Fleet:
    """N cells of one chemistry in packs `p0`, `p1`, ... with cells `c00`, `c01`, ...; the seed decides all else."""

    def __init__(
        self,
        *,
        cells: int = 16,
        packs: int = 1,
        seed: int = 0,
        chemistry: str = "nca",
        nominal_capacity_ah: float | None = None,
        ambient_temperature_celsius: ArrayLike = 25.0,
        initial_soc: ArrayLike | None = None,
        initial_soh: ArrayLike = 1.0,
        ageing_speed: float = 1.0,
        profile: Profile | None = None,
        sensing: Sensing | None = None,
        physics: str = "circuit",
        start_unix_second: float = 0.0,
        pack_prefix: str = "p",
    ) -> None:
        """Build the fleet at its start. Ambient, SOC (None: drawn) and SOH are a number or [cell].

        Raises ValueError for an unknown chemistry or physics, and for fewer cells than packs or no pack;
        ModuleNotFoundError where the physics is not installed.
        """
        if not 1 <= packs <= cells:
            raise ValueError(f"{cells} cells cannot fill {packs} packs")
        self.names = _names(cells, packs, pack_prefix)  # [cell] (pack, cell)
        self.second = 0  # simulated so far
        self.start_unix_second = start_unix_second
        draw, initial, self._step = kinds.named(physics)
        self.parameters: cell.Parameters = draw(cells, seed, chemistry, nominal_capacity_ah, ageing_speed)
        self._ambient = np.broadcast_to(np.asarray(ambient_temperature_celsius, dtype=np.float64), (cells,))
        start_soc = cell.draw_soc(cells, seed) if initial_soc is None else initial_soc
        self._state: cell.State = initial(self.parameters, start_soc, initial_soh, self._ambient)
        self._profile = profile or Profile()
        self._plan = schedule.begin(cells, seed, self._state.soc, self._profile)
        self._sensor = Sensor(sensing or Sensing(), cells, seed)

    @property
    def soc(self) -> Float:
        """True SOC of present capacity, [cell]."""
        return self._state.soc

    @property
    def soh(self) -> Float:
        """True SOH, [cell]."""
        return self._state.soh

    @property
    def unix_time_second(self) -> float:
        """Event time at the end of the last simulated second."""
        return self.start_unix_second + self.second

    def advance(self) -> Readings:
        """Simulate one second and show it as the sensors do.

        Rows bear the time at which the second began, so that a current held until the next row is the current
        that flowed; voltage, temperature and truth are those at its end.
        """
        state, cells = self._state, len(self.names)
        self._plan, current = schedule.command(self._plan, state, self.parameters, self._profile)
        self._state = state = self._step(state, current, self._ambient, self.parameters)
        truth = Readings(
            cell=np.arange(cells),
            unix_time_second=np.full(cells, self.unix_time_second),
            voltage_volt=state.voltage_volt,
            current_ampere=state.current_ampere,
            temperature_celsius=state.temperature_celsius,
            soc=state.soc,
            soh=state.soh,
        )
        self.second += 1
        return self._sensor.observe(truth)


@dataclass(slots=True)
class Published:
    """What was sent so far."""

    seconds: int = 0  # simulated, and acknowledged by the broker
    messages: int = 0
    connections: int = 0
    wall_second: float = 0.0


async def publish(
    fleet: Fleet,
    *,
    host: str,
    port: int,
    stop: asyncio.Event,
    prefix: str = "bms",
    speed: float = 1.0,
    seconds: int | None = None,
    frames: bool = False,
    username: str | None = None,
    password: str | None = None,
    on_second: Callable[[Fleet], None] | None = None,
    published: Published | None = None,
) -> Published:
    """Publish every simulated second at QoS 1, `speed` of them per wall second, until `stop` or `seconds` passed.

    One message per cell, or one frame per pack. `on_second` is called for each second as it is sent. Where the
    broker is absent or goes away the simulation waits, connects again for ever (full jitter), sends once more
    what was not acknowledged, and catches up. `published` is filled in while it runs. Raises PermissionError
    where the broker refuses the user.
    """
    gateway = _Gateway(fleet, prefix, speed, seconds, frames, on_second, published or Published())
    await _first(gateway.stay_connected(host, port, username, password), stop.wait())
    return gateway.published


@dataclass(slots=True)
class _Gateway:
    """Sends a fleet's seconds one after another, over as many connections as it takes."""

    fleet: Fleet
    prefix: str
    speed: float
    seconds: int | None
    frames: bool
    on_second: Callable[[Fleet], None] | None
    published: Published
    simulated: int = 0  # seconds
    unsent: list[tuple[str, bytes]] = field(default_factory=list)  # topic and payload, not yet acknowledged
    began: float = field(default_factory=time.monotonic)

    async def stay_connected(self, host: str, port: int, username: str | None, password: str | None) -> None:
        attempt = 0
        while True:
            try:
                async with aiomqtt.Client(
                    host,
                    port,
                    username=username,
                    password=password,
                    logger=_quiet,
                    max_inflight_messages=INFLIGHT_MESSAGES,
                    max_concurrent_outgoing_calls=INFLIGHT_MESSAGES,
                    socket_options=NO_DELAY,
                ) as client:
                    attempt = 0
                    self.published.connections += 1
                    await _first(self.drive(client), _until_lost(client))
                    return
            except aiomqtt.MqttError as err:
                if any(refusal in str(err) for refusal in REFUSALS):
                    raise PermissionError(f"{host}:{port} refuses user {username!r}: {err}") from err
                pause = random.uniform(0.0, min(LONGEST_PAUSE_SECOND, 0.25 * 2.0**attempt))  # noqa: S311
                log.warning("broker %s:%d is away (%s), next attempt in %.1f s", host, port, err, pause)
                attempt += 1
                await asyncio.sleep(pause)

    async def drive(self, client: aiomqtt.Client) -> None:
        done = self.published
        while self.seconds is None or done.seconds < self.seconds:
            if not self.unsent:
                self.simulate_due()
            sent = [client.publish(topic, payload, qos=1) for topic, payload in self.unsent]
            for outcome in await asyncio.gather(*sent, return_exceptions=True):
                if outcome is not None:
                    raise outcome
            self.unsent.clear()
            done.messages += len(sent)
            done.seconds = self.simulated
            done.wall_second = time.monotonic() - self.began
            await asyncio.sleep(self.simulated / self.speed - done.wall_second)

    def simulate_due(self) -> None:
        """Simulate the next second, and those that are due already: they share a round trip to the broker."""
        messages = _frames if self.frames else _samples
        due = True
        while due:
            self.unsent += messages(self.fleet, self.fleet.advance(), self.prefix)
            self.simulated += 1
            if self.on_second:
                self.on_second(self.fleet)
            late = time.monotonic() - self.began >= self.simulated / self.speed
            due = late and self.simulated != self.seconds and len(self.unsent) < BATCH_MESSAGES


async def _first(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Run all until one ends, cancel the others, and raise what that one raised."""
    tasks = [asyncio.ensure_future(c) for c in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = [t for t in tasks if t.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in ended:
        task.result()


async def _until_lost(client: aiomqtt.Client) -> None:
    """Raise MqttError as soon as the connection is gone: a pending publish alone would wait out its timeout."""
    async for _ in client.messages:
        pass


def _samples(fleet: Fleet, readings: Readings, prefix: str) -> Iterator[tuple[str, bytes]]:
    """One message per row."""
    for number, second, volt, ampere, celsius in _rows(readings):
        pack, name = fleet.names[number]
        yield wire.telemetry_topic(prefix, pack, name), wire.encode(wire.Sample(volt, ampere, second, celsius))


def _frames(fleet: Fleet, readings: Readings, prefix: str) -> Iterator[tuple[str, bytes]]:
    """One frame per pack and time; a cell that comes twice opens another."""
    frames: defaultdict[tuple[str, float, int], list[tuple[str, float, float, float]]] = defaultdict(list)
    seen: Counter[tuple[int, float]] = Counter()
    for number, second, volt, ampere, celsius in _rows(readings):
        pack, name = fleet.names[number]
        frames[pack, second, seen[number, second]].append((name, volt, ampere, celsius))
        seen[number, second] += 1
    for (pack, second, _), rows in frames.items():
        names, volts, amperes, celsiuses = map(list, zip(*rows, strict=True))
        yield wire.telemetry_topic(prefix, pack), wire.encode(wire.Frame(names, volts, amperes, second, celsiuses))


def _rows(readings: Readings) -> Iterator[tuple[int, float, float, float, float]]:
    columns = (
        readings.cell,
        readings.unix_time_second,
        readings.voltage_volt,
        readings.current_ampere,
        readings.temperature_celsius,
    )
    return zip(*(column.tolist() for column in columns), strict=True)


def _names(cells: int, packs: int, prefix: str) -> tuple[tuple[str, str], ...]:
    """Deal the cells out to the packs, the first packs taking one more where it does not come out even."""
    names = []
    for pack, members in enumerate(np.array_split(np.arange(cells), packs)):
        digits = max(2, len(str(len(members) - 1)))
        names += [(f"{prefix}{pack}", f"c{k:0{digits}d}") for k in range(len(members))]
    return tuple(names)
