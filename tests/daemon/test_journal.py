"""daemon/journal.py: what was appended is there, in order, bit for bit; damage and size are survived."""

from __future__ import annotations

import io
import os
import sqlite3
import subprocess
import sys
import zlib
from contextlib import closing, suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from daemon.batch import Batch
from daemon.config import Journal as Rule
from daemon.errors import JournalError
from daemon.journal import Journal, Position


def batch(cells: tuple[str, ...] = ("p/a", "p/b"), samples: int = 4, first: float = 0.0) -> Batch:
    index = np.arange(samples, dtype=np.int32) % len(cells)
    values = np.arange(samples, dtype=np.float64)
    return Batch(cells, index, first + values, 3 + values / 10, -values, np.where(values % 2, np.nan, 25.0))


def same(a: Batch, b: Batch) -> bool:
    names = [tuple(np.array(x.cells)[x.cell].tolist()) for x in (a, b)]
    columns = ("unix_time_second", "voltage_volt", "current_ampere", "temperature_celsius")
    return names[0] == names[1] and all(getattr(a, c).tobytes() == getattr(b, c).tobytes() for c in columns)


@pytest.fixture
def journal(tmp_path):
    with closing(Journal(tmp_path, Rule())) as journal:
        yield journal


def test_batches_come_back_in_order_and_bit_for_bit(journal):
    sent = [batch(("p/b", "p/a"), 5), batch(("q/a",), 1, 7.25), batch(("p/a", "q/a", "r/z"), 30, 1e9 + 0.1)]
    for one in sent:
        journal.append(one, 0.0)
    back = list(journal.read())
    assert all(same(a, b) for a, (_, _, b) in zip(sent, back, strict=True))
    assert [b.cells for _, _, b in back] == [b.cells for b in sent]
    assert [same(sent[2], b) for _, _, b in journal.read(after=back[1].position.block)] == [True]


@settings(max_examples=30, deadline=None)
@given(data=st.data(), count=st.integers(1, 50))
def test_any_numbers_survive(tmp_path_factory, data, count):
    times = arrays(np.float64, count, elements=st.floats(0.0, 1e11))
    numbers = [data.draw(times), *(data.draw(arrays(np.float64, count)) for _ in range(3))]
    cell = data.draw(arrays(np.int32, count, elements=st.integers(0, 2)))
    sent = Batch(("p/a", "p/b", "p/c"), cell, *numbers)
    with closing(Journal(tmp_path_factory.mktemp("journal"), Rule())) as journal:
        journal.append(sent, 0.0)
        assert same(sent, next(journal.read()).batch)


def test_it_goes_on_where_it_stopped(tmp_path):
    for k in range(3):
        with closing(Journal(tmp_path, Rule())) as journal:
            journal.append(batch(("p/a", f"p/{k}"), first=10.0 * k), 0.0)
    with closing(Journal(tmp_path, Rule())) as journal:
        assert [b.unix_time_second[0] for _, _, b in journal.read()] == [0.0, 10.0, 20.0]


def test_other_programs_can_read_it_by_the_words_of_its_docstring(journal, tmp_path):
    journal.append(batch(), 12.0)
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as file:
        row = file.execute("SELECT received_second, first_second, last_second, samples, body FROM block").fetchone()
        names = dict(file.execute("SELECT id, name FROM cell"))
    assert row[:4] == (12.0, 0.0, 3.0, 4)
    cell, second, *_ = np.load(io.BytesIO(zlib.decompress(row[4])))
    assert [names[int(c)] for c in cell] == ["p/a", "p/b", "p/a", "p/b"]
    assert second.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_blocks_received_long_ago_are_deleted_oldest_first(tmp_path):
    with closing(Journal(tmp_path, Rule(keep_day=1.0))) as journal:
        for day in (0.0, 0.5, 1.5):
            journal.append(batch(first=day), day * 86_400)
        while journal.trim(1.75 * 86_400):
            pass
        assert [b.unix_time_second[0] for _, _, b in journal.read()] == [1.5]


def test_it_stays_within_its_size(tmp_path):
    rng = np.random.default_rng(1)
    with closing(Journal(tmp_path, Rule(keep_byte=1_048_576))) as journal:
        for k in range(60):
            noise = [rng.normal(size=1_000) for _ in range(4)]
            journal.append(Batch(("p/a",), np.zeros(1_000, np.int32), *noise), float(k))
            while journal.trim(float(k)):
                pass
        assert 500_000 < journal.bytes <= 1_048_576
        last = [block.position.block for block in journal.read()]
    assert last == list(range(last[0], 61))
    assert (tmp_path / "journal.sqlite").stat().st_size < 2_000_000


@pytest.mark.parametrize("harm", ["not-a-database", "torn", "another-version"])
def test_a_damaged_file_is_set_aside_and_said(tmp_path, harm, caplog):
    path = tmp_path / "journal.sqlite"
    with closing(Journal(tmp_path, Rule())) as journal:
        journal.append(batch(), 0.0)
    if harm == "not-a-database":
        path.write_bytes(b"no database" * 500)
    elif harm == "torn":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        with closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA user_version = 99")
    with closing(Journal(tmp_path, Rule())) as journal:
        journal.append(batch(first=50.0), 0.0)
        assert [b.unix_time_second[0] for _, _, b in journal.read()][-1] == 50.0
    kept = list(tmp_path.glob("journal.sqlite.damaged-*"))
    assert len(kept) == 1
    assert [r.getMessage() for r in caplog.records] == ["damaged"]


def test_damage_that_shows_while_writing_is_survived(journal, tmp_path):
    journal.append(batch(), 0.0)
    journal._database.run("PRAGMA wal_checkpoint(TRUNCATE)")
    with (tmp_path / "journal.sqlite").open("r+b") as file:
        file.seek(4_096)
        file.write(os.urandom(40_000))
    journal._database.run("PRAGMA cache_size = 0")
    for k in range(3):
        journal.append(batch(("p/new",), first=100.0 + k), 0.0)
    assert [b.unix_time_second[0] for _, _, b in journal.read()][-1] == 102.0


def test_a_damaged_block_is_left_out_and_said(journal, caplog):
    for k in range(3):
        journal.append(batch(first=float(k)), 0.0)
    journal._database.run("UPDATE block SET body = x'00' WHERE id = 2")
    assert [b.unix_time_second[0] for _, _, b in journal.read()] == [0.0, 2.0]
    assert caplog.records[0].fields["block"] == 2


def test_a_folder_that_cannot_be_written_is_refused_with_its_mend(tmp_path):
    (tmp_path / "state").write_text("a file, not a folder")
    with pytest.raises(JournalError, match="cannot write") as caught:
        Journal(tmp_path / "state", Rule())
    assert "state_directory" in caught.value.mend


def test_a_full_disk_is_an_error_and_leaves_what_was_there(journal, tmp_path):
    journal.append(batch(), 0.0)
    pages = journal._database.run("PRAGMA page_count").fetchone()[0]
    journal._database.run(f"PRAGMA max_page_count = {pages}")
    noise = np.random.default_rng(0).normal(size=(4, 5_000))
    with pytest.raises(JournalError, match="full"):
        journal.append(Batch(("p/new",), np.zeros(5_000, np.int32), *noise), 0.0)
    journal._database.run("PRAGMA max_page_count = 1000000")
    journal.append(batch(("p/new", "p/a")), 0.0)
    assert [b.cells for _, _, b in journal.read()] == [("p/a", "p/b"), ("p/new", "p/a")]


def test_what_append_returned_from_survives_kill_9(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom daemon.config import Journal as Rule\n"
        "from daemon.journal import Journal\nfrom tests.daemon.test_journal import batch\n"
        "journal = Journal(Path(sys.argv[1]), Rule())\n"
        "for k in range(10_000):\n    journal.append(batch(first=float(k)), 0.0)\n    print(k, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout:
            if int(line) >= 20:
                child.kill()
                break
        committed = int((child.stdout.read().split() or [line])[-1])
    with closing(Journal(tmp_path, Rule())) as journal:
        found = [int(b.unix_time_second[0]) for _, _, b in journal.read()]
    assert found[: committed + 1] == list(range(committed + 1))


def test_a_journal_knows_its_end_and_one_that_was_begun_anew_is_another(tmp_path):
    with closing(Journal(tmp_path, Rule())) as journal:
        assert journal.end.block == 0
        first = journal.append(batch(), 5.0)
        second = journal.append(batch(first=9.0), 6.0)
        assert journal.end == second.position
        assert (second.received_second, second.position.block) == (6.0, first.position.block + 1)
        assert [block.position for block in journal.read(upto=first.position.block)] == [first.position]
        assert [block.position for block in journal.read(received_after=5.5)] == [second.position]
    with closing(Journal(tmp_path, Rule())) as journal:
        assert journal.end == second.position
    (tmp_path / "journal.sqlite").write_bytes(b"no database" * 500)
    with closing(Journal(tmp_path, Rule())) as journal:
        assert journal.end.journal != second.position.journal
        assert journal.end.block == 0


def test_what_a_restart_needs_stays_however_old_it_is_and_however_full_the_journal(tmp_path):
    with closing(Journal(tmp_path, Rule(keep_day=1.0, keep_byte=1_048_576))) as journal:
        noise = np.random.default_rng(0)
        for _ in range(60):
            journal.append(Batch(("p/a",), np.zeros(1_000, np.int32), *noise.normal(size=(4, 1_000))), 0.0)
        identity = journal.end.journal

        def trimmed(needed: Position | None) -> int:
            while journal.trim(1e9, needed):
                pass
            return next((block.position.block for block in journal.read()), 0)

        assert trimmed(Position("another journal", 40)) == 1
        assert trimmed(Position(identity, 40)) == 41
        assert trimmed(Position(identity, 40)) == 41
        assert trimmed(None) == 0


@pytest.mark.parametrize("page", range(1, 12))
def test_damage_on_any_page_is_never_fatal(tmp_path, page):
    with closing(Journal(tmp_path, Rule())) as journal:
        for k in range(20):
            journal.append(batch(("p/a",), 100, 100.0 * k), 0.0)
        journal._database.run("PRAGMA wal_checkpoint(TRUNCATE)")
    with (tmp_path / "journal.sqlite").open("r+b") as file:
        file.seek(page * 4_096)
        file.write(b"\xff" * 4_096)
    with closing(Journal(tmp_path, Rule())) as journal:
        with suppress(JournalError):
            list(journal.read())
        last = journal.append(batch(first=1e6), 0.0)
        assert journal.end == last.position
        assert journal.bytes > 0
        while journal.trim(1e9):
            pass
