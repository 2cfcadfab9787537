from dataclasses import replace

import numpy as np
import polars
import pytest
import yaml

from daemon.errors import UsageError
from daemon.tables import multitask
from daemon.tables.cases import Options, score, write
from daemon.tables.multitask_search import settings_found
from estimators.multitask import estimate, model, search, train, train_network
from estimators.multitask.features import NAMES
from tests.daemon.tables import charge_ends

CELLS = {f"2C_battery-{n}": 90 for n in range(1, 7)}


@pytest.fixture
def quick(monkeypatch):
    """Fit few rows and members."""
    monkeypatch.setattr(train, "ROWS", 120)
    small = {"steps": 20, "rows": 16, "units": 8}
    monkeypatch.setitem(train.MEMBERS, "network history", train.Member("history", "network", small))
    few = ("ridge", "svr age", "ridge history", "network history")
    for name in ("DEFAULT", "ONE_CHARGE"):
        monkeypatch.setattr(multitask, name, (few[1:], few) if name == "DEFAULT" else (("ridge",),))
    monkeypatch.setattr(multitask, "MEMBERS", {name: train.MEMBERS[name] for name in few})
    monkeypatch.setattr(multitask, "SHIPPED", {"default": (few,), "one charge": (("ridge",),), "ridge": (("ridge",),)})
    for way, settings in train_network.WAYS.items():
        monkeypatch.setitem(train_network.WAYS, way, replace(settings, **small))


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "sets"
    place.mkdir()
    charge_ends.write(place / "xjtu.csv", CELLS, fade=0.002)
    return place


def test_cells_left_out_are_scored_by_every_method_in_three_targets(folder, quick):
    found = multitask.evaluate(folder, Options("multitask", folds=3))
    assert [cases.target for cases in found] == ["capacity_ah", "rul_cycle", "dccr"]
    soh, rul, _ = (score(cases) for cases in found)
    assert soh[0].method == "default"
    assert soh[0].rmse < 1.0
    assert rul[0].mae < 10
    ways = {f"network, {way}" for way in ("weighed", "tied", "reversal", "crossing")}
    assert {"one charge", "ridge", *ways} <= {s.method for s in rul}


def test_rul_asks_for_cycles_left_alone_and_soh_for_a_capacity(folder, quick):
    assert {c.target for c in multitask.evaluate(folder, Options("rul", folds=3, alone=True))} == {"rul_cycle"}
    (soh,) = multitask.soh_cases(folder, Options("soh", folds=3, seeds=1, alone=True))
    assert soh.points_of == 2.0
    assert list(soh.said) == ["default"]
    assert np.nanmax(np.abs(soh.said["default"].mean - soh.truth)) < 0.1


def test_what_is_shipped_answers_for_other_cells_with_labels_or_without(folder, quick, tmp_path, monkeypatch):
    multitask.train(folder, tmp_path / "weights", 0, lambda _: None)
    monkeypatch.setattr(multitask, "WEIGHTS", tmp_path / "weights")
    other = tmp_path / "other"
    other.mkdir()
    charge_ends.write(other / "kept_xjtu.csv", {"x": 90, "y": 90, "z": 90}, fade=0.002, capacity="absent", seed=5)
    found = multitask.evaluate(other, Options("multitask"))
    assert score(found[0]) == []
    write(tmp_path / "p.csv", found)
    rows = polars.read_csv(tmp_path / "p.csv")
    assert rows["predicted"].is_not_null().all()
    assert set(rows["target"]) == {"capacity_ah", "rul_cycle", "dccr"}
    assert "## Cells left out" in (tmp_path / "weights" / "CARD.md").read_text(encoding="utf-8")


def test_a_cell_that_is_first_seen_late_is_judged_by_the_charge_alone(folder, quick, tmp_path, monkeypatch):
    multitask.train(folder, tmp_path / "weights", 0, lambda _: None)
    monkeypatch.setattr(multitask, "WEIGHTS", tmp_path / "weights")
    late = tmp_path / "late"
    late.mkdir()
    polars.read_csv(folder / "xjtu.csv").filter(polars.col("row") > 40).write_csv(late / "xjtu.csv")
    soh = multitask.evaluate(late, Options("multitask"))[0]
    assert (soh.said["default"].mean == soh.said["one charge"].mean).all()


def test_the_service_and_the_table_say_the_same(folder, quick, tmp_path, monkeypatch):
    multitask.train(folder, tmp_path / "weights", 0, lambda _: None)
    monkeypatch.setattr(multitask, "WEIGHTS", tmp_path / "weights")
    soh = multitask.soh_cases(folder, Options("soh"))[0]
    table = polars.read_csv(folder / "xjtu.csv").filter(polars.col("cell") == "2C_battery-1")
    x, row = table.select(NAMES).to_numpy(), table["row"].to_numpy()
    known = estimate.load(tmp_path / "weights" / multitask.FILE)
    assert known.ask("xjtu", x, row)["soh"].mean * 2.0 == pytest.approx(soh.said["default"].mean[:90])
    assert known.ask("xjtu", x[50:51])["soh"].mean * 2.0 == pytest.approx(soh.said["one charge"].mean[50:51])


def test_a_folder_without_a_name_that_is_known_is_refused(tmp_path):
    charge_ends.write(tmp_path / "someone.csv", {"a": 20})
    with pytest.raises(UsageError, match="no row that can be used"):
        multitask.evaluate(tmp_path, Options("multitask"))


def test_rows_left_keep_their_deviation_above_zero_near_the_end():
    answer = model.Answer(np.array([-1.0, 0.0, 10.0]), np.full(3, 0.5), np.ones(3, bool))
    told = model.told("rul_cycle", answer)
    assert told.mean.tolist() == [0.0, 0.0, 100.0]
    assert (told.std > 0).all()


def test_a_search_leaves_settings_and_what_they_are_worth_on_cells_that_chose_nothing(folder, monkeypatch, tmp_path):
    pytest.importorskip("optuna", reason="Optuna is not installed: pip install 'bmsd[train]'")
    for name, choice in {"steps": (10, 20), "units": (4, 8)}.items():
        monkeypatch.setitem(search.CHOICES, name, choice)
    said = []
    settings_found(folder, tmp_path / "work", 2, 0, said.append)
    found = yaml.safe_load((tmp_path / "work" / "searched.yaml").read_text(encoding="utf-8"))["xjtu"]
    assert found["steps"] in (10, 20)
    assert found["found_error"] > 0 < found["usual_error"]
    assert sum("trial" in line for line in said) == 2
