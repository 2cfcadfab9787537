"""Accepted samples on disk before the broker is told that we have them: one row per group commit.

`journal.sqlite` is SQLite in WAL mode, synced at each commit. A row holds a block of samples:
`body` is a .npy file (float64, [5, sample]: cell id, unix_time_second, voltage_volt, current_ampere as it was
sent, temperature_celsius with NaN where not measured) compressed by zlib; `cell` names the ids. Anything
that speaks SQLite, zlib and NumPy reads it:

    numpy.load(io.BytesIO(zlib.decompress(body)))

Measured (benchmarks/journal_block.py), 50 and 2,000 samples a block: 25 and 14 bytes a sample in 0.04 and
0.7 ms; npz takes 44 and 13 in 0.16 and 2.4 ms; Parquet 62 and 14 in 0.5 and 0.8 ms.
"""

from __future__ import annotations

import io
import math
import secrets
import sqlite3
import zlib
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from daemon.batch import Batch
from daemon.database import Database
from daemon.errors import JournalError
from daemon.says import Say

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from daemon.config import Journal as Rule

NAME, VERSION = "journal.sqlite", 1
TABLES = """
CREATE TABLE IF NOT EXISTS cell (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS block (
    id INTEGER PRIMARY KEY AUTOINCREMENT, received_second REAL NOT NULL,
    first_second REAL NOT NULL, last_second REAL NOT NULL, samples INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS identity (name TEXT NOT NULL);
"""
DAY_SECOND = 86_400.0
NEWEST = 2**63 - 1
TRIM_BLOCKS = 256  # deleted at a time at most, so that a commit never waits long

say = Say("journal")


class Position(NamedTuple):
    """A place in one journal: behind one of its blocks."""

    journal: str = ""  # the file's identity: one that was begun anew is another
    block: int = 0


class Block(NamedTuple):
    """What was committed at once."""

    position: Position
    received_second: float  # our clock
    batch: Batch


class Journal:
    """The journal of one state directory. One thread at a time may use it; `read` has a connection of its own."""

    def __init__(self, folder: Path, rule: Rule) -> None:
        """Open or make the file. Raises JournalError."""
        self._path, self._rule = folder / NAME, rule
        self._ids: dict[str, int] = {}
        self._identity = ""
        self._database = Database(self._path, TABLES, VERSION, "FULL")
        self._database.when_opened(self._recall)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @property
    def bytes(self) -> int:
        """Tell how much of the file is in use."""
        return self._database.guarded(lambda: self._database.used_bytes)

    @property
    def end(self) -> Position:
        """Tell the place behind the newest block."""
        query = "SELECT seq FROM sqlite_sequence WHERE name = 'block'"
        newest = self._database.guarded(lambda: self._database.run(query).fetchone())
        return Position(self._identity, newest[0] if newest else 0)

    def append(self, batch: Batch, received_second: float) -> Block:
        """Commit samples; when this returns they survive a power cut. Raises JournalError: the disk is full or gone."""
        return self._database.guarded(lambda: self._append(batch, received_second))

    def _recall(self) -> None:
        self._ids = dict(self._database.run("SELECT name, id FROM cell").fetchall())
        found = self._database.run("SELECT name FROM identity").fetchone()
        self._identity = found[0] if found else secrets.token_hex(8)
        if not found:
            self._database.run("INSERT INTO identity VALUES (?)", (self._identity,))

    def _append(self, batch: Batch, received_second: float) -> Block:
        strangers = [name for name in batch.cells if name not in self._ids]
        new = {name: len(self._ids) + 1 + k for k, name in enumerate(strangers)}
        ids = self._ids | new if new else self._ids
        time, body = batch.unix_time_second, pack(batch, [ids[name] for name in batch.cells])
        with self._database.transaction():
            self._database.run_many("INSERT INTO cell (name, id) VALUES (?, ?)", list(new.items()))
            row = (received_second, float(time.min()), float(time.max()), len(batch), body)
            block = self._database.run("INSERT INTO block VALUES (NULL, ?, ?, ?, ?, ?)", row).lastrowid
        self._ids = ids
        return Block(Position(self._identity, int(block or 0)), received_second, batch)

    def read(
        self, after: int = 0, upto: int = NEWEST, received_after: float = -math.inf
    ) -> Generator[Block, None, None]:
        """Walk the blocks behind block `after`, as `read` does."""
        return read(self._path, after, upto, received_after)

    def trim(self, now_second: float, needed: Position | None = None) -> int:
        """Delete some of the oldest blocks that are too old or too many; returns how many (0: done).

        What lies behind `needed`, of this journal, stays in any case: a restart wants it.
        """
        return self._database.guarded(lambda: self._trim(now_second, needed))

    def _trim(self, now_second: float, needed: Position | None) -> int:
        too_large = self._database.used_bytes > self._rule.keep_byte
        received_before = math.inf if too_large else now_second - self._rule.keep_day * DAY_SECOND
        oldest, newest = self._database.run("SELECT min(id), max(id) FROM block").fetchone()
        if oldest is None:
            return 0
        upto = oldest + min(TRIM_BLOCKS, 1 + (newest - oldest) // 100)
        if needed is not None:
            upto = min(upto, needed.block + 1 if needed.journal == self._identity else oldest)
        delete = "DELETE FROM block WHERE id < ? AND received_second < ?"
        count = self._database.run(delete, (upto, received_before)).rowcount
        if count:
            self._database.give_back()
        return count


def read(
    path: Path, after: int = 0, upto: int = NEWEST, received_after: float = -math.inf
) -> Generator[Block, None, None]:
    """Walk a journal's blocks behind block `after` up to `upto`, oldest first; a damaged one is left out and said.

    The file is only read, so a running service does not mind. Raises JournalError where it is none.
    """
    page = "SELECT id, received_second, body FROM block WHERE id > ? AND id <= ? AND received_second > ?"
    page += " ORDER BY id LIMIT 64"  # no snapshot is held for long
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            identity = connection.execute("SELECT name FROM identity").fetchone()
            while rows := connection.execute(page, (after, upto, received_after)).fetchall():
                names = dict(connection.execute("SELECT id, name FROM cell"))
                after = rows[-1][0]
                for number, received_second, body in rows:
                    try:
                        batch = _unpack(body, names)
                    except (zlib.error, ValueError, KeyError) as err:
                        say.error("damaged", file=path, block=number, why=err)
                    else:
                        yield Block(Position(identity[0] if identity else "", number), received_second, batch)
    except sqlite3.DatabaseError as err:
        raise JournalError(f"cannot read: {err}", where=str(path), mend="a running service sets it aside") from err


def pack(batch: Batch, ids: list[int]) -> bytes:
    """Make the body of a row; `ids` number the batch's cells."""
    cell = np.array(ids, dtype=np.float64)[batch.cell]
    values = (batch.unix_time_second, batch.voltage_volt, batch.current_ampere, batch.temperature_celsius)
    file = io.BytesIO()
    np.save(file, np.stack([cell, *values]), allow_pickle=False)
    return zlib.compress(file.getbuffer(), 1)


def _unpack(body: bytes, names: dict[int, str]) -> Batch:
    cell, time, volt, ampere, celsius = np.load(io.BytesIO(zlib.decompress(body)), allow_pickle=False)
    ids, first, index = np.unique(cell.astype(np.int64), return_index=True, return_inverse=True)
    order = np.argsort(first)  # cells in the order in which they came, as the batch had them
    place = np.empty(len(ids), dtype=np.int32)
    place[order] = np.arange(len(ids), dtype=np.int32)
    return Batch(tuple(names[int(ids[k])] for k in order), place[index], time, volt, ampere, celsius)
