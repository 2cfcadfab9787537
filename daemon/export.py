"""The embedded store -> CSV or Parquet."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from daemon.errors import JournalError
from daemon.sinks.sqlite import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = 50_000  # read and written at a time
TABLES = {
    "state": "pack, cell, unix_time_second, soc, soc_std, soh, soh_std, estimator, flags",
    "health": "pack, cell, unix_time_second, check_name, model, trigger_kind, begin_second, soh, soh_std, refused, "
    "report",
    "event": "pack, cell, unix_time_second, kind, phase, begin_second, detail",
}


class Choice(NamedTuple):
    """What is wanted; None: all."""

    table: str = "state"
    pack: str | None = None
    cell: str | None = None
    since_second: float | None = None
    until_second: float | None = None


def export(folder: Path, choice: Choice, out: Path) -> int:
    """Write rows by pack, cell and time to a .csv or .parquet file; returns how many.

    CSV is written as it is read; Parquet is held in memory first. Raises JournalError where there is no store.
    """
    store = folder / NAME
    if not store.is_file():  # before the file that may be there already is opened for writing
        mend = "name another with --state-directory; the service keeps one where sinks.sqlite.enabled is true"
        raise JournalError("no embedded store", where=str(store), mend=mend)
    frames = _frames(store, choice)
    if out.suffix == ".parquet":
        table = pl.concat(frames)
        table.write_parquet(out)
        return len(table)
    count = 0
    with out.open("wb") as file:
        for number, frame in enumerate(frames):
            frame.write_csv(file, include_header=number == 0)
            count += len(frame)
    return count


def _frames(store: Path, choice: Choice) -> Iterator[pl.DataFrame]:
    """Read the store piece by piece, at least one of them, though it be empty; the service may go on writing."""
    names = TABLES[choice.table].split(", ")
    schema = {name: pl.Float64 if name.endswith("_second") or name.startswith("so") else pl.String for name in names}
    wanted = {
        "pack = ?": choice.pack,
        "cell = ?": choice.cell,
        "unix_time_second >= ?": choice.since_second,
        "unix_time_second < ?": choice.until_second,
    }
    asked = {clause: value for clause, value in wanted.items() if value is not None}
    where = f"WHERE {' AND '.join(asked)}" if asked else ""
    query = f"SELECT {TABLES[choice.table]} FROM {choice.table} {where} ORDER BY pack, cell, unix_time_second"  # noqa: S608
    with closing(sqlite3.connect(f"{store.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        cursor = connection.execute(query, tuple(asked.values()))
        yield pl.DataFrame(cursor.fetchmany(ROWS), schema, orient="row")
        while rows := cursor.fetchmany(ROWS):
            yield pl.DataFrame(rows, schema, orient="row")
