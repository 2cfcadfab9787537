"""`bmsd export`: states out of the embedded store, as a table that others read."""

from __future__ import annotations

import json

import polars as pl
import pytest

from daemon import export as module
from daemon.cli import main
from daemon.config import SqliteSink as Rule
from daemon.parcel import Parcel
from daemon.sinks.sqlite import SqliteSink
from daemon.wire import Event, Health, State


@pytest.fixture
async def store(tmp_path):
    sink = SqliteSink(tmp_path, Rule(), 0.0)
    await sink.open()
    states = [
        (f"{p}/{c}", State(float(k), 0.5, 0.01, 0.9, 0.02, "ekf-1", ["stale"] if k else []))
        for k in (2, 0, 1)
        for p, c in (("p1", "a"), ("p0", "b"), ("p0", "a"))
    ]
    health = Health(1.0, "rest", "svr-1", "rest", 0.5, {"soh": 0.9}, {"soh": 0.01})
    event = Event(1.0, "rest", "begin", 0.5, {"c_rate": 0.01})
    await sink.deliver(Parcel(states, [("p0/a", event)], [("p0/a", health)]))
    await sink.close()
    return tmp_path


def run(store, out: str, *words: str) -> pl.DataFrame:
    assert main(["export", "--state-directory", str(store), "--out", str(store / out), *words]) == 0
    return pl.read_parquet(store / out) if out.endswith("parquet") else pl.read_csv(store / out)


@pytest.mark.parametrize("rows_at_a_time", [1, 4, 50_000])
def test_csv_and_parquet_hold_the_same_by_pack_cell_and_time(store, monkeypatch, rows_at_a_time):
    monkeypatch.setattr(module, "ROWS", rows_at_a_time)
    csv, parquet = run(store, "x.csv"), run(store, "x.parquet")
    assert csv.columns == parquet.columns
    assert csv["cell"].to_list() == parquet["cell"].to_list() == [*"aaabbbaaa"]
    assert parquet["unix_time_second"].to_list() == [0.0, 1.0, 2.0] * 3
    assert parquet["flags"].to_list()[:2] == ["", "stale"]


def test_it_can_be_narrowed(store):
    some = run(store, "x.parquet", "--pack", "p0", "--cell", "a", "--since", "1970-01-01T00:00:01Z", "--until", "2")
    assert some.select("pack", "cell", "unix_time_second").rows() == [("p0", "a", 1.0)]
    assert len(run(store, "x.csv", "--pack", "nobody")) == 0
    assert run(store, "e.csv", "--events")["kind"].to_list() == ["rest"]
    assert run(store, "h.parquet", "--health").select("check_name", "soh", "refused").rows() == [("rest", 0.9, None)]


def test_the_summary_is_for_people_or_machines(store, capsys):
    run(store, "x.csv")
    assert "9 rows in" in capsys.readouterr().out
    run(store, "x.csv", "--json")
    assert json.loads(capsys.readouterr().out)["rows"] == 9


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--out", "x.txt"], 2, "neither in .csv nor in .parquet"),
        (["--out", "x.csv", "--since", "yesterday"], 2, "`yesterday` is no time"),
        (["--out", "x.csv", "--state-directory", "/nonexistent"], 1, "no embedded store"),
    ],
)
def test_what_cannot_be_is_said_and_leaves_no_file_behind(words, status, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", *words]) == status
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
