"""`bmsd fit` from simulated logs to a folder that the filter can load."""

import numpy as np
import polars as pl
import pytest
import yaml

from daemon.cli import main
from estimators.cell_type import CellType
from estimators.ekf import Ekf
from simulators.recording import simulate


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    celsius = np.array([10.0, 10.0, 25.0, 25.0, 25.0])
    shown = simulate(5, 7200, 3, ambient_temperature_celsius=celsius, initial_soc=1.0, initial_soh=0.95)
    for cell in range(5):
        columns = ("voltage_volt", "current_ampere", "temperature_celsius", "soc", "soh")
        frame = pl.DataFrame({n: getattr(shown, n)[cell].astype(np.float64) for n in columns})
        frame.with_row_index("test_time_second").write_csv(folder / f"cell_{cell}.csv")
    return folder


def test_a_folder_of_logs_becomes_a_cell_type(logs, tmp_path, capsys):
    out = tmp_path / "my-cell"
    facts = ["--nominal-capacity-ah", "2.9", "--chemistry", "nca", "--reference-soh", "0.95"]
    assert main(["fit", str(logs), *facts, "--out", str(out)]) == 0
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
    right = float(shown.out.splitlines()[-1].split("|")[3])
    assert right < 1.5


def test_a_cell_yaml_that_is_there_is_kept_and_a_split_is_obeyed(logs, tmp_path):
    out = tmp_path / "kept"
    facts = ["--nominal-capacity-ah", "2.9", "--chemistry", "nca"]
    assert main(["fit", str(logs / "cell_3.csv"), *facts, "--out", str(out)]) == 0
    before = (out / "cell.yaml").read_text()
    split = tmp_path / "split.yaml"
    split.write_text("train: [cell_0, cell_2]\nvalidation: [cell_1]\ntest: [cell_4]\n")
    assert main(["fit", str(logs), "--split", str(split), "--supporting", "cell_0", "--out", str(out)]) == 0
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
    facts = ["--nominal-capacity-ah", "2.9", "--chemistry", "nca"]
    assert main(["fit", str(path), *facts, "--out", str(tmp_path / "new")]) == 1
    assert str(path) in capsys.readouterr().err


def test_the_folder_keeps_what_its_numbers_rest_on(logs, tmp_path, capsys):
    labels = tmp_path / "said.yaml"
    labels.write_text("- files: [cell_*]\n  temperature_celsius: 25\n")
    out = tmp_path / "told"
    facts = ["--nominal-capacity-ah", "2.9", "--chemistry", "nca", "--labels", str(labels)]
    assert main(["fit", str(logs), *facts, "--out", str(out)]) == 0
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
    facts = ["--nominal-capacity-ah", "2.9", "--chemistry", "nca", "--out", str(tmp_path / "out")]
    assert main(["fit", str(logs / "cell_0.csv"), str(stray), *facts]) == 0
    assert "left out: stray.csv: its SOC is known nowhere" in capsys.readouterr().err
