"""daemon/sinks/sqlite.py: retention, damage, and that other programs can read it meanwhile."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from daemon.config import SqliteSink as Rule
from daemon.parcel import Parcel
from daemon.sinks import sqlite as module
from daemon.sinks.sqlite import SqliteSink
from daemon.wire import Event, Health, State


def parcel(first: int, count: int) -> Parcel:
    states = [
        ("p0/c0", State(float(k), 0.5, 0.01, 0.9, 0.02, "ekf-1", ["stale", "clock"])) for k in range(first, count)
    ]
    health = Health(float(first), "rest", "svr-1", "rest", 0.0, {"soh": 0.9}, {"soh": 0.01})
    refused = Health(float(first), "pulse", "gp-1", "pulses", 0.0, in_domain=False, refused="too_short")
    events = [("p0/c0", Event(float(first), "rest", "begin", 0.0, {"c_rate": 0.01}))]
    return Parcel(states, events, [("p0/c0", health), ("p0/c0", refused)])


async def deliver(folder, what: Parcel, rule: Rule | None = None) -> None:
    sink = SqliteSink(folder, rule or Rule(), 0.0)
    await sink.open()
    assert await sink.deliver(what) == []
    await sink.close()


def rows(folder, query: str) -> list:
    with closing(sqlite3.connect(folder / "states.sqlite")) as store:
        return store.execute(query).fetchall()


async def test_states_events_and_health_reports_read_back_by_any_sqlite(tmp_path):
    await deliver(tmp_path, parcel(5, 7))
    assert rows(tmp_path, "SELECT pack, cell, unix_time_second, soc, flags, estimator FROM state") == [
        ("p0", "c0", 5.0, 0.5, "stale,clock", "ekf-1"),
        ("p0", "c0", 6.0, 0.5, "stale,clock", "ekf-1"),
    ]
    assert rows(tmp_path, "SELECT kind, phase, detail FROM event") == [("rest", "begin", '{"c_rate":0.01}')]
    assert rows(tmp_path, "SELECT check_name, soh, soh_std, refused FROM health ORDER BY check_name") == [
        ("pulse", None, None, "too_short"),
        ("rest", 0.9, 0.01, None),
    ]


async def test_rows_that_were_stored_long_ago_are_deleted_whatever_their_event_time(tmp_path, monkeypatch):
    monkeypatch.setattr(module.time, "time", lambda: 0.0)
    await deliver(tmp_path, parcel(0, 100))
    monkeypatch.setattr(module.time, "time", lambda: 86_400.0 * 0.5)
    await deliver(tmp_path, parcel(100, 200), Rule(keep_day=1.0))
    assert rows(tmp_path, "SELECT count(*) FROM state") == [(200,)]
    monkeypatch.setattr(module.time, "time", lambda: 86_400.0 * 1.2)
    await deliver(tmp_path, parcel(200, 201), Rule(keep_day=1.0))
    assert rows(tmp_path, "SELECT min(unix_time_second), count(*) FROM state") == [(100.0, 101)]
    assert rows(tmp_path, "SELECT count(*) FROM event") == [(2,)]


async def test_a_damaged_store_is_set_aside_and_begun_anew(tmp_path):
    (tmp_path / "states.sqlite").write_bytes(b"this is no database" * 1_000)
    await deliver(tmp_path, parcel(0, 3))
    assert rows(tmp_path, "SELECT count(*) FROM state") == [(3,)]
    assert len(list(tmp_path.glob("states.sqlite.damaged-*"))) == 1
