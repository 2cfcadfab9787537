import numpy as np
import polars
import pytest

from daemon.errors import UsageError
from daemon.tables import cycles_left, health, trajectory
from daemon.tables.cases import Options, score, write
from tests.daemon.tables.relaxation_files import lsd_like, zhu_like

FOLDS = Options("soh", folds=3, alone=True)


def folder(tmp_path, **frames):
    for name, frame in frames.items():
        frame.write_csv(tmp_path / f"{name}.csv")
    return tmp_path


def test_soh_of_cells_that_trained_nothing_is_scored_in_points(tmp_path):
    (cases,) = health.evaluate(folder(tmp_path, cells=zhu_like(6, 20)), FOLDS)
    (only,) = score(cases)
    assert only.set == "nca, unseen cells, in points of 3.5"
    assert only.cases == 6 * 20
    assert only.rmse < 1.0
    assert only.in_domain_percent > 95


def test_only_measured_capacities_are_learnt_from_and_scored(tmp_path):
    (cases,) = health.evaluate(folder(tmp_path, cells=lsd_like(6)), FOLDS)
    assert set(cases.identity["cycle"].to_numpy() % 5) == {1}


def test_a_condition_never_trained_is_out_of_domain(tmp_path):
    three = ((25.0, 0.5), (45.0, 0.5), (25.0, 1.0))
    found = health.evaluate(folder(tmp_path, cells=zhu_like(9, 12, three)), Options("soh", folds=2))
    (away,) = [c for c in found if "never trained" in c.name]
    assert not away.said["service"].in_domain.any()


def test_another_make_is_asked_with_and_without_labels_however_few_its_cells(tmp_path):
    mixed = zhu_like(2, 12, nominal=2.5, points=119)
    found = health.evaluate(folder(tmp_path, nca=zhu_like(6, 12), ncm_nca=mixed), Options("soh", folds=2))
    bare, few = (c for c in found if "nca to ncm_nca" in c.name)
    assert len(bare.truth) == len(few.truth) == 24
    assert np.isfinite(few.said["ridge on the labels, from the charge alone"].mean).all()


def test_later_capacities_are_asked_of_each_row_alone_and_written(tmp_path):
    options = Options("trajectory", folds=2, horizons=(5, 20), alone=True)
    found = trajectory.evaluate(folder(tmp_path, cells=zhu_like(6, 60)), options)
    write(tmp_path / "out" / "p.csv", found)
    rows = polars.read_csv(tmp_path / "out" / "p.csv")
    assert set(rows["horizon"]) == {5, 20}
    one = rows.filter(cell="CY25-0", cycle=10, horizon=20)
    assert one["truth"][0] == pytest.approx(3.5 * (0.95 - 0.002 * 30))
    assert one["predicted"][0] == pytest.approx(one["truth"][0], abs=0.1)
    assert rows.filter(cell="CY25-0", cycle=50, horizon=20)["truth"][0] is None


@pytest.mark.parametrize("model", [health, trajectory, cycles_left])
def test_too_few_cells_to_learn_anew_from_are_refused(tmp_path, model):
    with pytest.raises(UsageError, match="too few cells") as caught:
        model.evaluate(folder(tmp_path, cells=zhu_like(3)), FOLDS)
    assert "nca: 3 cells" in caught.value.mend


def test_a_kind_with_too_few_cells_is_named_beside_one_with_enough(tmp_path):
    where = folder(tmp_path, cells=zhu_like(6, 12), ncm=zhu_like(2, 5))
    (cases,) = health.evaluate(where, FOLDS)
    assert any(reason.startswith("ncm: 2 cells") for reason in cases.unscored)


@pytest.mark.parametrize("name", ["trajectory", "imodel"])
def test_beyond_the_last_horizon_that_was_learnt_there_is_no_answer_and_it_is_said_once(tmp_path, name):
    where = folder(tmp_path, cells=zhu_like(1, 5))
    (cases,) = trajectory.evaluate(where, Options(name, horizons=(0, 150, 155, 300), alone=True))
    (said,) = cases.said.values()
    assert np.isfinite(said.mean).reshape(5, 4).tolist() == 5 * [[True, True, False, False]]
    assert np.isnan(said.std[~np.isfinite(said.mean)]).all()
    assert cases.unscored == ("no answer beyond 150 cycles ahead",)
    with pytest.raises(UsageError, match="no answer beyond 150"):
        trajectory.evaluate(where, Options(name, horizons=(200, 300)))


def test_training_without_the_sets_says_which_are_wanted(tmp_path):
    with pytest.raises(UsageError, match="no set to learn from"):
        health.train(tmp_path, tmp_path / "out", 0, print)


def test_weights_that_are_shipped_answer_for_other_cells_without_labels(tmp_path):
    frame = zhu_like(2).drop("discharge_capacity_ah")
    (cases,) = health.evaluate(folder(tmp_path, strange=frame), Options("soh", alone=True))
    assert np.isnan(cases.truth).all()
    assert np.isfinite(cases.said["service"].mean).all()


def test_the_mixture_of_experts_is_asked_by_its_own_name_beside_the_service_s_model(tmp_path):
    where = folder(tmp_path, strange=zhu_like(2, 20))
    (asked,) = trajectory.evaluate(where, Options("imodel", horizons=(10,)))
    (default,) = trajectory.evaluate(where, Options("trajectory", horizons=(10,)))
    assert next(iter(asked.said)) == "mixture of experts"
    assert next(iter(default.said)) == "service"
    assert {"line", "cubic", "hold, capacity measured", "its gate shown another row"} <= set(default.said)
