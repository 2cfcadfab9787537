"""`bmsd fit` from simulated logs to a folder that the filter can load."""

import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import yaml

from daemon.cli import main
from estimators.cell_type import CellType
from estimators.cross_stitch import weights
from estimators.cross_stitch.network import Network
from estimators.ekf import Ekf
from simulators.recording import simulate

FACTS = ["--nominal-capacity-ah", "2.9", "--chemistry", "nca"]


def fit(logs, out, *words, minutes="0"):
    """Fit a cell type of known facts; gives the exit status."""
    return main(["fit", str(logs), *map(str, words), *FACTS, "--network-minutes", minutes, "--out", str(out)])


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Two minutes measure, and a handful of steps train; how many a processor manages is no matter here."""
    monkeypatch.setattr("daemon.fine_tuning.LONGEST_HELD_OUT_SECOND", 120.0)
    monkeypatch.setattr("daemon.fine_tuning.SIMULATED_CELLS", 2)
    monkeypatch.setattr("daemon.fine_tuning.SIMULATED_SECOND", 900)
    monkeypatch.setattr("daemon.fine_tuning.MOST_STEPS", 3)
    monkeypatch.setattr("estimators.cross_stitch.calibrate.WINDOWS", 2)


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    celsius = np.array([10.0, 10.0, 25.0, 25.0, 25.0])
    shown = simulate(5, 5400, 3, ambient_temperature_celsius=celsius, initial_soc=1.0, initial_soh=0.95)
    for cell in range(5):
        columns = ("voltage_volt", "current_ampere", "temperature_celsius", "soc", "soh")
        frame = pl.DataFrame({n: getattr(shown, n)[cell].astype(np.float64) for n in columns})
        frame.with_row_index("test_time_second").write_csv(folder / f"cell_{cell}.csv")
    return folder


def test_a_folder_of_logs_becomes_a_cell_type(logs, tmp_path, capsys):
    out = tmp_path / "my-cell"
    assert fit(logs, out, "--reference-soh", 0.95) == 0
    cell_type = CellType.load(out)
    assert (cell_type.name, cell_type.chemistry, cell_type.nominal_capacity_ah) == ("my-cell", "nca", 2.9)
    assert cell_type.typical_soh == 0.95
    assert cell_type.temperature_min_celsius <= 10.0
    assert Ekf(cell_type).weights_id != "-"
    card = (out / "CARD.md").read_text()
    assert "validation: cell_4" in card
    assert "Made by" in card
    shown = capsys.readouterr()
    assert "| **mean** |" in shown.out
    assert "taken: tau" in shown.err
    after = next(line for line in reversed(shown.out.splitlines()) if line.startswith("| **mean**"))
    assert float(after.split("|")[3]) < 1.5


def test_every_estimator_is_compared_and_the_best_published_also_where_no_network_is_known(
    logs, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("daemon.similar.Similar.has_network", False)
    out = tmp_path / "my-cell"
    assert fit(logs, out, minutes="1") == 0
    shown = capsys.readouterr()
    assert "generic-nca has no network to tune" in shown.err
    assert not (out / "cross_stitch.safetensors").exists()
    rows = [[word.strip() for word in line.split("|")[1:-1]] for line in shown.out.splitlines()]
    mean = {row[0]: float(row[-1]) for row in rows if row[1:2] == ["after"]}
    assert set(mean) == {"fused", "ekf", "coulomb"}
    assert {row[0] for row in rows if row[1:2] == ["before"]} >= set(mean)
    chosen = CellType.load(out).estimator
    assert mean[chosen] <= min(mean.values()) + 0.06
    assert f"Smallest mean: `{chosen}`" in (out / "CARD.md").read_text()


def test_the_generic_network_is_tuned_and_stands_in_the_folder(logs, tmp_path, capsys):
    out = tmp_path / "my-cell"
    assert fit(logs, out, "--reference-soh", 0.95, minutes="0.001") == 0
    made = weights.load(out)
    assert made.domain is not None
    assert np.isnan(made.reference_soh)  # SOC of present capacity, as the type says
    card = (out / "CARD.md").read_text()
    assert "The weights of generic-nca, trained further: " in card
    assert "- after: " in card
    assert "without: it is kept" in card
    shown = capsys.readouterr()
    assert "| cross_stitch | after |" in shown.out
    assert "h of logs" in shown.err


def test_a_network_with_which_nothing_is_nearer_is_left_out(logs, tmp_path, capsys):
    like = shutil.copytree(CellType.load("generic-nca").folder, tmp_path / "ignorant")
    known = weights.load(like)
    weights.save(replace(known, network=Network()), like)  # knows nothing
    out = tmp_path / "my-cell"
    assert fit(logs, out, "--like", like, "--reference-soh", 0.95, minutes="0.001") == 0
    assert not (out / "cross_stitch.safetensors").exists()
    assert "the network is left out" in capsys.readouterr().err
    assert "without: it is left out" in (out / "CARD.md").read_text()


def test_a_network_that_has_a_recipe_of_its_own_is_not_tuned_over(logs, tmp_path, capsys):
    out = tmp_path / "my-cell"
    out.mkdir()
    (out / "training.yaml").write_text("data: mine\n")
    assert fit(logs, out, minutes="1") == 0
    assert "bmsd train cross-stitch" in capsys.readouterr().err
    assert not (out / "cross_stitch.safetensors").exists()


def test_a_cell_yaml_that_is_there_is_kept_and_a_split_is_obeyed(logs, tmp_path):
    out = tmp_path / "kept"
    assert fit(logs / "cell_3.csv", out) == 0
    before = (out / "cell.yaml").read_text()
    split = tmp_path / "split.yaml"
    split.write_text("train: [cell_0, cell_2]\nvalidation: [cell_1]\ntest: [cell_4]\n")
    assert fit(logs, out, "--split", split, "--supporting", "cell_0") == 0
    assert (out / "cell.yaml").read_text() == before
    card = (out / "CARD.md").read_text()
    assert "train: (cell_0), cell_2" in card
    assert "test: cell_4" in card
    assert "cell_3" not in card


def test_a_new_type_needs_capacity_and_chemistry(logs, tmp_path, capsys):
    assert main(["fit", str(logs), "--out", str(tmp_path / "new")]) == 2
    assert "add --nominal-capacity-ah and --chemistry" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_file_that_is_no_log_is_refused_by_name(tmp_path, capsys):
    path = tmp_path / "notes.csv"
    path.write_text("hello\n")
    assert fit(path, tmp_path / "new") == 1
    assert str(path) in capsys.readouterr().err


def test_the_folder_keeps_what_its_numbers_rest_on(logs, tmp_path, capsys):
    labels = tmp_path / "said.yaml"
    labels.write_text("- files: [cell_*]\n  temperature_celsius: 25\n")
    out = tmp_path / "told"
    assert fit(logs, out, "--labels", labels) == 0
    assert (out / "labels.yaml").read_text() == labels.read_text()
    assert yaml.safe_load((out / "split.yaml").read_text()) == {
        "validation": ["cell_4"],
        "train": ["cell_0", "cell_1", "cell_2", "cell_3"],
    }
    shown = capsys.readouterr().out
    assert shown.index("Before") < shown.index("After")


def test_a_log_whose_soc_is_known_nowhere_is_left_out_by_name(logs, tmp_path, capsys):
    stray = tmp_path / "stray.csv"
    pl.DataFrame({"test_time_second": [0.0, 1.0], "voltage_volt": 3.4, "current_ampere": -1.0}).write_csv(stray)
    assert fit(logs / "cell_0.csv", tmp_path / "out", stray) == 0
    assert "left out: stray.csv: its SOC is known nowhere" in capsys.readouterr().err


def test_logs_of_a_cell_at_rest_are_refused(tmp_path, capsys):
    path = tmp_path / "rest.csv"
    pl.DataFrame({"test_time_second": np.arange(900.0), "voltage_volt": 4.1, "current_ampere": 0.0}).write_csv(path)
    assert fit(path, tmp_path / "out") == 2
    assert "no current flows" in capsys.readouterr().err
