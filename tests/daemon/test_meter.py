"""daemon/meter.py: what came in is in the journal or was rejected, to the last message, whatever is sent."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.batch import BatchBuilder
from daemon.config import Cells, Mqtt, Outbox, PackRule
from daemon.delivery import Delivery
from daemon.fleet import Counters
from daemon.ingest import Decoder
from daemon.meter import Meter

VALUES = st.one_of(st.floats(), st.sampled_from([3.6, 1e9, None, "3.6", [3.6], True]))
NAMES = st.sampled_from(["c0", "c1", "c1", "no/name", ""])
SAMPLES = st.fixed_dictionaries(
    {"voltage_volt": VALUES, "current_ampere": VALUES},
    optional={"unix_time_second": VALUES, "temperature_celsius": VALUES},
)
FRAMES = st.integers(0, 5).flatmap(
    lambda n: st.fixed_dictionaries(
        {
            "cell": st.lists(NAMES, min_size=n, max_size=n),
            "voltage_volt": st.lists(VALUES, min_size=n, max_size=n + 1),
            "current_ampere": st.one_of(VALUES, st.lists(VALUES, min_size=n, max_size=n)),
            "unix_time_second": st.sampled_from([1.7e9, None, -1.0]),
        }
    )
)
PAYLOADS = st.one_of(st.binary(max_size=20), st.one_of(SAMPLES, FRAMES).map(lambda body: json.dumps(body).encode()))
TOPICS = st.sampled_from(["bms/telemetry/p0/c0", "bms/telemetry/p0", "bms/telemetry/q0", "bms/telemetry/a/b/c", "x"])


class NoCells:
    """A fleet that has met nobody."""

    counters = Counters()

    def __len__(self) -> int:
        return 0


def meter(delivery: object = None) -> Meter:
    cells = Cells(packs=[PackRule(pattern="p*", cell_type="panasonic-18650pf")])
    advance = SimpleNamespace(turn_second=[], checkpoint_second=None, stale=0)
    return Meter(SimpleNamespace(received=7, settled=4), Decoder(Mqtt(), cells), NoCells(), delivery, advance)


@settings(max_examples=300, deadline=None)
@given(groups=st.lists(st.lists(st.tuples(TOPICS, PAYLOADS), max_size=6), max_size=6))
def test_what_was_offered_is_journaled_or_rejected_to_the_last_sample(groups):
    told = meter()
    journal = of_cells = 0
    for group in groups:
        builder = BatchBuilder()
        for topic, payload in group:
            told.decoder.take(topic, payload, 1.7e9, builder)
        samples = len(builder.build())
        journal += samples
        of_cells += sum(topic.count("/") != 2 for topic, _ in group)  # a frame may be empty
        told.settle(samples)
        assert told.offered == told.journaled + sum(told.rejected.values())
        assert told.journaled == told.accepted == journal
    assert told.offered >= of_cells


async def test_a_group_that_is_not_acknowledged_yet_is_not_in_the_books(tmp_path):
    delivery = Delivery(tmp_path, Outbox(), [])
    told, builder = meter(delivery), BatchBuilder()
    told.decoder.take("x", b"", 0.0, builder)
    before = await told.read()
    assert (before.offered, before.rejected, before.received, before.unacknowledged) == (0, {}, 7, 3)
    told.settle(0)
    after = await told.read()
    assert (after.offered, after.rejected) == (1, {"topic": 1})
    assert after.checkpoint_age_second is None
    await delivery.close(0.0)


@pytest.mark.parametrize("frame", [[], ["c0", "c1"]])
def test_a_frame_offers_as_many_samples_as_it_has_cells(frame):
    told, builder = meter(), BatchBuilder()
    body = {"cell": frame, "voltage_volt": [99.0] * len(frame), "current_ampere": 0.0, "unix_time_second": 1.7e9}
    told.decoder.take("bms/telemetry/p0", json.dumps(body).encode(), 0.0, builder)
    told.settle(len(builder))
    assert (told.offered, told.journaled) == (len(frame), 0)
