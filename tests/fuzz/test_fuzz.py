"""Hostile input in short (20 s) and in full (`make test-all`, or python -m tests.fuzz)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.batch import BatchBuilder
from daemon.config import Mqtt, read_config
from daemon.errors import BmsdError
from daemon.ingest import Decoder
from daemon.log import read_log
from tests.fuzz.run import CELLS, files, messages

FLAT_BYTES = 8 * 2**20
STALL_MS = 1_000.0  # a machine with much else to do may hold anything up


def test_hostile_messages_in_short():
    outcome = messages(150_000, seed=1)
    assert {"topic", "not-json", "nesting", "shape", "voltage-range", "fleet-full"} <= set(outcome.rejected)
    assert outcome.accepted > 1_000
    assert outcome.slowest_ms < STALL_MS


def test_hostile_files_in_short():
    taken = files(60, seed=1)
    assert taken["logs"]
    assert taken["configurations"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_million_hostile_messages_and_memory_stays_flat():
    outcome = messages(1_000_000, seed=2)
    assert outcome.grown_bytes < FLAT_BYTES
    assert outcome.slowest_ms < STALL_MS


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_thousands_of_hostile_files():
    assert files(3_000, seed=3).total() > 1_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("unix_time_second", "voltage_volt", "current_ampere", "temperature_celsius", "cell", "cycle_count", "schema")
NUMBERS = st.floats(-20.0, 40.0) | st.integers(-5, 5) | st.lists(st.floats(0.0, 5.0), max_size=3)


@given(
    body=st.dictionaries(st.sampled_from(FIELDS), NUMBERS | st.lists(st.text("ab!", max_size=2), max_size=3) | JSON),
    topic=st.sampled_from(("p0", "p0/c0", "timeless/c0")),
)
@settings(max_examples=500, deadline=None)
def test_any_fields_with_any_values_are_taken_or_counted(body, topic):
    decoder, builder = Decoder(Mqtt(), CELLS), BatchBuilder()
    decoder.take(f"bms/telemetry/{topic}", json.dumps(body).encode(), 1.7e9, builder)
    assert decoder.offered == decoder.accepted + decoder.rejected.total()
    assert decoder.accepted == len(builder)


@given(topic=st.text(max_size=200), payload=st.binary(max_size=200))
@settings(max_examples=1_000, deadline=None)
def test_any_topic_is_counted(topic, payload):
    decoder, builder = Decoder(Mqtt(), CELLS), BatchBuilder()
    for name in (topic, f"bms/telemetry/{topic}", f"bms/telemetry/p0/{topic}"):
        decoder.take(name, payload, 1.7e9, builder)
    assert decoder.offered >= 3
    assert decoder.offered == decoder.accepted + decoder.rejected.total()


SECTIONS = ("mqtt", "cells", "grid", "publish", "sinks", "journal", "service", "health", "version", "x")
KEYS = ("host", "port", "packs", "tls", "password", "unknown", "cells_max", "outbox", "keep_byte", "pattern", "enabled")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("files")


@given(st.dictionaries(st.sampled_from(SECTIONS), VALUES, max_size=4) | VALUES)
@settings(max_examples=500, deadline=None)
def test_any_configuration_is_read_or_refused_in_words(folder, tree):
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
    try:
        read_config(file, {})
    except BmsdError as err:
        assert err.what  # noqa: PT017 - either is right


CELL = st.floats().map(repr) | st.text(max_size=4) | st.sampled_from(("", "nan", "1", "3.7", '"', "1e400"))


@given(st.lists(st.lists(CELL, max_size=6), max_size=8), st.sampled_from((",", ";", "\t")), st.binary(max_size=3))
@settings(max_examples=500, deadline=None)
def test_any_log_is_read_or_refused_in_words(folder, rows, comma, begin):
    head = comma.join(("test_time_second", "voltage_volt", "current_ampere", "temperature_celsius"))
    text = "\n".join([head, *(comma.join(row) for row in rows)])
    file = folder / "log.csv"
    file.write_bytes(begin + text.encode("utf-8", "surrogatepass"))
    try:
        log = read_log(file)
    except BmsdError as err:
        assert err.what  # noqa: PT017 - either is right
    else:
        assert len(log) <= len(rows) * 2 + 8
