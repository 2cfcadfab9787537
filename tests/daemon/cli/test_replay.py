import json
import time

import numpy as np
import polars as pl
import pytest

from daemon import models
from daemon.cli import main
from daemon.cli.replay import _Lines
from daemon.models import Model
from daemon.replay import SLICE_SECOND
from tests.daemon.counting import CAPACITY_AH, Counting, write_cell_type

HEADER = "test_time_second,voltage_volt,current_ampere,temperature_celsius\n"
SLOW = "".join(f"{t},3.5,-3.0,25\n" for t in range(0, 3600, 60))  # an hour of C, a sample a minute


@pytest.fixture
def cell_type(tmp_path, monkeypatch):
    for name in models.MODELS:
        monkeypatch.setitem(models.MODELS, name, Model(lambda t, n=name: Counting(t, n), models.MODELS[name].fallback))
    return write_cell_type(tmp_path / "counted")


@pytest.fixture
def replay(tmp_path, cell_type):
    def go(text, *options, more=(), out="states.csv"):
        (tmp_path / "log.csv").write_text(text)
        logs = [str(tmp_path / "log.csv"), *map(str, more)]
        return main(["replay", *logs, "--cell-type", cell_type, "--out", str(tmp_path / out), *options]), tmp_path / out

    return go


def read(path):
    return pl.read_csv(path, schema_overrides={"flags": pl.String}) if path.suffix == ".csv" else pl.read_parquet(path)


@pytest.mark.parametrize("out", ["states.csv", "states.parquet"])
def test_a_log_gives_one_row_per_grid_second(replay, out):
    status, path = replay(HEADER + SLOW, "--initial-soc", "1", "--initial-soh", "1", out=out)
    states = read(path)
    assert path.suffix == ".parquet" or path.read_text().splitlines()[1] == "0,0.999722,0.010000,1.000000,0.020000,"
    assert status == 0
    assert states.columns == ["test_time_second", "soc", "soc_std", "soh", "soh_std", "flags"]
    assert states["test_time_second"].to_list() == list(range(3541))
    assert states["soc"][-1] == pytest.approx(1 - 3541 / 3600 * 3.0 / CAPACITY_AH, abs=1e-5)
    assert states["soh"][0] == 1.0


def test_soc_goes_in_and_comes_out_in_the_asked_reference(replay):
    _, path = replay(HEADER + "0,3.5,0,25\n1,3.5,0,25\n", "--initial-soc", "0.4", "--soc-reference", "nominal")
    assert read(path)["soc"].to_list() == [0.4, 0.4]


def test_flags_are_joined_and_the_ambient_of_the_log_stands_in(replay):
    log = "test_time_second,voltage_volt,current_ampere,ambient_temperature_celsius\n0,3.5,-1,70\n1,3.5,-1,70\n"
    _, path = replay(log, "--estimator", "cross_stitch")
    assert read(path)["flags"].to_list() == ["out_of_domain|fallback|temperature_assumed"] * 2
    _, path = replay(log, "--estimator", "cross_stitch", "--ambient-temperature-celsius", "20")
    assert read(path)["flags"].to_list() == ["temperature_assumed"] * 2


def test_a_broken_row_is_reported_with_file_and_line_and_skipped(replay, capsys):
    status, path = replay(HEADER + "0,3.5,-1,25\n1,x,-1,25\n2,3.5,-1,25\n")
    assert status == 0
    assert f"{path.parent / 'log.csv'}:3: 'x' is not a number; skipped" in capsys.readouterr().err
    assert read(path)["test_time_second"].to_list() == [0, 1, 2]


def test_what_is_not_a_log_is_refused_with_what_is_missing(replay, capsys):
    status, path = replay("hello\nworld\n")
    assert status == 1
    assert "lacks current_ampere, test_time_second, voltage_volt" in capsys.readouterr().err
    assert not path.exists()


def test_one_bad_log_of_two_fails_and_the_other_is_written(replay, tmp_path):
    (tmp_path / "bad.csv").write_text("hello\n")
    status, path = replay(HEADER + SLOW, more=[tmp_path / "bad.csv"])
    assert status == 1
    assert len(read(path)) == 3541


@pytest.mark.parametrize(
    "options",
    [("--initial-soc", "1.5"), ("--speed", "0"), ("--initial-soh", "9"), ("--start", "soon"), ("--estimator", "guess")],
)
def test_a_wrong_option_is_a_usage_error(replay, capsys, options):
    status, path = replay(HEADER + SLOW, *options)
    assert status == 2
    assert options[0] in capsys.readouterr().err
    assert not path.exists()


def test_an_unknown_cell_type_is_a_usage_error(tmp_path, capsys):
    (tmp_path / "log.csv").write_text(HEADER + SLOW)
    assert main(["replay", str(tmp_path / "log.csv"), "--cell-type", "nowhere", "--out", str(tmp_path / "s.csv")]) == 2
    assert "no cell type `nowhere`" in capsys.readouterr().err


def test_several_logs_go_into_a_folder_or_into_one_file_with_their_names(replay, tmp_path):
    other = tmp_path / "more" / "log.csv"
    other.parent.mkdir()
    other.write_text(HEADER + "0,3.9,1,25\n1,3.9,1,25\n")
    _, folder = replay(HEADER + SLOW, more=[other], out="states")
    assert sorted(p.name for p in folder.iterdir()) == ["log.csv", "log~2.csv"]
    _, single = replay(HEADER + SLOW, more=[other], out="all.csv")
    states = read(single)
    assert states["file"].unique(maintain_order=True).to_list() == ["log", "log~2"]
    assert states.filter(pl.col("file") == "log~2").drop("file").equals(read(folder / "log~2.csv"))


def test_a_log_is_placed_in_time_without_changing_its_states(replay):
    seconds = np.arange(0, 100, 0.4)
    rows = "".join(f"{t:.1f},3.5,{np.sin(t):.3f},25\n" for t in seconds)
    _, at_zero = replay(HEADER + rows)
    _, placed = replay(HEADER + rows, "--start", "2026-05-01T12:00:00Z", out="placed.csv")
    walled = "".join(f"{t:.1f},3.5,{np.sin(t):.3f},25,{1.7e9 + 0.5 + t}\n" for t in seconds)
    _, wall = replay(HEADER.strip() + ",unix_time_second\n" + walled, out="wall.csv")
    assert read(placed).equals(read(at_zero))
    assert read(wall).equals(read(at_zero))


def test_speed_paces_and_changes_nothing(replay):
    log = HEADER + "".join(f"{t},3.5,-1,25\n" for t in range(60))
    _, quick = replay(log)
    began = time.monotonic()
    _, paced = replay(log, "--speed", "120", out="paced.csv")
    assert time.monotonic() - began >= 59 / 120 - SLICE_SECOND
    assert paced.read_bytes() == quick.read_bytes()


def test_the_summary_is_one_json_object(replay, capsys):
    _, path = replay(HEADER + SLOW + "3540,3.5,-3,25\nx,3.5,-3,25\n", "--json")
    summary = json.loads(capsys.readouterr().out)
    assert summary["files"] == [str(path)]
    assert [(log["samples"], log["rows"], log["broken"]) for log in summary["logs"]] == [(61, 3541, 1)]
    assert summary["counters"]["duplicate"] == 1


def test_an_interrupt_keeps_what_was_done_and_says_so(replay, capsys, monkeypatch):
    told = []

    def interrupted(_lines, more):
        told.append(more)
        if len(told) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(_Lines, "__call__", interrupted)
    status, path = replay(HEADER + "".join(f"{t},3.5,-1,25\n" for t in range(60)), "--speed", "120")
    assert status == 130
    assert len(read(path)) == sum(told) - 1
    assert f"kept: {len(read(path))} rows in {path}" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_an_error_and_leaves_nothing(replay, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert replay(HEADER + SLOW, out="file/states.csv")[0] == 1
    assert "cannot write" in capsys.readouterr().err
    assert not list(tmp_path.glob(".*partial"))
