import argparse
import json
import subprocess
import sys

import polars as pl
import pytest

from daemon.cli import simulate
from daemon.errors import UsageError
from simulators import physics, spme
from simulators.sensor import Fault


def run(*words):
    parser = argparse.ArgumentParser()
    simulate.add_arguments(parser)
    return simulate.run(parser.parse_args([str(word) for word in words]))


def test_a_log_is_written_and_summed_up(tmp_path, capsys):
    path = tmp_path / "x.csv"
    assert run("--log", path, "--cells", 1, "--seconds", 30, "--seed", 4, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary == {"cells": 1, "seconds": 30, "files": [str(path)]}
    assert len(pl.read_csv(path)) == 30


def test_start_values_are_one_for_all_or_drawn_between_two(tmp_path):
    run("--log", tmp_path / "x.parquet", "--cells", 4, "--seconds", 2, "--initial-soh", 0.7, 0.9, "--initial-soc", 0.5)
    tables = [pl.read_parquet(p) for p in sorted(tmp_path.iterdir())]
    soh = [t["soh"][0] for t in tables]
    assert len(set(soh)) == 4
    assert 0.7 <= min(soh) <= max(soh) <= 0.9
    assert {round(t["soc"][0], 3) for t in tables} == {0.5}


def test_sensor_options_reach_their_sensor(tmp_path):
    words = ["--log", tmp_path / "x.parquet", "--cells", 1, "--seconds", 200, "--initial-soc", 0.5]
    run(*words)
    true = pl.read_parquet(tmp_path / "x.parquet")
    run(*words, "--current-offset-ampere", 0.3, "--voltage-step-volt", 0.01, "--temperature-gain-error", 0.1)
    shown = pl.read_parquet(tmp_path / "x.parquet")
    assert (shown["current_ampere"] - true["current_ampere"]).to_list() == pytest.approx([0.3] * 200)
    assert set(shown["voltage_volt"]) == {round(v, 2) for v in true["voltage_volt"]}
    assert (shown["temperature_celsius"] / true["temperature_celsius"]).to_list() == pytest.approx([1.1] * 200)
    assert shown["soc"].to_list() == true["soc"].to_list()


def test_faults_are_spelled_as_the_simulator_spells_them():
    assert tuple(fault.value for fault in Fault) == simulate.FAULTS


@pytest.mark.parametrize(
    "words",
    [
        ("--cells", "2", "--packs", "3"),
        ("--log", "x.txt", "--seconds", "1"),
        ("--initial-soh", "0.9", "0.8"),
        ("--initial-soh", "0.7", "0.8", "0.9"),
    ],
)
def test_arguments_that_do_not_fit_are_a_usage_error(words):
    with pytest.raises(UsageError):
        run(*words)


@pytest.mark.parametrize("words", [("--cells", "0"), ("--speed", "-1"), ("--dropout", "2"), ("--faults", "fire")])
def test_values_that_cannot_be_are_refused_by_the_parser(words, capsys):
    with pytest.raises(SystemExit) as exit_:
        run(*words)
    assert exit_.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_the_command_line_costs_no_heavy_import():
    heavy = "{'numpy', 'polars', 'aiomqtt', 'paho', 'simulators.cell'}"
    code = (
        "import argparse, sys; from daemon.cli import simulate; simulate.add_arguments(argparse.ArgumentParser());"
        f"sys.exit(str({heavy} & set(sys.modules)) if {heavy} & set(sys.modules) else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True).stderr == ""


@pytest.mark.service
def test_a_fleet_is_published_to_the_broker(mosquitto_broker, capsys):
    words = ["--port", mosquitto_broker.port, "--cells", 3, "--seconds", 20, "--speed", "max"]
    assert run(*words, "--json", "--start-unix-second", 1_763_700_000) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["cells"], summary["seconds"], summary["messages"]) == (3, 20, 60)


def test_a_log_of_the_second_physics_bears_the_truth(tmp_path):
    pytest.importorskip("pybamm", reason="PyBaMM is not installed: pip install 'bmsd[train]'")
    path = tmp_path / "cell.csv"
    assert run("--physics", "spme", "--log", path, "--cells", 1, "--seconds", 60, "--initial-soh", 0.8) == 0
    table = pl.read_csv(path)
    assert table["soh"].to_list() == [0.8] * 60
    assert table["soc"].is_between(0.0, 1.0).all()


def test_a_physics_that_is_not_installed_is_told_with_the_way_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pybamm", None)
    spme._physics.cache_clear()
    with pytest.raises(UsageError) as refused:
        run("--physics", "spme", "--log", tmp_path / "cell.csv", "--cells", 1, "--seconds", 1)
    assert refused.value.mend == "pip install 'bmsd[train]'"


def test_both_physics_can_be_asked_for():
    assert tuple(physics.PHYSICS) == simulate.PHYSICS
