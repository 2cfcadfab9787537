"""SQLite files of the state directory: opened one way, and set aside, never fatal, where they are damaged."""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeVar

from daemon.errors import JournalError
from daemon.says import Say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WAL_BYTES = 16_777_216  # to which the write-ahead log is cut back
VACUUM_PAGES = 256  # given back to the file system at a time
T = TypeVar("T")

say = Say("database")


class Database:
    """One file in WAL mode. Any one thread at a time may use it.

    Synchronous `FULL`: a commit survives a power cut; `NORMAL`: a killed process.
    """

    def __init__(self, path: Path, tables: str, version: int, synchronous: Literal["NORMAL", "FULL"]) -> None:
        """Open the file, or make it; a damaged one, or one of another version, is set aside first.

        Raises JournalError where the folder cannot be written.
        """
        self._path, self._tables, self._version, self._synchronous = path, tables, version, synchronous
        self._opened: Callable[[], None] = lambda: None
        with self._in_our_words():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._open()
            except sqlite3.DatabaseError as err:
                self._begin_anew(err)

    def when_opened(self, action: Callable[[], None]) -> None:
        """Do something now, and again whenever the file had to be begun anew. Raises JournalError."""
        self._opened = action
        with self._in_our_words():
            try:
                action()
            except sqlite3.DatabaseError as err:
                self._begin_anew(err)

    def run(self, sql: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        """Execute one statement."""
        return self._connection.execute(sql, values)

    def run_many(self, sql: str, rows: list[tuple[object, ...]]) -> None:
        """Execute one statement for each row."""
        self._connection.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is done inside, or nothing of it."""
        self.run("BEGIN IMMEDIATE")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self.run("ROLLBACK")
            raise

    def guarded(self, action: Callable[[], T]) -> T:
        """Do an action; if the file proves damaged, set it aside, begin a new one and do the action there.

        Raises JournalError where the disk is full or cannot be written.
        """
        with self._in_our_words():
            try:
                return action()
            except sqlite3.DatabaseError as err:
                self._begin_anew(err)
                return action()

    @property
    def used_bytes(self) -> int:
        """Tell how much of the file is in use."""
        pages, free, size = (
            self.run(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def sync(self) -> None:
        """Return when all commits so far would survive a power cut."""
        self.run("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def give_back(self) -> None:
        """Give some pages of deleted rows back to the file system."""
        self.run(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _open(self) -> None:
        self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=10.0)
        try:
            self.run("PRAGMA auto_vacuum = INCREMENTAL")  # holds only before the first table is made
            self.run("PRAGMA journal_mode = WAL")
            self.run(f"PRAGMA synchronous = {self._synchronous}")
            self.run(f"PRAGMA journal_size_limit = {WAL_BYTES}")
            self._check_version()
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {self._tables} PRAGMA user_version = {self._version}; COMMIT;"
            )
        except BaseException:
            self._connection.close()
            raise

    def _check_version(self) -> None:
        found = self.run("PRAGMA user_version").fetchone()[0]
        if found not in {0, self._version}:
            raise sqlite3.DatabaseError(f"is of version {found}, not {self._version}")

    def _begin_anew(self, why: sqlite3.DatabaseError) -> None:
        """Set a damaged file aside and make a new one; any other error is raised again."""
        if type(why) is not sqlite3.DatabaseError:  # its subclasses are a full disk, a lock, a fault of ours
            raise why
        self._connection.close()
        set_aside(self._path, str(why))
        self._open()
        self._opened()

    @contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.OperationalError) as err:
            mend = "free the disk, or name another folder in service.state_directory"
            raise JournalError(f"cannot write: {err}", where=str(self._path), mend=mend) from err


def set_aside(path: Path, why: str) -> Path:
    """Rename a damaged file and its companions, and say so. Returns the new name."""
    stem = f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
    for ending in ("", "-wal", "-shm"):
        companion = path.with_name(path.name + ending)
        if companion.exists():
            companion.replace(path.with_name(stem + ending))
    say.error("damaged", file=path, why=why, kept_as=stem)
    return path.with_name(stem)
