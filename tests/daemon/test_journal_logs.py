"""daemon/journal_logs.py: what was received can be replayed, to the same bits as the service said it."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import polars
import pytest

from daemon import models
from daemon.cli import main
from daemon.config import Cells, Journal, PackRule
from daemon.errors import LogError
from daemon.journal import Journal as File
from daemon.journal_logs import find_journal, read_journal_logs
from daemon.models import Model
from tests.daemon.counting import Counting, write_cell_type
from tests.daemon.test_journal import batch


@pytest.fixture
def state(tmp_path):
    """A state directory whose journal has two cells in three blocks."""
    with closing(File(tmp_path / "state", Journal())) as journal:
        for k in range(3):
            journal.append(batch(("p/a", "q/b"), 40, 1.7e9 + 20 * k), 0.0)
    return tmp_path / "state"


def test_a_journal_is_a_log_for_each_cell_in_the_order_of_arrival(state):
    journal = find_journal(state)
    assert journal == find_journal(journal) == state / "journal.sqlite"
    cells = Cells(packs=[PackRule(pattern="q", cell_type="panasonic-18650pf", current_sign=-1)])
    plain, turned = read_journal_logs(journal, cells)
    assert [plain.path.name, turned.path.name] == ["p.a", "q.b"]
    assert len(plain) == 60
    assert np.diff(plain.unix_time_second).tolist() == [2.0] * 19 + [-18.0] + [2.0] * 19 + [-18.0] + [2.0] * 19
    assert plain.current_ampere[1] == -2.0
    assert turned.current_ampere[1] == 3.0


def test_bmsd_replay_takes_a_state_directory(state, tmp_path, monkeypatch):
    for name in models.MODELS:
        monkeypatch.setitem(models.MODELS, name, Model(lambda t, n=name: Counting(t, n)))
    cell_type = write_cell_type(tmp_path / "counted")
    out = tmp_path / "states.csv"
    assert main(["replay", str(state), "--cell-type", cell_type, "--out", str(out)]) == 0
    states = polars.read_csv(out, schema_overrides={"flags": polars.String})
    assert states["file"].unique(maintain_order=True).to_list() == ["p.a", "q.b"]
    assert len(states) == 2 * 79


@pytest.mark.parametrize("harm", ["empty", "damaged", "absent"])
def test_one_that_holds_nothing_is_an_error_in_words(tmp_path, harm, capsys):
    folder = tmp_path / "state"
    folder.mkdir()
    if harm == "empty":
        File(folder, Journal()).close()
        with pytest.raises(LogError, match="no samples"):
            read_journal_logs(folder / "journal.sqlite", Cells())
    elif harm == "damaged":
        (folder / "journal.sqlite").write_bytes(b"no database" * 1_000)
    assert main(["replay", str(folder), "--cell-type", "panasonic-18650pf", "--out", str(tmp_path / "s.csv")]) == 1
    said = capsys.readouterr().err
    assert {"empty": "no samples", "damaged": "not a database", "absent": "cannot read it"}[harm] in said
