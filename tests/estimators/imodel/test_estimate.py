from dataclasses import replace

import numpy as np
import pytest

from estimators.imodel.estimate import KNOTS, capacity, load, save, settle, trajectory
from estimators.imodel.rows import ahead
from estimators.imodel.train import learn
from tests.estimators.imodel.made_up import NCA, rows

ALL = rows()
HELD = np.isin(ALL.cell, ["cell3", "cell4"])
ROWS, UNSEEN = ALL.pick(~HELD), ALL.pick(HELD)


@pytest.fixture(scope="module")
def known():
    return learn(NCA, ROWS, ["both", "rest"])


def test_capacity_of_unseen_cells_is_near_and_its_interval_holds_it(known):
    said = capacity(known, UNSEEN.events)
    error = np.abs(said.mean - UNSEEN.capacity_ah)
    assert error.mean() < 0.02
    assert (error < 2 * said.std).mean() > 0.8
    assert said.in_domain.all()


def test_a_temperature_or_rate_never_trained_is_out_of_domain_and_a_small_departure_is_not(known):
    other = {"temperature_celsius": 35.0, "charge_c_rate": 1.0, "discharge_c_rate": 2.0}
    for name, value in other.items():
        changed = replace(UNSEEN.events, **{name: np.full(len(UNSEEN.cell), value)})
        assert not capacity(known, changed).in_domain.any()
    warmer = replace(UNSEEN.events, temperature_celsius=UNSEEN.events.temperature_celsius + 1.5)
    assert capacity(known, warmer).in_domain.all()
    assert capacity(known, warmer).mean == pytest.approx(capacity(known, UNSEEN.events).mean)


def test_without_a_charge_the_rest_is_asked_and_without_both_nobody(known):
    nothing = np.full_like(UNSEEN.events.charge_ah, np.nan)
    rest = replace(UNSEEN.events, charge_ah=nothing)
    assert capacity(known, rest).mean == pytest.approx(capacity(known, UNSEEN.events, "rest").mean)
    neither = replace(rest, rest_volt=np.full_like(rest.rest_volt, np.nan))
    assert np.isnan(capacity(known, neither).mean).all()
    assert not capacity(known, neither).in_domain.any()


def test_a_trajectory_begins_with_the_capacity_now_never_rises_and_is_near_the_truth(known):
    horizon = np.arange(0, 151, 5)
    later = trajectory(known, UNSEEN.events, horizon)
    assert later.mean_ah[:, 0] == pytest.approx(capacity(known, UNSEEN.events).mean)
    assert (np.diff(later.mean_ah, axis=1) <= 1e-9).all()
    truth = ahead(UNSEEN, 100)
    told = np.isfinite(truth)
    assert np.abs(later.mean_ah[told, 20] - truth[told]).mean() < 0.03


def test_a_fade_goes_on_and_is_less_and_less_sure_whatever_models_of_later_cycles_say(known):
    told = known.later["both"]
    stuck = replace(known, later={"both": {k: known.now["both"] if k > 30 else m for k, m in told.items()}})
    later = trajectory(stuck, ROWS.events, np.array([0, 30, 60, 100]))
    fades = -np.diff(later.mean_ah, axis=1) / np.array([30, 30, 40])
    fading = fades[:, 0] > 0
    assert fading.any()
    assert (fades[fading, 1] >= 0.24 * fades[fading, 0]).all()
    assert (fades[fading, 2] > 0).all()
    assert (np.diff(later.std_ah, axis=1) >= -1e-12).all()


def test_planned_use_is_a_scenario_of_another_domain_and_changes_the_fade(known):
    cold = UNSEEN.events.pick(UNSEEN.events.temperature_celsius == 25.0)
    as_now = trajectory(known, cold, KNOTS)
    warm = trajectory(known, cold, KNOTS, planned=cold.use + np.array([20.0, 0.0, 0.0]))
    assert trajectory(known, cold, KNOTS, planned=cold.use).mean_ah == pytest.approx(as_now.mean_ah)
    assert as_now.in_domain.all()
    assert not warm.in_domain.any()
    assert not np.allclose(warm.mean_ah, as_now.mean_ah)


def test_what_is_kept_says_the_same_afterwards(known, tmp_path):
    save(tmp_path / "weights" / "k.safetensors", {"nca": known}, {"seed": "0"})
    again = load(tmp_path / "weights" / "k.safetensors")["nca"]
    for ours, theirs in zip(capacity(again, UNSEEN.events), capacity(known, UNSEEN.events), strict=True):
        assert (ours == theirs).all()
    assert trajectory(again, UNSEEN.events, [7]).mean_ah == pytest.approx(trajectory(known, UNSEEN.events, [7]).mean_ah)


def test_use_is_put_onto_the_trained_condition_that_is_near():
    use, which = settle(np.array([[26.0, 0.52, 1.0], [26.0, 0.7, 1.0]]), np.array([[45.0, 0.5, 1.0], [25.0, 0.5, 1.0]]))
    assert use.tolist() == [[25.0, 0.5, 1.0], [26.0, 0.7, 1.0]]
    assert which.tolist() == [1, -1]
