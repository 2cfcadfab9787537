"""`bmsd health` on a simulated log: a rest, a charge to full, a rest."""

import json
import shutil

import numpy as np
import polars
import pytest
import yaml

from daemon.cli import main
from daemon.cli.health import show
from daemon.wire import Health, Scenario
from estimators.cell_type import CellType
from simulators.recording import simulate
from simulators.schedule import Profile

SOH = 0.84


@pytest.fixture(scope="module")
def cell_type(tmp_path_factory):
    """`generic-nca`, counting: what is tested here is what the checks make of it."""
    folder = tmp_path_factory.mktemp("types") / "counted"
    shutil.copytree(CellType.load("generic-nca").folder, folder, ignore=shutil.ignore_patterns("cross_stitch*"))
    facts = yaml.safe_load((folder / "cell.yaml").read_text()) | {"estimator": "coulomb"}
    (folder / "cell.yaml").write_text(yaml.safe_dump(facts))
    return str(folder)


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    profile = Profile(rest_second=(900.0, 1_000.0), charge_c_rate=(0.79, 0.8))
    seen = simulate(1, 7_000, 3, initial_soc=0.1, initial_soh=SOH, profile=profile)
    columns = ("voltage_volt", "current_ampere", "temperature_celsius")
    frame = {"test_time_second": np.arange(7_000.0)} | {c: getattr(seen, c)[0].astype(float) for c in columns}
    path = tmp_path_factory.mktemp("logs") / "charge.csv"
    polars.DataFrame(frame).write_csv(path)
    return path


def test_a_charge_to_full_tells_the_capacity(log, cell_type, capsys):
    assert main(["health", str(log), "--cell-type", cell_type, "--json"]) == 0
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (counted,) = [r for r in reports if r["check"] == "counted"]
    assert counted["trigger"] == "charge"
    assert abs(counted["values"]["soh"] - SOH) < 2.0 * counted["std"]["soh"] < 0.04
    assert all(r["refused"] for r in reports if r["check"] != "counted")  # no make that they know


def test_what_was_found_is_shown_and_drawn_for_a_person(log, cell_type, capsys, tmp_path):
    assert main(["health", str(log), "--cell-type", cell_type, "--plot", str(tmp_path)]) == 0
    out = capsys.readouterr()
    assert "counted" in out.out
    assert "unknown_configuration" in out.out
    assert (tmp_path / "charge.health.png").stat().st_size > 10_000
    assert "charge.health.png" in out.err


def test_a_replay_writes_reports_beside_its_states_and_takes_the_soh_in(log, cell_type, tmp_path):
    out = tmp_path / "states.csv"
    assert main(["replay", str(log), "--cell-type", cell_type, "--out", str(out), "--json"]) == 0
    lines = [json.loads(line) for line in (tmp_path / "states.health.jsonl").read_text().splitlines()]
    assert {line["file"] for line in lines} == {"charge.csv"}
    soh = polars.read_csv(out)["soh"]
    assert abs(soh[-1] - SOH) < 0.02 < abs(soh[0] - SOH)


def test_a_log_that_is_none_is_named_and_the_others_go_on(log, cell_type, capsys, tmp_path):
    (tmp_path / "empty.csv").write_text("")
    assert main(["health", str(tmp_path / "empty.csv"), "--cell-type", cell_type]) == 1
    assert "empty.csv" in capsys.readouterr().err


def test_what_is_to_come_is_shown_by_the_use_that_it_takes(capsys):
    ahead = {
        "horizon_cycle": [0.0, 50.0, 100.0, 150.0],
        "capacity_ah": [3.0, 2.9, 2.8, 2.7],
        "capacity_ah_std": [0.1] * 4,
    }
    scenarios = {
        "as_now": Scenario(25.0, 0.5, 1.0, {"rul_cycle": 100.0}, ahead),
        "as_configured": Scenario(40.0, 0.5, 1.0, {}, ahead, in_domain=False),
    }
    imodel = Health(3_600.0, "imodel", "m", "rest", 0.0, {"soh": 0.9}, scenarios=scenarios)
    early = Health(7_200.0, "early_life", "m", "capacity", 0.0, {"capacity_ah": 0.9}, trajectories=ahead)
    show("log.csv", 0.0, [imodel, early], {})
    now, configured, later = [line for line in capsys.readouterr().out.splitlines() if "Ah in" in line]
    assert "used as now" in now
    assert "25 °C, 0.5 / 1 C" in now
    assert "3.000, 2.900, 2.800, 2.700 ± 0.1 Ah in 0, 50, 100, 150 cycles; 100 left" in now
    assert "as configured" in configured
    assert "40 °C" in configured
    assert "outside" in configured
    assert "outside" not in now
    assert "2.700 ± 0.1 Ah in 0, 50, 100, 150 cycles" in later


def test_a_log_that_no_check_wants_is_not_said_to_have_no_rest(capsys):
    show("log.csv", 0.0, [], {"rest": 3, "charge": 1})
    show("other.csv", 0.0, [], {})
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "log.csv: no check looks at what was over in it: 1 charge, 3 rests"
    assert said[1].startswith("other.csv: nothing to look at: no rest")


def test_a_file_in_the_place_of_the_pictures_folder_is_refused_before_anything_is_computed(log, cell_type, capsys):
    assert main(["health", str(log), "--cell-type", cell_type, "--plot", str(log)]) == 2
    out = capsys.readouterr()
    assert "--plot takes a folder" in out.err
    assert str(log) in out.err
    assert out.out == ""
