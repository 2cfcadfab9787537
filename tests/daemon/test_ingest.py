"""daemon/ingest.py: what a message becomes, and why some are not taken. (The subscriber: tests/service/.)"""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.batch import Batch, BatchBuilder
from daemon.config import Cells, Mqtt, PackRule
from daemon.ingest import Decoder
from daemon.wire import Reject

CELLS = Cells(
    packs=[
        PackRule(pattern="timeless-*", cell_type="generic-nmc", clock="server"),
        PackRule(pattern="p*", cell_type="generic-nmc", current_sign=-1),
    ]
)
GOOD = {"unix_time_second": 1000.0, "voltage_volt": 3.7, "current_ampere": -1.5, "temperature_celsius": 25.0}


@pytest.fixture
def decoder():
    return Decoder(Mqtt(payload_max_byte=20_000), CELLS)


def take(decoder: Decoder, topic: str, body: object, arrival: float = 5_000.0) -> Batch:
    builder = BatchBuilder()
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    decoder.take(f"bms/{topic}", payload, arrival, builder)
    return builder.build()


def test_one_cell_one_message_one_sample_as_it_was_sent(decoder):
    batch = take(decoder, "telemetry/p0/c0", GOOD)
    assert batch.cells == ("p0/c0",)
    assert batch.unix_time_second.tolist() == [1000.0]
    assert batch.current_ampere.tolist() == [-1.5]  # the fleet turns the sign, so that the journal holds what was sent
    assert decoder.accepted == 1
    assert not decoder.rejected


def test_a_missing_temperature_is_not_a_number(decoder):
    batch = take(decoder, "telemetry/p0/c0", {k: v for k, v in GOOD.items() if k != "temperature_celsius"})
    assert math.isnan(batch.temperature_celsius[0])


def test_a_frame_is_many_samples_and_one_value_stands_for_all(decoder):
    frame = {**GOOD, "cell": ["a", "b"], "voltage_volt": [3.1, 3.2], "temperature_celsius": [20.0, None]}
    batch = take(decoder, "telemetry/p0", frame)
    assert batch.cells == ("p0/a", "p0/b")
    assert batch.voltage_volt.tolist() == [3.1, 3.2]
    assert batch.current_ampere.tolist() == [-1.5, -1.5]
    assert math.isnan(batch.temperature_celsius[1])


def test_a_cell_that_is_rejected_in_a_frame_does_not_lose_the_others(decoder):
    frame = {"unix_time_second": 1.0, "cell": ["a", "b!", "c", "d", "d"], "voltage_volt": [3.0, 3.1, 11.0, None, 3.3]}
    batch = take(decoder, "telemetry/p0", {**frame, "current_ampere": 0.0})
    assert dict(zip(batch.cells, batch.voltage_volt.tolist(), strict=True)) == {"p0/a": 3.0, "p0/d": 3.3}
    assert decoder.rejected == {Reject.TOPIC: 1, Reject.VOLTAGE_RANGE: 1, Reject.SHAPE: 1}
    assert decoder.accepted == 2


def test_time_may_be_ours_where_the_pack_says_so(decoder):
    timeless = {k: v for k, v in GOOD.items() if k != "unix_time_second"}
    assert take(decoder, "telemetry/timeless-1/c0", timeless, arrival=5_000.5).unix_time_second.tolist() == [5_000.5]
    assert take(decoder, "telemetry/timeless-1/c0", GOOD).unix_time_second.tolist() == [1000.0]
    assert len(take(decoder, "telemetry/p0/c0", timeless)) == 0
    assert decoder.rejected == {Reject.TIME_MISSING: 1}


@pytest.mark.parametrize(
    ("topic", "body", "reason"),
    [
        ("telemetry", GOOD, Reject.TOPIC),
        ("telemetry/p0/c0/x", GOOD, Reject.TOPIC),
        ("telemetry/p0/c 0", GOOD, Reject.TOPIC),
        ("telemetry/p0/cells", GOOD, Reject.TOPIC),
        ("telemetry/p0/c0", b" " * 20_001, Reject.SIZE),
        ("telemetry/p0/c0", b"", Reject.NOT_JSON),
        ("telemetry/p0/c0", b"\xff{}", Reject.NOT_JSON),
        ("telemetry/p0/c0", {}, Reject.SHAPE),
        ("telemetry/p0/c0", b'{"x":' * 2_000, Reject.NESTING),
        ("telemetry/p0/c0", b'{"voltage_volt":3,"x":' + b"[" * 2_000, Reject.NESTING),
        ("telemetry/p0", b'{"cell":["a"],"voltage_volt":[' + b"[" * 2_000, Reject.NESTING),
        ("telemetry/p0/c0", {**GOOD, "voltage_volt": "3.7"}, Reject.SHAPE),
        ("telemetry/p0/c0", b'{"unix_time_second":1,"voltage_volt":NaN,"current_ampere":0}', Reject.NOT_JSON),
        ("telemetry/p0", {**GOOD, "cell": ["a"], "voltage_volt": [3.0, 3.1]}, Reject.SHAPE),
        ("telemetry/p0/c0", {**GOOD, "voltage_volt": -0.1}, Reject.VOLTAGE_RANGE),
        ("telemetry/p0/c0", {**GOOD, "current_ampere": 20_000.0}, Reject.CURRENT_RANGE),
        ("telemetry/p0/c0", {**GOOD, "temperature_celsius": 200.0}, Reject.TEMPERATURE_RANGE),
        ("telemetry/p0/c0", {**GOOD, "unix_time_second": 1e12}, Reject.TIME_RANGE),
        ("telemetry/stranger/c0", GOOD, Reject.UNKNOWN_CELL),
    ],
)
def test_what_is_not_taken_is_counted_by_its_reason_and_the_last_one_kept(decoder, topic, body, reason):
    assert len(take(decoder, topic, body)) == 0
    assert decoder.rejected == {reason: 1}
    last = decoder.last_rejected[reason]
    assert last.topic == f"bms/{topic}"[:200]
    assert last.what
    assert len(last.payload) <= 200
    json.dumps(last)


def test_what_is_kept_of_a_rejected_message_is_short_however_long_it_is(decoder):
    take(decoder, "x" * 60_000, GOOD)
    take(decoder, "telemetry/p0", {**GOOD, "cell": ["!" * 15_000], "voltage_volt": [3.7]})
    assert len(json.dumps(decoder.last_rejected[Reject.TOPIC])) < 1_000


def test_an_overload_leaves_the_newest_of_a_second_and_counts_the_others(decoder):
    builder = BatchBuilder()
    for tenth in (0, 1, 3, 2):
        decoder.take("bms/telemetry/p0/c0", json.dumps({**GOOD, "unix_time_second": tenth / 10}).encode(), 0.0, builder)
    assert decoder.shed(builder.build()).unix_time_second.tolist() == [0.3]
    assert decoder.rejected == {Reject.SHED: 3}
    assert decoder.offered == decoder.accepted + decoder.rejected.total()


def test_a_pack_that_sends_too_much_is_cut_and_the_others_are_not():
    decoder = Decoder(Mqtt(pack_rate_max=0.01), CELLS)
    batches = [take(decoder, f"telemetry/p{k % 2}/c0", GOOD) for k in (0, 0, 0, 0, 0, 0, 0, 0, 1)]
    assert [len(batch) for batch in batches] == [1, 1, 1, 1, 1, 1, 0, 0, 1]
    assert decoder.rejected == {Reject.RATE: 2}


def test_a_stranger_is_taken_where_it_may_be_adopted():
    adopting = Decoder(Mqtt(), CELLS.model_copy(update={"unknown": "adopt", "default_type": "generic-lfp"}))
    assert len(take(adopting, "telemetry/stranger/c0", GOOD)) == 1


@given(topic=st.text(), payload=st.binary(max_size=300) | st.from_regex(rb"\{.*\}", fullmatch=True))
def test_no_bytes_whatever_raise(topic, payload):
    decoder = Decoder(Mqtt(), CELLS)
    builder = BatchBuilder()
    for place in (topic, "bms/telemetry/p0/c0", "bms/telemetry/p0"):
        decoder.take(place, payload, 0.0, builder)
    assert decoder.accepted == len(builder)
    assert decoder.accepted + decoder.rejected.total() >= 3


VALUE = st.none() | st.floats() | st.text(max_size=3) | st.integers() | st.booleans()


@given(
    cells=st.lists(st.text("ab!", max_size=3), max_size=6),
    volts=st.lists(VALUE, max_size=6) | VALUE,
    amperes=st.lists(VALUE, max_size=6) | VALUE,
    celsius=st.lists(VALUE, max_size=6) | VALUE,
)
def test_every_cell_of_a_frame_is_either_taken_or_counted(cells, volts, amperes, celsius):
    decoder = Decoder(Mqtt(), CELLS)
    frame = {"unix_time_second": 1.0, "cell": cells, "voltage_volt": volts, "current_ampere": amperes}
    batch = take(decoder, "telemetry/p0", json.dumps({**frame, "temperature_celsius": celsius}).encode())
    assert all(0.0 <= v <= 10.0 for v in batch.voltage_volt.tolist())
    told = decoder.rejected.total() + len(batch)
    assert told in {len(cells), 1}
