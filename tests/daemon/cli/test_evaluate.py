"""`bmsd evaluate` on simulated logs, and on the real ones where they are."""

import json
import os
from pathlib import Path

import polars
import pytest

from daemon.cli import main
from daemon.evaluate import usable
from estimators.cell_type import CellType

DATA = Path(os.environ.get("BMSD_DATA", Path(__file__).parents[4] / "shared" / "data"))
PANASONIC = DATA / "panasonic-18650pf"
needs_panasonic = pytest.mark.skipif(not PANASONIC.is_dir(), reason="no Panasonic logs: set BMSD_DATA")


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    words = ["--cells", "2", "--seconds", "900", "--initial-soc", "0.9", "--seed", "3"]
    assert main(["simulate", "--log", str(folder / "25c_drive.csv"), *words]) == 0
    return folder


def evaluated(capsys, *words):
    assert main(["evaluate", *map(str, words), "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def scores(rows):
    return [r for r in rows if r["table"] == "score" and r["soc"] == "all"]


def test_every_case_is_scored_and_the_baselines_stand_beside(logs, capsys):
    rows = scores(evaluated(capsys, "ekf", "--data", logs, "--cell-type", "generic-nca"))
    assert {r["estimator"] for r in rows} == set(usable(CellType.load("generic-nca")))
    assert rows[0]["estimator"] == "ekf"
    assert {r["case"] for r in rows} == {"right start", "30 points wrong", "+0.3 A", "-0.3 A"}
    assert {r["ambient_temperature_celsius"] for r in rows} == {25.0, None}
    counted = {r["case"]: r["mae_point"] for r in rows if r["estimator"] == "coulomb"}
    assert counted["right start"] < 1.0 < counted["+0.3 A"] < 25.0 < counted["30 points wrong"] < 31.0


def test_predictions_hold_a_row_for_every_second(logs, tmp_path, capsys):
    evaluated(
        capsys, "coulomb", "--alone", "--data", logs, "--cell-type", "generic-nca", "--predictions", tmp_path / "p.csv"
    )
    frame = polars.read_csv(tmp_path / "p.csv")
    names = ["file", "test_time_second", "target", "horizon", "truth", "predicted", "predicted_std"]
    assert frame.columns == names
    assert len(frame) == 2 * 900
    assert frame["truth"].null_count() == 0


def test_logs_without_a_label_are_predicted_all_the_same(logs, tmp_path, capsys):
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in logs.iterdir():
        polars.read_csv(path).drop("soc", "soh").write_csv(bare / path.name)
    words = ("ekf", "--alone", "--data", bare, "--cell-type", "generic-nca", "--predictions", tmp_path / "p.csv")
    assert evaluated(capsys, *words) == []
    frame = polars.read_csv(tmp_path / "p.csv")
    assert frame["truth"].null_count() == len(frame) == 2 * 900


def test_what_no_log_says_is_told_on_the_command_line(logs, tmp_path, capsys):
    """The SOC of the first row and the temperature of a log that has nothing but voltage and current."""
    bare = tmp_path / "bare"
    bare.mkdir()
    log = min(logs.iterdir())
    polars.read_csv(log).drop("soc", "soh", "temperature_celsius").write_csv(bare / "drive.csv")
    labels = tmp_path / "said.yaml"
    labels.write_text("- files: [drive]\n  initial_soc: 0.9\n")
    words = ("coulomb", "--alone", "--data", bare, "--cell-type", "generic-nca", "--labels", labels)
    (right,) = (
        r for r in scores(evaluated(capsys, *words)) if r["case"] == "right start" and not r["mean_over_temperatures"]
    )
    assert right["mae_point"] < 0.1
    error = []
    for celsius in (25, -20):
        words = ("ekf", *words[1:8], "--ambient-temperature-celsius", celsius)
        rows = scores(evaluated(capsys, *words))
        error.append(next(r["mae_point"] for r in rows if r["case"] == "30 points wrong"))
    assert error[0] != error[1]


def test_labels_that_are_not_there_are_refused(logs, capsys):
    words = ("--data", str(logs), "--cell-type", "generic-nca", "--labels", "nowhere.yaml")
    assert main(["evaluate", "coulomb", "--alone", *words]) == 2
    assert "no file nowhere.yaml" in capsys.readouterr().err


def test_how_sure_a_soc_is_depends_on_whether_the_soh_is_told_or_a_guess(logs, capsys):
    words = ("fused", "--alone", "--data", logs, "--cell-type", "lfp-1200mah")
    guessed, told = (scores(evaluated(capsys, *words, *more)) for more in ((), ("--initial-soh", "0.9")))
    assert [r["interval_90_point"] for r in guessed] != [r["interval_90_point"] for r in told]


def test_starts_inside_a_run_are_timed(tmp_path, capsys):
    log = tmp_path / "25c_drive.csv"
    assert main(["simulate", "--log", str(log), "--cells", "1", "--seconds", "1500", "--seed", "3"]) == 0
    capsys.readouterr()
    words = ("coulomb", "--alone", "--data", tmp_path, "--cell-type", "generic-nca")
    assert not [r for r in evaluated(capsys, *words) if r["table"] == "switch_on"]
    (all_starts, of_25) = (r for r in evaluated(capsys, *words, "--switch-on") if r["table"] == "switch_on")
    assert (all_starts["starts"], all_starts["ambient_temperature_celsius"]) == (8, None)
    assert (of_25["starts"], of_25["ambient_temperature_celsius"]) == (8, 25.0)
    assert (all_starts["never"], all_starts["median_minute"]) == (1.0, None)  # counting keeps what it was told


def test_a_type_without_weights_is_scored_by_what_it_has(logs, capsys):
    rows = evaluated(capsys, "soc", "--data", logs, "--cell-type", "lfp-1200mah")
    assert {"ekf", "coulomb"} <= {r["estimator"] for r in rows}
    assert "cross_stitch" not in {r["estimator"] for r in rows}


def test_a_folder_without_logs_is_refused(tmp_path, capsys):
    assert main(["evaluate", "ekf", "--data", str(tmp_path), "--cell-type", "generic-nca"]) == 2
    assert "no log that can be scored" in capsys.readouterr().err


@needs_panasonic
def test_pulse_tests_are_not_scored_and_named(tmp_path, capsys):
    (tmp_path / "25c_5pulse_hppc.csv.gz").symlink_to(PANASONIC / "25c_5pulse_hppc.csv.gz")
    assert main(["evaluate", "ekf", "--data", str(tmp_path), "--cell-type", "panasonic-18650pf"]) == 2
    assert "not scored: 25c_5pulse_hppc" in capsys.readouterr().err


@needs_panasonic
def test_an_unseen_drive_cycle_is_followed_from_a_right_start_and_from_none(tmp_path, capsys):
    (tmp_path / "10c_us06.csv.gz").symlink_to(PANASONIC / "10c_us06.csv.gz")
    words = ("cross-stitch", "--data", tmp_path, "--cell-type", "panasonic-18650pf", "--split", "test")
    rows = scores(evaluated(capsys, *words))
    mae = {(r["estimator"], r["case"]): r["mae_point"] for r in rows}
    assert mae["ekf", "right start"] < 0.8
    assert mae["ekf", "+0.3 A"] < 1.5
    assert mae["cross_stitch", "30 points wrong"] < 1.5


def test_shipped_weights_may_have_seen_the_cells_that_are_scored_and_it_is_said(tmp_path, capsys):
    from tests.daemon.tables.relaxation_files import zhu_like

    def told(*words):
        assert main(["evaluate", "soh", "--data", str(tmp_path), "--alone", *words]) == 0
        return capsys.readouterr().err

    zhu_like(6, 8).write_csv(tmp_path / "nca.csv")
    (tmp_path / "notes.csv").write_text("a;b\n")
    err = told()
    assert "the shipped weights were learnt from" in err
    assert "not scored: notes.csv: a table of no known form" in err
    assert "shipped weights" not in told("--folds", "2")
    zhu_like(1, 8).drop("discharge_capacity_ah").write_csv(tmp_path / "nca.csv")
    assert "shipped weights" not in told()


@pytest.mark.parametrize("words", [("--folds", "1"), ("--folds", "-1"), ("--seeds", "0"), ("--folds", "5")])
def test_folds_that_leave_nothing_to_learn_from_are_refused(tmp_path, capsys, words):
    from tests.daemon.tables import charge_ends

    charge_ends.write(tmp_path / "xjtu.csv", {"a": 20})
    words = ("soh", "--data", str(tmp_path), "--predictions", str(tmp_path / "p" / "p.csv"), *words)
    assert main(["evaluate", *words]) == 2
    assert "error usage" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()
