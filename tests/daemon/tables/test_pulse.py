"""Tables of pulse tests: read, scored by weights, learnt anew; one that is damaged or unknown is named."""

import os
from pathlib import Path

import numpy as np
import polars
import pytest

from daemon.cli import main
from daemon.errors import UsageError
from daemon.tables import pulse
from daemon.tables.cases import Options, score
from daemon.tables.pulse_generation import LEVELS, TASKS, _mean_of, _methods, generation, grid
from daemon.tables.pulse_tests import read_folder
from estimators.pulse.estimate import WEIGHTS, PulseModels
from estimators.regression.regression import Answer, load
from tests.estimators.pulse.made_up import table

DATA = (
    Path(os.environ.get("BMSD_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "pulsebat-retired-pulse"
)


def frame(cells=8, points=21, seed=0):
    volt, soh, soc, cell = table(cells=cells, points=points, seed=seed)
    return polars.DataFrame({"cell": cell, "nominal_capacity_ah": 10.0, "soh": soh, "nominal_soc_percent": soc}).hstack(
        polars.DataFrame(volt, schema=[f"u{k}_volt" for k in range(1, points + 1)])
    )


@pytest.fixture
def folder(tmp_path):
    where = tmp_path / "tests"
    where.mkdir()
    frame().write_csv(where / "lmo_10ah_width_5000ms.csv")
    return where


def test_a_table_is_read_and_rows_that_cannot_be_are_named(folder):
    broken = frame().with_columns(u7_volt=polars.when(polars.int_range(80) == 3).then(None).otherwise("u7_volt"))
    broken.write_csv(folder / "lmo_10ah_width_5000ms.csv")
    (one,) = read_folder(folder)
    assert str(one.configuration) == "lmo_10ah_5000ms"
    assert len(one) == 79
    assert one.unread == ("lmo_10ah_width_5000ms.csv, line 5: a voltage is missing or impossible",)


def test_a_folder_without_such_tables_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no pulse tests"):
        read_folder(tmp_path)


def test_damaged_tables_are_named_and_the_others_read(folder):
    frame().drop("u9_volt").write_csv(folder / "lfp_20ah_width_5000ms.csv")
    (folder / "nmc_21ah_width_5000ms.csv.gz").write_bytes(b"\x1f\x8b damaged")
    (one,) = read_folder(folder)
    assert str(one.configuration) == "lmo_10ah_5000ms"
    assert one.unread[0].startswith("lfp_20ah_width_5000ms.csv: no column u9_volt")
    assert one.unread[1].startswith("nmc_21ah_width_5000ms.csv.gz: it cannot be read")
    (folder / "lmo_10ah_width_5000ms.csv").unlink()
    with pytest.raises(UsageError, match="no pulse tests") as caught:
        read_folder(folder)
    assert "u9_volt" in caught.value.mend


def test_what_is_learnt_is_better_than_the_mean_and_sure_as_it_says(folder):
    cases, *made_up = pulse.evaluate(folder, Options("pulse", folds=3, seeds=2, alone=True))
    assert len(cases.truth) == 160
    assert [list(c.said) for c in made_up] == [["ours"]] * len(TASKS)
    assert [set(c.identity["levels"]) for c in made_up] == [{task.name} for task in TASKS]
    assert "2 draws" in cases.name
    (ours,) = score(cases)
    assert ours.method == "varying"
    assert ours.mape_percent < 5.0
    told, *_ = pulse.evaluate(folder, Options("pulse", folds=3, soc="known", alone=True))
    assert np.isfinite(told.said["varying"].mean).all()


def test_every_plain_method_stands_in_the_table(folder):
    whole, *rest = pulse.evaluate(folder, Options("pulse", folds=2))
    assert {"varying", "mean", "ridge", "svr", "trees", "gaussian process + line"} <= set(whole.said)
    assert [task.name in cases.name for task, cases in zip(TASKS, rest, strict=True)] == [True, True]


def test_a_configuration_that_nobody_trained_is_named_and_gets_no_number(folder):
    (folder / "lmo_10ah_width_5000ms.csv").rename(folder / "lto_40ah_width_3000ms.csv")
    frame().drop("nominal_capacity_ah", "soh").write_csv(folder / "lto_40ah_width_3000ms.csv")
    (cases,) = pulse.evaluate(folder, Options("pulse"))
    assert any("unknown_configuration lto_40ah_3000ms" in reason for reason in cases.unscored)
    assert np.isnan(cases.said["varying"].mean).all()
    assert score(cases) == []


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="no weights: bmsd train pulse")
@pytest.mark.parametrize("soc", ["known", "unknown"])
def test_shipped_weights_answer_a_folder_without_labels(folder, tmp_path, soc):
    frame().drop("soh").write_csv(folder / "lmo_10ah_width_5000ms.csv")
    out = tmp_path / "p.csv"
    assert main(["evaluate", "pulse", "--data", str(folder), "--soc", soc, "--predictions", str(out)]) == 0
    rows = polars.read_csv(out)
    assert len(rows) == 80
    assert rows["target"].unique().to_list() == ["soh"]
    assert rows["predicted"].is_finite().all()
    assert rows["truth"].null_count() == 80
    assert {"cell", "nominal_soc_percent", "predicted_std"} <= set(rows.columns)


def test_training_leaves_weights_that_say_what_the_models_said_and_a_card(folder, tmp_path):
    frame(points=41, seed=1).write_csv(folder / "inf_lfp_20ah_width_1000ms.csv")
    said = []
    pulse.train(folder, tmp_path / "out", 0, said.append)
    models = PulseModels(load(tmp_path / "out" / "pulse.safetensors")[0])
    assert list(map(str, models.known())) == ["lfp_10ah_1000ms", "lmo_10ah_5000ms"]  # the column rules, not the name
    (tests,) = [t for t in read_folder(folder) if t.configuration.chemistry == "lmo"]
    assert models.view(tests.configuration, 21) == "short"
    answer = models.say(tests.voltage_volt, tests.configuration, "short")
    assert np.abs(answer.mean - tests.soh).mean() < 0.02
    assert "lfp_10ah_1000ms whole" in (tmp_path / "out" / "CARD.md").read_text()
    assert "wrote" in said[-1]


def test_cells_lie_on_the_grid_of_levels_and_each_asked_level_gets_a_number(folder):
    (tests,) = read_folder(folder)
    whole = grid(tests)
    assert whole.volt.shape == (8, len(LEVELS), 21)
    for cases in generation(tests, Options("pulse", folds=2, soc="unknown")):
        assert len(cases.truth) == 8 * len(TASKS[int("between" in cases.name)].asked)
        assert np.isfinite(cases.said["ours"].mean).all()


@pytest.mark.parametrize("soc", ["known", "unknown"])
def test_beyond_the_known_levels_ours_is_better_than_to_make_nothing(folder, soc):
    (tests,) = read_folder(folder)
    whole = grid(tests)
    (task,) = (t for t in TASKS if t.beyond)
    methods = _methods(task, soc)
    said = [methods[name](whole, whole.volt[:, task.asked], 0) for name in ("ours", "nothing generated, varying")]
    truth = np.repeat(whole.soh, len(task.asked))
    off = [np.abs(answer.mean - truth).mean() for answer in said]
    assert off[0] < off[1]


def test_several_that_disagree_are_less_sure_together_than_each_alone():
    here = np.ones(1, bool)
    told = [Answer(np.array([mean]), np.array([0.01]), here) for mean in (0.7, 0.9)]
    joined = _mean_of(*(lambda *_, a=a: a for a in told))(None, None, 0)
    assert joined.mean == pytest.approx(0.8)
    assert joined.std == pytest.approx(np.hypot(0.01, 0.1))


@pytest.mark.skipif(not DATA.is_dir(), reason="no pulse tests under $BMSD_DATA")
def test_the_published_tables_hold_the_cells_that_their_readme_tells_of():
    found = {t.name: t for t in read_folder(DATA)}
    assert len(np.unique(found["nmc_2.1ah_width_5000ms"].cell)) <= 12
    assert all(not t.unread for t in found.values())
    assert str(found["inf_lfp_68ah_width_100ms"].configuration) == "lfp_68ah_100ms"
