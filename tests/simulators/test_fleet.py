import asyncio
import time

import aiomqtt
import numpy as np
import pytest

from daemon import wire
from simulators.fleet import Fleet, Published, publish
from simulators.sensor import Fault, Sensing
from tests.service.mosquitto import make_mosquitto

HOST = "127.0.0.1"


def test_a_seed_gives_the_same_fleet_again_bit_for_bit():
    def run(seed):
        fleet = Fleet(cells=5, packs=2, seed=seed, chemistry="lfp", sensing=Sensing(dropout=0.1, faults=tuple(Fault)))
        return [fleet.advance() for _ in range(300)]

    def same(one, other):
        return all(
            getattr(a, n).tobytes() == getattr(b, n).tobytes()
            for a, b in zip(one, other, strict=True)
            for n in a.__slots__
        )

    assert same(run(1), run(1))
    assert not same(run(1), run(2))


def test_cells_are_dealt_out_to_packs_and_named():
    assert Fleet(cells=5, packs=2).names == (("p0", "c00"), ("p0", "c01"), ("p0", "c02"), ("p1", "c00"), ("p1", "c01"))
    names = Fleet(cells=101, packs=1, pack_prefix="rack-").names
    assert names[0] == ("rack-0", "c000")
    assert all(wire.NAME.fullmatch(name) for pair in names for name in pair)
    with pytest.raises(ValueError, match="2 cells cannot fill 3 packs"):
        Fleet(cells=2, packs=3)


def test_event_time_is_the_start_plus_the_simulated_seconds():
    fleet = Fleet(cells=2, start_unix_second=1_763_700_000.0)
    times = [set(fleet.advance().unix_time_second) for _ in range(3)]
    assert times == [{1_763_700_000.0}, {1_763_700_001.0}, {1_763_700_002.0}]
    assert fleet.unix_time_second == 1_763_700_003.0


class Listener:
    """Everything that a broker receives under bms/telemetry."""

    def __init__(self):
        self.received = []

    async def listen(self, port, ready):
        async with aiomqtt.Client(HOST, port) as client:
            await client.subscribe("bms/telemetry/#", qos=1)
            ready.set()
            async for message in client.messages:
                self.received.append((str(message.topic), message.payload, message.qos))


async def received(broker, fleet, wanted, **settings):
    """Publish and collect until `wanted` messages came."""
    listener, ready = Listener(), asyncio.Event()
    task = asyncio.create_task(listener.listen(broker.port, ready))
    await asyncio.wait_for(ready.wait(), 10)
    published = await publish(fleet, host=HOST, port=broker.port, stop=asyncio.Event(), **settings)
    await until(lambda: len(listener.received) >= wanted)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return published, listener.received


async def until(condition, timeout_second=20.0):
    async with asyncio.timeout(timeout_second):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another program
            await asyncio.sleep(0.01)


@pytest.mark.service
async def test_every_cell_arrives_every_second_in_order(mosquitto_broker):
    fleet = Fleet(cells=3, packs=2, seed=1, start_unix_second=1e9)
    published, messages = await received(mosquitto_broker, fleet, 60, speed=float("inf"), seconds=20)
    assert (published.seconds, published.messages, published.connections) == (20, 60, 1)
    assert {qos for _, _, qos in messages} == {1}
    twin = Fleet(cells=3, packs=2, seed=1, start_unix_second=1e9)
    expected = [twin.advance() for _ in range(20)]
    for number, (pack, cell) in enumerate(fleet.names):
        topic = wire.telemetry_topic("bms", pack, cell)
        samples = [wire.decode_sample(payload) for at, payload, _ in messages if at == topic]
        assert [s.unix_time_second for s in samples] == [1e9 + k for k in range(20)]
        assert [s.voltage_volt for s in samples] == [r.voltage_volt[number] for r in expected]
        assert [s.current_ampere for s in samples] == [r.current_ampere[number] for r in expected]
        assert [s.temperature_celsius for s in samples] == [r.temperature_celsius[number] for r in expected]


@pytest.mark.service
async def test_frames_carry_a_pack_in_one_message(mosquitto_broker):
    fleet = Fleet(cells=5, packs=2, seed=1)
    published, messages = await received(mosquitto_broker, fleet, 20, speed=float("inf"), seconds=10, frames=True)
    assert published.messages == 20
    frames = [(topic, wire.decode_frame(payload)) for topic, payload, _ in messages]
    assert {topic for topic, _ in frames} == {"bms/telemetry/p0", "bms/telemetry/p1"}
    first = next(frame for topic, frame in frames if topic == "bms/telemetry/p0")
    assert first.cell == ["c00", "c01", "c02"]
    assert first.voltage_volt == Fleet(cells=5, packs=2, seed=1).advance().voltage_volt[:3].tolist()


@pytest.mark.service
async def test_a_frame_names_no_cell_twice_even_when_readings_come_twice(mosquitto_broker):
    fleet = Fleet(cells=4, sensing=Sensing(faults=(Fault.DUPLICATE,), fault_rate=1.0))
    _, messages = await received(mosquitto_broker, fleet, 10, speed=float("inf"), seconds=5, frames=True)
    frames = [wire.decode_frame(payload) for _, payload, _ in messages]
    assert len(frames) == 10
    assert all(frame.cell == ["c00", "c01", "c02", "c03"] for frame in frames)


@pytest.mark.service
async def test_the_wall_clock_sets_the_pace(mosquitto_broker):
    began = time.monotonic()
    published, _ = await received(mosquitto_broker, Fleet(cells=1), 40, speed=40.0, seconds=40)
    assert time.monotonic() - began > 0.97
    assert 0.97 < published.wall_second < 3.0


@pytest.mark.service
async def test_the_truth_of_each_published_second_is_handed_to_the_caller(mosquitto_broker):
    seen = []
    fleet = Fleet(cells=2, seed=4, initial_soh=0.9)
    await received(
        mosquitto_broker,
        fleet,
        20,
        speed=float("inf"),
        seconds=10,
        on_second=lambda f: seen.append((f.second, f.soc.copy(), f.soh.copy())),
    )
    twin = Fleet(cells=2, seed=4, initial_soh=0.9)
    expected = [twin.advance() for _ in range(10)]
    assert [second for second, _, _ in seen] == list(range(1, 11))
    np.testing.assert_array_equal([soc for _, soc, _ in seen], [r.soc for r in expected])
    np.testing.assert_array_equal([soh for _, _, soh in seen], [r.soh for r in expected])


@pytest.mark.service
async def test_a_broker_that_goes_away_loses_no_second(mosquitto_broker):
    broker, fleet, published, stop = mosquitto_broker, Fleet(cells=2, seed=1), Published(), asyncio.Event()
    task = asyncio.create_task(
        publish(fleet, host=HOST, port=broker.port, stop=stop, speed=200.0, seconds=300, published=published)
    )
    seen = []

    def note(sample):
        seen.append(sample.unix_time_second)

    async def listen():
        async with aiomqtt.Client(HOST, broker.port, identifier="listener", clean_session=False) as client:
            await client.subscribe("bms/telemetry/p0/c00", qos=1)
            async for message in client.messages:
                note(wire.decode_sample(message.payload))

    await until(lambda: published.seconds > 20)
    await asyncio.to_thread(broker.stop)
    at_stop = published.seconds
    await asyncio.to_thread(broker.start)
    listener = asyncio.create_task(listen())
    await asyncio.wait_for(task, 30)
    assert published.connections == 2
    assert published.seconds == 300 > at_stop
    await until(lambda: seen and seen[-1] == 299.0)
    assert seen == sorted(seen)
    assert set(np.diff(seen)) <= {0.0, 1.0}
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)


@pytest.mark.service
async def test_a_broker_that_is_absent_is_waited_for(absent_broker):
    published = Published()
    task = asyncio.create_task(
        publish(
            Fleet(cells=1),
            host=HOST,
            port=absent_broker.port,
            stop=asyncio.Event(),
            speed=float("inf"),
            seconds=3,
            published=published,
        )
    )
    done, _ = await asyncio.wait([task], timeout=0.1)
    assert not done
    await asyncio.to_thread(absent_broker.start)
    await asyncio.wait_for(task, 20)
    assert published.seconds == 3


@pytest.mark.service
async def test_stop_ends_it_with_the_broker_there_or_not(mosquitto_broker):
    for port in (mosquitto_broker.port, 1):
        stop, published = asyncio.Event(), Published()
        task = asyncio.create_task(
            publish(Fleet(cells=1), host=HOST, port=port, stop=stop, speed=100.0, published=published)
        )
        if port != 1:
            await until(lambda p=published: p.seconds > 3)
        stop.set()
        assert await asyncio.wait_for(task, 5) is published


@pytest.mark.service
async def test_a_refused_user_is_an_error_and_not_retried(tmp_path):
    broker = make_mosquitto(tmp_path)
    config = tmp_path / "mosquitto.conf"
    config.write_text(config.read_text().replace("allow_anonymous true", "allow_anonymous false"))
    broker.start()
    try:
        with pytest.raises(PermissionError, match="refuses user 'nobody'"):
            async with asyncio.timeout(10):
                await publish(
                    Fleet(cells=1), host=HOST, port=broker.port, stop=asyncio.Event(), username="nobody", password="x"
                )
    finally:
        broker.stop()
