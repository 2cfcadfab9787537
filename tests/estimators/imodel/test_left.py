from dataclasses import replace

import numpy as np
import pytest

from estimators.imodel.estimate import Later, load, save, trajectory
from estimators.imodel.left import HORIZON, crossing, cycles_left
from estimators.imodel.rows import until_end
from estimators.imodel.train import learn, learn_left
from tests.estimators.imodel.made_up import NCA, rows

END_AH = 0.8 * 3.5
ALL = rows()
HELD = np.isin(ALL.cell, ["cell3", "cell4"])
ROWS, UNSEEN = ALL.pick(~HELD), ALL.pick(HELD)


@pytest.fixture(scope="module")
def known():
    return learn_left(learn(NCA, ROWS, ["both"]), ROWS, ["both"])


def test_cycles_left_of_unseen_cells_are_near_with_an_interval_that_holds_them(known):
    truth = until_end(UNSEEN, END_AH)
    told = np.isfinite(truth)
    left = cycles_left(known, UNSEEN.events)
    assert np.abs(left.cycles - truth)[told].mean() < 8.0
    assert ((left.soonest <= truth) & (truth <= left.latest))[told].mean() > 0.8
    assert (left.soonest <= left.cycles).all()
    assert (left.cycles <= left.latest).all()
    assert left.in_domain.all()


def test_a_cell_past_its_end_has_no_cycles_left(known):
    worn = UNSEEN.pick(UNSEEN.capacity_ah < END_AH - 0.1)
    assert not cycles_left(known, worn.events).cycles.any()


def test_another_planned_use_changes_the_cycles_left_and_is_of_another_domain(known):
    cold = UNSEEN.events.pick((UNSEEN.events.temperature_celsius == 25.0) & (UNSEEN.capacity_ah > 3.0))
    as_now, warm = (cycles_left(known, cold, planned=cold.use + np.array([more, 0.0, 0.0])) for more in (0.0, 20.0))
    assert as_now.cycles == pytest.approx(cycles_left(known, cold).cycles)
    assert as_now.in_domain.all()
    assert not warm.in_domain.any()
    assert warm.cycles.mean() > 1.2 * as_now.cycles.mean()  # the warm cells fade half as fast


def test_where_too_few_cells_reached_their_end_the_trajectory_tells(known):
    few = ALL.pick(np.isin(ALL.cell, ["cell0", "cell1"]))
    unlearnt = learn_left(learn(NCA, few, ["both"]), few, ["both"])
    assert not unlearnt.left
    later = trajectory(unlearnt, UNSEEN.events, HORIZON)
    assert cycles_left(unlearnt, UNSEEN.events).cycles == pytest.approx(crossing(later, END_AH).cycles)


def test_without_a_charge_and_a_rest_nothing_is_known(known):
    blank = {name: np.full_like(getattr(UNSEEN.events, name), np.nan) for name in ("charge_ah", "rest_volt")}
    left = cycles_left(known, replace(UNSEEN.events, **blank))
    assert np.isnan(left.cycles).all()
    assert not left.in_domain.any()


def test_what_is_kept_says_the_same_afterwards(known, tmp_path):
    save(tmp_path / "k.safetensors", {"nca": known}, {})
    again = cycles_left(load(tmp_path / "k.safetensors")["nca"], UNSEEN.events)
    for ours, theirs in zip(again, cycles_left(known, UNSEEN.events), strict=True):
        assert (ours == theirs).all()


def test_cycles_left_are_where_the_trajectory_and_its_band_cross_the_end():
    horizon = np.array([0, 50, 100])
    mean = np.array([[3.0, 2.9, 2.7], [3.0, 2.99, 2.98], [2.5, 2.4, 2.3], [np.nan] * 3])
    left = crossing(Later(horizon, mean, np.full((4, 3), 0.05), np.ones(4, bool)), 2.8)
    assert left.cycles == pytest.approx([75.0, np.inf, 0.0, np.nan], nan_ok=True)
    assert left.soonest[0] < 75 < left.latest[0]
    assert left.soonest[1] == np.inf


def test_a_trajectory_that_ends_before_the_cell_does_goes_on_as_it_fell_but_not_for_ever():
    horizon = np.array([0, 50, 100, 150])
    mean = np.array([[3.4, 3.3, 3.2, 3.1], [3.4, 3.4, 3.4, 3.4], [2.9, 2.7, 2.6, 2.5]])
    later = Later(horizon, mean, np.full((3, 4), 0.05), np.ones(3, bool))
    left = crossing(later, 2.8, furthest=600)
    assert left.cycles == pytest.approx([300.0, 600.0, 25.0])
    assert left.soonest[0] < 250 < 350 < left.latest[0]
    assert crossing(later, 2.8).cycles[0] == np.inf
