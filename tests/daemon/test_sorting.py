"""`bmsd sort`: logs of pulse tests to grades; a cell that cannot be judged is refused with its reason."""

import json

import numpy as np
import polars
import pytest

from daemon.cli import main
from daemon.config import Config
from daemon.config.sorting import Sorting
from estimators.pulse.estimate import WEIGHTS, PulseModels, name
from estimators.pulse.features import Configuration, inputs
from estimators.pulse.train import fit
from tests.estimators.pulse.made_up import played, table, voltages

KIND = Configuration("lmo", 20.0, 5000)


@pytest.fixture
def pallet(tmp_path, monkeypatch):
    """Four cells: a good one, a weak one, one whose pulse was cut, and a file that is no log."""
    volt, soh, _, cell = table(cells=30)
    models = {name(KIND, v, "unknown", "varying"): fit(inputs(volt, v), soh, cell) for v in ("short", "ends")}
    monkeypatch.setattr("estimators.pulse.estimate.shipped", lambda: PulseModels(models))
    for cell_name, state, how in (
        ("good", 0.95, {}),
        ("weak", 0.62, {"hertz": 10.0}),
        ("slow", 0.8, {"hertz": 1.0}),
        ("cut", 0.8, {"cut": 1}),
    ):
        (row,) = voltages(np.array([state]), np.array([0.3]), points=21)
        second, voltage, ampere = played(row, 20.0, **{"hertz": 20.0, **how})
        polars.DataFrame({"test_time_second": second, "voltage_volt": voltage, "current_ampere": ampere}).write_csv(
            tmp_path / f"{cell_name}.csv"
        )
    (tmp_path / "letter.csv").write_text("dear reader\n")
    return tmp_path


def sort(pallet, *more):
    names = ("good", "weak", "slow", "cut", "letter")
    arguments = ["sort", *(str(pallet / f"{n}.csv") for n in names), "--out", str(pallet / "grades.csv"), *more]
    return main([*arguments, "--chemistry", "lmo", "--nominal-capacity-ah", "20"])


def test_each_cell_gets_a_row_with_its_grade_or_why_it_has_none(pallet, capsys):
    assert sort(pallet) == 0
    rows = {row["cell"]: row for row in polars.read_csv(pallet / "grades.csv").to_dicts()}
    assert {cell: row["grade"] or "" for cell, row in rows.items()} == {
        "good": "A", "weak": "reject", "slow": "B", "cut": "", "letter": ""
    }  # fmt: skip
    good = rows["good"]
    assert good["soh"] == pytest.approx(0.95, abs=0.03)
    assert good["soh_low"] < good["soh"] < good["soh_high"]
    assert good["charge_ohmic_1c_ohm"] > 0.0
    assert (good["voltages"], good["width_ms"]) == (21, 5000)
    assert rows["cut"]["refused"].startswith("pulse_cut_short")
    assert rows["letter"]["refused"].startswith("unreadable_log")
    assert "only the ends" in rows["slow"]["note"]
    said = capsys.readouterr()
    assert said.out.split() == ["A=1", "B=1", "reject=1", "refused=2"]
    assert "cut: pulse_cut_short" in said.err


def test_thresholds_come_from_the_configuration(pallet, capsys):
    config = pallet / "config.yaml"
    config.write_text("sorting: {grade_a_soh: 0.9, grade_b_soh: 0.8, grade_c_soh: 0.5}\n")
    assert sort(pallet, "--config", str(config), "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["cell"]: row["grade"] for row in rows}["weak"] == "C"
    config.write_text("sorting: {soh_std_max: 0.0001}\n")
    assert sort(pallet, "--config", str(config), "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(row["grade"] == "" for row in rows)
    assert rows[0]["refused"].startswith("unsure")


def test_a_cell_like_none_that_was_learnt_from_gets_no_number(pallet):
    log = polars.read_csv(pallet / "good.csv")
    rest = polars.col("voltage_volt").first()
    log.with_columns(rest + 3.0 * (polars.col("voltage_volt") - rest)).write_csv(pallet / "strange.csv")
    kind = ["--chemistry", "lmo", "--nominal-capacity-ah", "20"]
    assert main(["sort", str(pallet / "strange.csv"), "--out", str(pallet / "g.csv"), *kind]) == 0
    (row,) = polars.read_csv(pallet / "g.csv").to_dicts()
    assert row["refused"].startswith("out_of_domain")
    assert row["soh"] is row["soh_low"] is None
    assert row["grade"] == ""
    assert row["charge_ohmic_1c_ohm"] > 0.0


def test_another_chemistry_is_an_unknown_configuration(pallet):
    kind = ["--chemistry", "lto", "--nominal-capacity-ah", "20"]
    main(["sort", str(pallet / "good.csv"), "--out", str(pallet / "g.csv"), *kind])
    (row,) = polars.read_csv(pallet / "g.csv").to_dicts()
    assert row["refused"].startswith("unknown_configuration")
    assert row["charge_ohmic_1c_ohm"] > 0.0


def test_without_chemistry_and_capacity_nobody_can_say(pallet, capsys):
    assert main(["sort", str(pallet / "good.csv"), "--out", str(pallet / "g.csv")]) == 2
    assert "what cells are these" in capsys.readouterr().err


def test_grades_descend():
    assert [Config().sorting.grade(soh) for soh in (0.9, 0.85, 0.7, 0.64)] == ["A", "A", "C", "reject"]
    with pytest.raises(ValueError, match="descend"):
        Sorting(grade_a_soh=0.6)


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="no weights: bmsd train pulse")
def test_shipped_weights_are_small_and_know_six_kinds_of_cells():
    from estimators.pulse.estimate import shipped

    assert WEIGHTS.stat().st_size < 2_500_000
    assert len({(c.chemistry, c.nominal_capacity_ah) for c in shipped().known()}) == 6
