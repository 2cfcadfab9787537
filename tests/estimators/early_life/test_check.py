"""The check of a cell's first cycles, on a cell that lives as the known ones do."""

from dataclasses import replace

import numpy as np
import pytest

from estimators.check import Capacities, Evidence, Facts, History, Refusal, Standing, Trigger, ask
from estimators.early_life.check import FirstCyclesCheck
from estimators.early_life.estimate import family
from estimators.early_life.transfer import extended

FACTS = Facts("prototype", "nmc", 1.1, 2.5, 4.2)
CHECK = FirstCyclesCheck()
COLD, WARM = family()
NOISE = np.random.default_rng(0).normal(0.0, 5e-4, 1_000)
LIFE = 1.1 * (1.0 - 0.5 * extended(COLD.loss, 1_000) - 0.5 * extended(WARM.loss, 1_000)) + NOISE


def evidence(cycles=250, every=1, facts=FACTS, celsius=38.0, besides=1.0, **changed):
    cycle = np.arange(1.0, cycles + 1.0, every)
    one = np.ones(len(cycle))
    measured = Capacities(cycle, LIFE[cycle.astype(int) - 1], one, celsius * one)
    standing = Standing(equivalent_full_cycles=besides * cycles)
    return Evidence(Trigger.CAPACITY, 0.0, 1.0, False, facts, standing, history=History(replace(measured, **changed)))


def test_the_first_cycles_tell_the_later_ones():
    report = ask(CHECK, evidence())
    assert report.refused is None
    assert report.in_domain
    ahead = {name: np.array(values) for name, values in report.trajectories.items()}
    assert ahead["horizon_cycle"].tolist() == [*range(10, 751, 10)]
    true = LIFE[249 + ahead["horizon_cycle"].astype(int)]
    assert np.abs(ahead["capacity_ah"] / true - 1.0).mean() < 0.02
    assert (np.abs(ahead["capacity_ah"] - true) < 2.0 * ahead["capacity_ah_std"]).mean() > 0.9
    assert report.values["capacity_ah"] == ahead["capacity_ah"][-1]
    assert LIFE[249 + int(report.values["rul_cycle"])] == pytest.approx(0.8 * 1.1, abs=0.02)


def test_what_was_thinned_tells_nearly_the_same():
    all_of_them, some = (ask(CHECK, evidence(every=every)).values["capacity_ah"] for every in (1, 4))
    assert some == pytest.approx(all_of_them, rel=0.005)


def test_capacities_at_another_rate_are_left_out():
    rate, ah = np.ones(250), LIFE[:250].copy()
    rate[::20], ah[::20] = 0.3, 1.2
    assert ask(CHECK, evidence(c_rate=rate, capacity_ah=ah)).values["capacity_ah"] == pytest.approx(
        ask(CHECK, evidence()).values["capacity_ah"], rel=0.005
    )


def test_a_cell_that_works_between_its_full_cycles_is_out_of_domain():
    assert not ask(CHECK, evidence(besides=1.5)).in_domain


@pytest.mark.parametrize(
    ("poor", "reason"),
    [
        (evidence(cycles=199), Refusal.HISTORY_TOO_SHORT),
        (evidence(every=50), Refusal.HISTORY_TOO_SHORT),
        (evidence(cycles=0), Refusal.HISTORY_TOO_SHORT),
        (evidence(cycles=1_000), Refusal.UNKNOWN_CONFIGURATION),
        (evidence(facts=replace(FACTS, chemistry="lfp")), Refusal.UNKNOWN_CONFIGURATION),
        (evidence(facts=replace(FACTS, nominal_capacity_ah=3.0)), Refusal.UNKNOWN_CONFIGURATION),
    ],
)
def test_poor_input_is_refused_with_its_reason(poor, reason):
    report = ask(CHECK, poor)
    assert report.refused == reason
    assert not report.values
