"""What waits on disk for a sink: one log of parcels, and for each sink how far it has come.

`outbox.sqlite` in WAL mode, not synced at each commit: what was published survives a killed process; a power
cut may cost the last moments of it, which the journal brings about again. With a parcel it is noted which block of
the journal it came from, so that a restart, which goes through the end of the journal again, adds nothing twice.
Delivery is at least once. What waits for one sink is bounded in bytes and age; beyond that its oldest is dropped and
counted. A parcel is deleted when every sink has it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from daemon import parcel as parcels
from daemon.database import Database
from daemon.journal import Position
from daemon.parcel import Parcel
from daemon.says import Say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from daemon.config import Outbox as Rule
    from daemon.sinks.contract import Refused

NAME, VERSION = "outbox.sqlite", 1
TABLES = """
CREATE TABLE IF NOT EXISTS parcel (
    id INTEGER PRIMARY KEY AUTOINCREMENT, made_second REAL NOT NULL,
    items INTEGER NOT NULL, bytes INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS sink (
    name TEXT PRIMARY KEY, upto INTEGER NOT NULL, items INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (
    id INTEGER PRIMARY KEY, sink TEXT NOT NULL, second REAL NOT NULL, why TEXT NOT NULL, item TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS produced (one INTEGER PRIMARY KEY, journal TEXT NOT NULL, block INTEGER NOT NULL);
"""
DAY_SECOND = 86_400.0
STEP_PARCELS = 256  # looked at or deleted at a time
REFUSED_KEPT = 1_000  # items that sinks refused, for a person to look at

say = Say("outbox")


class Waiting(NamedTuple):
    """What waits for one sink."""

    items: int
    bytes: int


class Tally(NamedTuple):
    """What became of every item. For each sink: carried + produced = waiting + delivered + refused + dropped."""

    produced: int  # since the start, as are the last three
    carried: dict[str, int]  # by sink, as are those that follow: what waited at the start
    waiting: dict[str, int]
    delivered: dict[str, int]
    refused: dict[str, int]
    dropped: dict[str, int]


class Outbox:
    """The outbox of one state directory. One thread at a time may use it."""

    def __init__(self, folder: Path, rule: Rule, sinks: Sequence[str]) -> None:
        """Open or make the file for these sinks; one that is not named any more is forgotten. Raises JournalError."""
        self._newest = 0  # a file that is begun anew numbers its parcels on, so that none is taken for an older one
        self.produced = 0  # items, as in all that follow
        self.carried: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.delivered: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._rule, self._sinks = rule, tuple(sinks)
        self._database = Database(folder / NAME, TABLES, VERSION, "NORMAL")
        self._database.when_opened(self._name_sinks)
        self.carried.update({name: waits.items for name, waits in self.waiting().items()})

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def add(self, parcel: Parcel, now_second: float, position: Position | None = None) -> None:
        """Keep a parcel for every sink, and note the block of the journal that brought it about.

        Raises JournalError: the disk is full or gone.
        """
        body, items = parcels.encode(parcel), len(parcel)
        self._database.guarded(lambda: self._add(items, body, now_second, position))
        self.produced += items

    def drop(self, items: int) -> None:
        """Count what could not be kept."""
        self.produced += items
        self.dropped.update(dict.fromkeys(self._sinks, items))

    @property
    def position(self) -> Position:
        """Tell the block that brought about the newest parcel."""
        query = "SELECT journal, block FROM produced"
        found = self._database.guarded(lambda: self._database.run(query).fetchone())
        return Position(*found) if found else Position()

    def tally(self) -> Tally:
        """Count what became of everything, to the last item."""
        waiting = {name: waits.items for name, waits in self.waiting().items()}
        counts = (self.carried, waiting, self.delivered, self.refused, self.dropped)
        return Tally(self.produced, *({sink: count[sink] for sink in self._sinks} for count in counts))

    def sync(self) -> None:
        """Return when all that was added would survive a power cut. Raises JournalError."""
        self._database.guarded(self._database.sync)

    def next(self, sink: str, items_max: int) -> tuple[int, Parcel] | None:
        """Give the oldest of what waits for a sink, some parcels in one, and the number up to which it goes."""
        return self._database.guarded(lambda: self._next(sink, items_max))

    def done(self, sink: str, upto: int, refused: Sequence[Refused], now_second: float) -> None:
        """Note that a sink has everything up to a number, but for what it refused, which is set aside."""
        items = self._database.guarded(lambda: self._done(sink, upto, refused, now_second))
        sent_back = min(items, len(refused))  # what was dropped while it was on its way is counted already
        self.delivered[sink] += items - sent_back
        self.refused[sink] += sent_back

    def trim(self, now_second: float) -> int:
        """Drop some of what waited too long or is too much, for each sink; returns how many items (0: done)."""
        return self._database.guarded(lambda: sum(self._trim(sink, now_second) for sink in self._sinks))

    def _name_sinks(self) -> None:
        known = {name for (name,) in self._database.run("SELECT name FROM sink")}
        found = self._database.run("SELECT seq FROM sqlite_sequence WHERE name = 'parcel'").fetchone()
        newest = self._newest = found[0] if found else self._newest
        with self._database.transaction():
            if not found:
                self._database.run("INSERT INTO sqlite_sequence VALUES ('parcel', ?)", (newest,))
            for name in known - set(self._sinks):
                self._database.run("DELETE FROM sink WHERE name = ?", (name,))
            for name in set(self._sinks) - known:
                self._database.run("INSERT INTO sink VALUES (?, ?, 0, 0)", (name, newest))
        self._forget_delivered()
        waiting = self.waiting()
        for sink in self._sinks:  # a file that was begun anew has lost what waited
            found = self.delivered[sink] + self.refused[sink] + self.dropped[sink] + waiting[sink].items
            self.dropped[sink] += max(0, self.carried[sink] + self.produced - found)

    def _add(self, items: int, body: bytes, now_second: float, position: Position | None) -> None:
        with self._database.transaction():
            row = (now_second, items, len(body), body)
            newest = self._database.run("INSERT INTO parcel VALUES (NULL, ?, ?, ?, ?)", row).lastrowid
            self._database.run("UPDATE sink SET items = items + ?, bytes = bytes + ?", (items, len(body)))
            if position is not None:
                self._database.run("INSERT OR REPLACE INTO produced VALUES (1, ?, ?)", position)
        self._newest = int(newest or 0)

    def _next(self, sink: str, items_max: int) -> tuple[int, Parcel] | None:
        taken: list[Parcel] = []
        items = upto = 0
        query = "SELECT id, items, body FROM parcel WHERE id > ? ORDER BY id LIMIT ?"
        for number, count, body in self._database.run(query, (self._upto(sink), STEP_PARCELS)).fetchall():
            upto = number
            try:
                taken.append(parcels.decode(body))
            except (msgspec.DecodeError, UnicodeDecodeError) as err:
                self._drop_damaged(number, err)
                continue
            items += count
            if items >= items_max:
                break
        if upto and not taken:
            return self._next(sink, items_max)
        return (upto, Parcel.join(taken)) if taken else None

    def _drop_damaged(self, number: int, why: Exception) -> None:
        say.error("damaged", parcel=number, why=why)
        with self._database.transaction():
            items, size = self._database.run("SELECT items, bytes FROM parcel WHERE id = ?", (number,)).fetchone()
            waits = self._database.run("SELECT name FROM sink WHERE upto < ?", (number,)).fetchall()
            less = "UPDATE sink SET items = items - ?, bytes = bytes - ? WHERE upto < ?"
            self._database.run(less, (items, size, number))
            self._database.run("DELETE FROM parcel WHERE id = ?", (number,))
        self.dropped.update({name: items for (name,) in waits})

    def _done(self, sink: str, upto: int, refused: Sequence[Refused], now_second: float) -> int:
        with self._database.transaction():
            items = self._advance(sink, upto)
            rows: list[tuple[object, ...]] = [(sink, now_second, one.why, one.item) for one in refused]
            self._database.run_many("INSERT INTO refused VALUES (NULL, ?, ?, ?, ?)", rows)
            if refused:
                self._database.run("DELETE FROM refused WHERE id <= (SELECT max(id) FROM refused) - ?", (REFUSED_KEPT,))
        self._forget_delivered()
        return items

    def _trim(self, sink: str, now_second: float) -> int:
        excess, upto = self.waiting()[sink].bytes - self._rule.keep_byte, 0
        too_old = now_second - self._rule.keep_day * DAY_SECOND
        query = "SELECT id, made_second, bytes FROM parcel WHERE id > ? ORDER BY id LIMIT ?"
        for number, made_second, size in self._database.run(query, (self._upto(sink), STEP_PARCELS)):
            if excess <= 0 and made_second >= too_old:
                break
            excess, upto = excess - size, number
        if not upto:
            return 0
        with self._database.transaction():
            items = self._advance(sink, upto)
        self.dropped[sink] += items
        say.seldom("dropped", sink, sink=sink, items=self.dropped[sink], why="the outbox is full or too old")
        self._forget_delivered()
        return items

    def waiting(self) -> dict[str, Waiting]:
        """Tell what waits for each sink."""
        query = "SELECT name, items, bytes FROM sink"
        rows = self._database.guarded(lambda: self._database.run(query).fetchall())
        return {name: Waiting(items, size) for name, items, size in rows}

    def _upto(self, sink: str) -> int:
        return int(self._database.run("SELECT upto FROM sink WHERE name = ?", (sink,)).fetchone()[0])

    def _advance(self, sink: str, upto: int) -> int:
        """Move a sink's mark; returns the items passed."""
        passed = "SELECT coalesce(sum(items), 0), coalesce(sum(bytes), 0) FROM parcel WHERE id > ? AND id <= ?"
        items, size = self._database.run(passed, (self._upto(sink), upto)).fetchone()
        mark = "UPDATE sink SET upto = max(upto, ?), items = items - ?, bytes = bytes - ? WHERE name = ?"
        self._database.run(mark, (upto, items, size, sink))
        return int(items)

    def _forget_delivered(self) -> None:
        """Delete, some at a time, the parcels that every sink has."""
        oldest = "SELECT id FROM parcel WHERE id <= (SELECT min(upto) FROM sink) ORDER BY id LIMIT ?"
        if self._database.run(f"DELETE FROM parcel WHERE id IN ({oldest})", (STEP_PARCELS,)).rowcount:  # noqa: S608
            self._database.give_back()
