from functools import partial

import numpy as np
import pytest

from estimators.imodel.features import inputs
from estimators.imodel.train import (
    FEW,
    NOW,
    USE_WEIGHS,
    Candidate,
    Menu,
    by_condition,
    choose,
    learn,
    plain,
    slim,
    thin,
)
from estimators.regression.fit import boosting, ridge, svr
from tests.estimators.imodel.made_up import NCA, rows

RANDOM = np.random.default_rng(0)
CELL = np.repeat([f"c{i}" for i in range(10)], 30)
GROUP = np.repeat(np.arange(10) % 2, 30)


def test_the_mean_that_is_nearest_on_cells_left_out_is_kept():
    x = RANDOM.normal(size=(300, 3))
    y = x @ [0.03, 0.02, 0.01] + 0.001 * RANDOM.normal(size=300)
    members = {"ridge": Candidate(ridge, 30), "coarse": Candidate(partial(svr, width=2.0), 30)}
    found = choose(x, y, CELL, GROUP, Menu(members, (("coarse",), ("ridge",), ("ridge", "coarse")), 0.01))
    assert found.chosen == ("ridge",)
    assert found.rmse < 0.01


def test_how_a_cell_is_used_weighs_more_than_what_is_seen_of_it():
    x = RANDOM.normal(size=(300, 3))
    y = 0.01 * x[:, 1]
    menu = Menu({"ridge": Candidate(ridge, 30)}, (("ridge",),), 0.01)
    found = choose(x, y, CELL, GROUP, menu, conditions=1)
    apart = found.model.inputs.scale(np.eye(3) - 1.0)
    usual = choose(x, y, CELL, GROUP, menu).model.inputs.scale(np.eye(3) - 1.0)
    assert (apart / usual)[0] == pytest.approx([USE_WEIGHS, 1.0, 1.0])


def test_of_a_few_cells_no_large_model_is_learnt():
    told = []
    learn(NCA, rows(cells=3, cycles=40), ["charge"], (), told=told.append)
    assert set(told[0].members) <= set(FEW.candidates)


def test_conditions_whose_cells_are_farther_off_get_wider_deviations():
    factor = by_condition(np.where(GROUP == 0, 1.0, 3.0), CELL, GROUP, 2)
    assert factor[1] > 1.5 * factor[0]


def test_a_kept_form_is_half_as_large_and_says_the_same():
    some = rows(cells=4, cycles=100)
    x = inputs(some.events, NCA, "both")
    scaled = (x - x.mean(0)) / np.maximum(x.std(0), 1e-9)
    form = NOW.candidates["fine svr"].fit(scaled, some.capacity_ah / 3.5, 0)
    assert slim(form).points.nbytes <= form.points.nbytes / 4
    assert slim(form).predict(scaled) == pytest.approx(form.predict(scaled), abs=2e-3)


def test_kept_trees_are_smaller_and_say_the_same():
    x = RANDOM.normal(size=(400, 3))
    form = boosting(x, x[:, 0] ** 2, trees=20)
    kept = slim(form)
    assert kept.feature.nbytes == form.feature.nbytes / 4
    assert kept.predict(x) == pytest.approx(form.predict(x), abs=1e-6)


def test_rows_of_a_cell_are_thinned_evenly():
    kept = np.flatnonzero(thin(CELL, 4))[:4]
    assert kept.tolist() == [0, 9, 19, 29]


def test_what_is_learnt_is_told_and_each_plain_method_stands_alone():
    told = []
    some = rows(cells=4, cycles=60)
    learn(NCA, some, ["rest"], (10,), told=told.append)
    assert [(f.variant, f.horizon, f.cells) for f in told] == [("rest", 0, 4), ("rest", 10, 4)]
    assert "10 cycles ahead" in str(told[1])
    alone = plain(NCA, some, "rest", horizons=(10, 10_000))
    assert {"ridge", "boosting"} == set(alone)
    assert all(set(one.later["rest"]) == {10} for one in alone.values())
