"""The embedded store: `states.sqlite` in the state directory, for `bmsd export` and for anything that speaks SQL."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from daemon.database import Database
from daemon.errors import JournalError, SinkError

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.config import SqliteSink as Rule
    from daemon.parcel import Parcel
    from daemon.sinks.contract import Refused
    from daemon.wire import Event, Health, State

NAME, VERSION = "states.sqlite", 1
TABLES = """
CREATE TABLE IF NOT EXISTS state (
    pack TEXT NOT NULL, cell TEXT NOT NULL, unix_time_second REAL NOT NULL,
    soc REAL NOT NULL, soc_std REAL NOT NULL, soh REAL NOT NULL, soh_std REAL NOT NULL,
    estimator TEXT NOT NULL, flags TEXT NOT NULL, stored_second REAL NOT NULL,
    UNIQUE (pack, cell, unix_time_second));
CREATE TABLE IF NOT EXISTS event (
    pack TEXT NOT NULL, cell TEXT NOT NULL, unix_time_second REAL NOT NULL,
    kind TEXT NOT NULL, phase TEXT NOT NULL, begin_second REAL NOT NULL, detail TEXT NOT NULL,
    stored_second REAL NOT NULL,
    UNIQUE (pack, cell, unix_time_second, kind, phase));
CREATE TABLE IF NOT EXISTS health (
    pack TEXT NOT NULL, cell TEXT NOT NULL, unix_time_second REAL NOT NULL,
    check_name TEXT NOT NULL, model TEXT NOT NULL, trigger_kind TEXT NOT NULL, begin_second REAL NOT NULL,
    soh REAL, soh_std REAL, refused TEXT, report TEXT NOT NULL, stored_second REAL NOT NULL,
    UNIQUE (pack, cell, unix_time_second, check_name));
"""
PUT_STATE = """
INSERT INTO state VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET soc = excluded.soc,
    soc_std = excluded.soc_std, soh = excluded.soh, soh_std = excluded.soh_std,
    estimator = excluded.estimator, flags = excluded.flags
"""
PUT_EVENT = """
INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    begin_second = excluded.begin_second, detail = excluded.detail
"""
PUT_HEALTH = """
INSERT INTO health VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    model = excluded.model, trigger_kind = excluded.trigger_kind, begin_second = excluded.begin_second,
    soh = excluded.soh, soh_std = excluded.soh_std, refused = excluded.refused, report = excluded.report
"""
Row = tuple[object, ...]
DAY_SECOND = 86_400.0
TRIM_ROWS = 5_000  # deleted at a time, with each delivery: more than are put in at once


class SqliteSink:
    """Keeps what it is given; a row is known by pack, cell and time, so that writing it again changes nothing."""

    name = "sqlite"
    batch_items = 2_000

    def __init__(self, folder: Path, rule: Rule, gather_second: float) -> None:
        """Name the folder; nothing is opened yet."""
        self.gather_second = gather_second
        self._folder, self._rule = folder, rule
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite sink")
        self._database: Database | None = None

    async def open(self) -> None:
        """Open or make the file. Raises JournalError where the folder cannot be written."""
        self._database = Database(self._folder / NAME, TABLES, VERSION, "NORMAL")

    async def deliver(self, parcel: Parcel) -> list[Refused]:
        """Write everything in one transaction."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._write, parcel, time.time())
        except JournalError as err:
            raise SinkError(err.what, where=err.where, mend=err.mend) from err
        return []

    async def close(self) -> None:
        """Close the file."""
        self._thread.shutdown()
        if self._database is not None:
            self._database.close()

    def _write(self, parcel: Parcel, now_second: float) -> None:
        assert self._database is not None
        states = [_state_row(*one, now_second) for one in parcel.states]
        events = [_event_row(*one, now_second) for one in parcel.events]
        health = [_health_row(*one, now_second) for one in parcel.health]
        rows = {"state": (PUT_STATE, states), "event": (PUT_EVENT, events), "health": (PUT_HEALTH, health)}
        self._database.guarded(lambda: self._put(rows, now_second))

    def _put(self, rows: dict[str, tuple[str, list[Row]]], now_second: float) -> None:
        database = self._database
        assert database is not None
        with database.transaction():
            for put, items in rows.values():
                database.run_many(put, items)
        for table in rows:
            _trim(database, table, now_second - self._rule.keep_day * DAY_SECOND)


def _state_row(name: str, state: State, now_second: float) -> Row:
    numbers = (state.unix_time_second, state.soc, state.soc_std, state.soh, state.soh_std)
    return (*name.split("/", 1), *numbers, state.estimator, ",".join(state.flags), now_second)


def _event_row(name: str, event: Event, now_second: float) -> Row:
    detail = msgspec.json.encode(event.detail).decode()
    known_by = (*name.split("/", 1), event.unix_time_second, event.kind, event.phase)
    return (*known_by, event.begin_second, detail, now_second)


def _health_row(name: str, health: Health, now_second: float) -> Row:
    known_by = (*name.split("/", 1), health.unix_time_second, health.check, health.model, health.trigger)
    soh = (health.values.get("soh"), health.std.get("soh"))
    report = msgspec.json.encode(health).decode()
    return (*known_by, health.begin_second, *soh, health.refused, report, now_second)


def _trim(database: Database, table: str, stored_before: float) -> None:
    """Delete some of the oldest rows, where they are too old."""
    oldest = database.run(f"SELECT stored_second FROM {table} ORDER BY rowid LIMIT 1").fetchone()  # noqa: S608
    if oldest is not None and oldest[0] < stored_before:
        some = f"SELECT rowid FROM {table} ORDER BY rowid LIMIT {TRIM_ROWS}"  # noqa: S608 - names of ours
        database.run(f"DELETE FROM {table} WHERE stored_second < ? AND rowid IN ({some})", (stored_before,))  # noqa: S608
        database.give_back()
