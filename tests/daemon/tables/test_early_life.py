import os
from pathlib import Path

import numpy as np
import polars
import pytest

from daemon.errors import UsageError
from daemon.tables.capacity_trajectory import read
from daemon.tables.cases import Options, score, write
from daemon.tables.early_life import evaluate

DATA = Path(os.environ.get("BMSD_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "tbsi-sunwoda-capacity"
OPTIONS = Options("early-life", alone=True)


def table(cells):
    """Make rows of {name: (temperature, speed, cycles)}."""
    frames = []
    for seed, (name, (temperature, speed, cycles)) in enumerate(cells.items()):
        n = np.arange(1, cycles + 1)
        capacity = 1.1 - speed * n / 1000 + np.random.default_rng(seed).normal(0, 5e-4, cycles)
        columns = {"cell": name, "ambient_temperature_celsius": temperature, "cycle": n, "capacity_ah": capacity}
        frames.append(polars.DataFrame(columns))
    return polars.concat(frames)


CELLS = {
    "a": (20, 0.15, 900), "b": (20, 0.16, 900), "c": (50, 0.35, 800), "d": (50, 0.37, 800),
    "e": (35, 0.24, 900), "f": (35, 0.25, 200), "g": (35, 0.25, 60),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    table(CELLS).write_csv(tmp_path / "any name.csv")
    polars.DataFrame({"other": [1]}).write_csv(tmp_path / "notes.csv")
    return tmp_path


def ask(folder, **more):
    return evaluate(folder, Options("early-life", sources=(20.0, 50.0), **{"alone": True, **more}))


def test_cells_that_are_cut_are_foreseen_to_cycle_1000_and_whole_ones_are_scored(folder, tmp_path):
    (cases,) = ask(folder)
    rows = cases.identity.with_columns(horizon=cases.horizon, truth=cases.truth)
    assert rows.group_by("cell").len().sort("cell")["len"].to_list() == [800, 800]
    assert rows["cycle"].unique().to_list() == [200]
    assert rows["horizon"].min() == 1
    assert rows.filter(polars.col("cell") == "f")["truth"].is_nan().all()
    (one,) = score(cases)
    assert one.cases == 700
    assert one.mape_percent < 1.0
    assert cases.unscored == ("g: fewer than 200 cycles are told",)
    write(tmp_path / "p.csv", [cases])
    written = polars.read_csv(tmp_path / "p.csv")
    assert {"cell", "cycle", "target", "horizon", "truth", "predicted", "predicted_std"} <= set(written.columns)
    assert written["predicted"].null_count() == 0


def test_later_capacities_of_a_target_are_not_looked_at(folder):
    whole = ask(folder)[0].said["early-life"].mean
    rows = polars.read_csv(folder / "any name.csv")
    later = (polars.col("ambient_temperature_celsius") == 35) & (polars.col("cycle") > 200)
    spoilt = polars.when(later).then(None).otherwise(polars.col("capacity_ah"))
    rows.with_columns(capacity_ah=spoilt).write_csv(folder / "any name.csv")
    np.testing.assert_array_equal(ask(folder)[0].said["early-life"].mean, whole)


def test_each_seed_leaves_out_other_cells(folder):
    found = ask(folder, folds=2, seeds=3)
    assert [c.name[-6:] for c in found] == ["seed 0", "seed 1", "seed 2"]
    assert len({float(c.said["early-life"].mean.sum()) for c in found}) > 1


def test_plain_ways_stand_beside_ours(folder):
    (cases,) = ask(folder, alone=False)
    names = [s.method for s in score(cases)]
    assert names == [
        "early-life", "hold", "line", "warped 20 °C", "warped 50 °C", "acceleration factors", "Gaussian process"
    ]  # fmt: skip


def test_a_folder_without_sources_is_served_by_what_the_package_knows(tmp_path):
    table({"e": (35, 0.2, 200)}).write_csv(tmp_path / "capacity.csv")
    (cases,) = evaluate(tmp_path, OPTIONS)
    assert np.isfinite(cases.said["early-life"].mean).all()
    with pytest.raises(UsageError, match="known whole"):
        evaluate(tmp_path, Options("early-life", sources=(5.0,)))


def test_a_wrong_folder_or_question_says_what_is_missing(folder, tmp_path_factory):
    with pytest.raises(UsageError, match="no table of capacities"):
        read(tmp_path_factory.mktemp("empty"))
    with pytest.raises(UsageError, match="too few"):
        ask(folder, known_cycles=20)
    with pytest.raises(UsageError, match="known whole"):
        ask(folder, known_cycles=880)
    with pytest.raises(UsageError, match="1 folds"):
        ask(folder, folds=1)
    table({n: c for n, c in CELLS.items() if n not in "ef"}).write_csv(folder / "any name.csv")
    with pytest.raises(UsageError, match="no cell has"):
        ask(folder)


def test_what_cannot_be_read_is_named_and_the_rest_is_foreseen(folder):
    before = ask(folder)[0].said["early-life"].mean
    (folder / "empty.csv").write_text("")
    with (folder / "any name.csv").open("a") as file:
        file.write("e,35,7,0\n,35,8,1\ne,warm,x,1\nh,warm,1,1\n")
    (cases,) = ask(folder)
    np.testing.assert_array_equal(cases.said["early-life"].mean, before)
    said = "; ".join(cases.unscored)
    for reason in (
        "empty.csv",
        "no cell",
        "cycle is no whole number from 0 to 999999",
        "h, cycle 1: no ambient",
        "e, cycle 7: told",
    ):
        assert reason in said


@pytest.mark.skipif(not DATA.is_dir(), reason="no capacity trajectories under $BMSD_DATA")
def test_measured_cells_of_two_temperatures_are_foreseen_within_two_percent():
    scores = [s for cases in evaluate(DATA, OPTIONS) for s in score(cases)]
    assert len(scores) == 2
    assert np.mean([s.mape_percent for s in scores]) < 1.0
    assert np.mean([s.held_percent for s in scores]) > 85


def test_a_family_of_one_s_own_cells_is_kept(folder, tmp_path):
    pytest.importorskip("sklearn")
    from estimators.early_life.estimate import family
    from estimators.early_life.train import train_family

    said = []
    of = {t: [v.told() for v in read(folder).lives if v.temperature_celsius == t] for t in (20.0, 50.0)}
    train_family(of, tmp_path / "own", said.append)
    assert [s.cells for s in family(tmp_path / "own")] == [2, 2]
    assert said[0].startswith("20 degrees: 2 cells, 900 cycles")
