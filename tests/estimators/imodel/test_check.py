from dataclasses import replace

import numpy as np
import pytest

from estimators.check import Evidence, Facts, History, Recording, Refusal, Standing, Trigger, Use, ask
from estimators.imodel.check import RestCheck
from estimators.imodel.estimate import save
from estimators.imodel.train import learn
from tests.estimators.imodel.made_up import NCA, rows

FACTS = Facts("made-up", "nca", 3.5, 2.5, 4.2)
SHARE = 0.85


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "capacity.safetensors"
    save(path, {"nca": learn(NCA, rows())}, {})
    return RestCheck(path)


def recording(second, volt, ampere, celsius=25.0):
    same = np.ones(len(second))
    return Recording(0.0, second, volt, ampere * same, celsius * same)


def evidence(share=SHARE, celsius=25.0, ampere=1.75, last_volt=4.2, rest_minutes=30, **changes):
    """A charge at half a C-rate whose voltage rises in a straight line with charge, and the rest after it."""
    volt = np.linspace(3.55, last_volt, 2000)
    charge_ah = 0.6 * 3.5 * share * (volt - 3.55) / 0.55
    charge = recording(charge_ah / ampere * 3600.0, volt, ampere, celsius)
    second = np.arange(0.0, 60.0 * rest_minutes)
    rest = recording(second, 4.19 - 0.01 * (1.5 - share) * np.log1p(np.maximum(second / 120.0, 1e-3)), 0.0, celsius)
    told = {"constant_current": charge, "rest": rest, "rest_after": "charge"} | changes
    return Evidence(Trigger.REST, 0.0, 1800.0, False, FACTS, Standing(), **told)


def test_a_recorded_charge_and_rest_tell_the_capacity_and_what_is_to_come(check):
    report = ask(check, evidence())
    assert report.refused is None
    assert report.in_domain
    assert report.values["capacity_ah"] == pytest.approx(SHARE * 3.5, abs=0.05)
    assert report.values["soh"] == pytest.approx(report.values["capacity_ah"] / 3.5)
    assert report.values["rul_soonest_cycle"] <= report.values["rul_cycle"] < 150
    assert report.trajectories["capacity_ah"][0] == pytest.approx(report.values["capacity_ah"])
    assert len(report.trajectories["capacity_ah_std"]) == len(report.trajectories["horizon_cycle"])


def test_without_enough_rest_the_charge_alone_is_asked(check):
    report = ask(check, evidence(rest_minutes=4))
    assert report.values["capacity_ah"] == pytest.approx(SHARE * 3.5, abs=0.05)


def test_a_charge_at_a_rate_never_trained_is_out_of_domain(check):
    assert not ask(check, evidence(ampere=3.5)).in_domain


@pytest.mark.parametrize(
    ("poor", "reason"),
    [
        (evidence(celsius=10.0), Refusal.TEMPERATURE_OUT_OF_DOMAIN),
        (evidence(last_volt=3.9, rest_minutes=4), Refusal.WINDOW_NOT_COVERED),
        (evidence(rest=None), Refusal.NOTHING_RECORDED),
        (evidence(rest_after="discharge"), Refusal.NOTHING_RECORDED),
        (evidence(rest_minutes=1), Refusal.TOO_SHORT),
        (replace(evidence(), facts=replace(FACTS, chemistry="lfp")), Refusal.UNKNOWN_CONFIGURATION),
        (replace(evidence(), facts=replace(FACTS, nominal_capacity_ah=2.9)), Refusal.UNKNOWN_CONFIGURATION),
    ],
)
def test_poor_input_is_refused_with_its_reason(check, poor, reason):
    report = ask(check, poor)
    assert report.refused == reason
    assert not report.values


def test_what_is_to_come_is_told_for_each_planned_use(check):
    facts = replace(FACTS, planned=Use(temperature_celsius=45.0))
    history = History(last_week=Use(25.5, 0.49, 1.0))
    report = ask(check, replace(evidence(), facts=facts, history=history))
    assert set(report.scenarios) == {"as_now", "last_week", "as_configured"}
    now, week, plan = (report.scenarios[name] for name in ("as_now", "last_week", "as_configured"))
    assert now.trajectories["capacity_ah"] == report.trajectories["capacity_ah"]
    assert now.use.charge_c_rate == pytest.approx(0.5, rel=0.01)
    assert (now.in_domain, week.in_domain, plan.in_domain) == (True, True, False)  # no cell was seen to change its use
    assert week.use == Use(25.5, 0.49, 1.0)
    assert plan.use == replace(now.use, temperature_celsius=45.0)  # what is not said is as now
    assert plan.trajectories["capacity_ah"][-1] > now.trajectories["capacity_ah"][-1]  # these fade more slowly there
    assert plan.values["rul_cycle"] > now.values["rul_cycle"]


def test_a_use_of_which_nothing_is_said_is_no_scenario(check):
    assert set(ask(check, evidence()).scenarios) == {"as_now"}
