from dataclasses import replace

import numpy as np
import pytest

from estimators.check import Capacities, Evidence, Facts, History, Recording, Refusal, Standing, Trigger, Use, ask
from estimators.imodel.check import ASKED, RestCheck, noise_volt
from estimators.imodel.estimate import save
from estimators.imodel.features import VARIANTS
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


def evidence(
    share=SHARE, celsius=25.0, ampere=1.75, volts=(3.55, 4.2), rest_minutes=30, noise_volt=(0.0, 0.0), **changes
):
    """A charge at half a C-rate whose voltage rises in a straight line with charge, and the rest after it."""
    random = np.random.default_rng(5)
    volt = np.linspace(*volts, 2000)
    charge_ah = 0.6 * 3.5 * share * (volt - 3.55) / 0.55
    charge = recording(charge_ah / ampere * 3600.0, volt + noise_volt[0] * random.normal(size=2000), ampere, celsius)
    second = np.arange(0.0, 60.0 * rest_minutes)
    fallen = 4.19 - 0.01 * (1.5 - share) * np.log1p(np.maximum(second / 120.0, 1e-3))
    rest = recording(second, fallen + noise_volt[1] * random.normal(size=len(second)), 0.0, celsius)
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


@pytest.mark.parametrize("poor", [evidence(rest_minutes=4), evidence(noise_volt=(0.001, 0.01))])
def test_without_enough_rest_or_with_a_noisy_one_the_charge_alone_is_asked(check, poor):
    report = ask(check, poor)
    assert report.values["capacity_ah"] == pytest.approx(SHARE * 3.5, abs=0.05)
    assert report.model == check.model.replace("charge-rest-", "charge-")


def test_the_report_s_model_tells_what_was_asked(check):
    weights_id = check.model.removeprefix("charge-rest-")
    assert ask(check, evidence()).model == f"charge-rest-{weights_id}"
    assert ask(check, evidence(volts=(3.9, 4.2))).model == f"rest-{weights_id}"
    assert ASKED.keys() == set(VARIANTS)


def test_a_charge_whose_voltage_was_held_at_the_end_was_full(check):
    full = evidence(volts=(3.55, 4.17))
    held = replace(recording(np.arange(900.0), 4.2 * np.ones(900), 0.2), begin_second=1.0)
    assert ask(check, replace(full, constant_voltage=held)).refused is None
    older = replace(held, begin_second=-9_000.0)  # of a charge before
    report = ask(check, replace(full, constant_voltage=older))
    assert report.refused == Refusal.NOT_FULL_CHARGE
    assert report.quality["ended_volt"] == pytest.approx(4.17)


def test_a_recording_s_noise_is_measured_whatever_its_voltage_does():
    random = np.random.default_rng(2)
    second = np.arange(0.0, 1_800.0, 8.0)
    volt = 4.17 - 0.01 * np.log1p(second / 120.0)
    assert noise_volt(recording(second, volt, 0.0)) < 1e-4
    assert noise_volt(recording(second, volt + 0.002 * random.normal(size=len(second)), 0.0)) == pytest.approx(
        0.002, rel=0.2
    )
    assert noise_volt(recording(second, np.round(volt / 0.005) * 0.005, 0.0)) == pytest.approx(0.00144, rel=0.01)
    assert np.isnan(noise_volt(recording(second[:5], volt[:5], 0.0)))


def test_a_charge_at_a_rate_never_trained_is_out_of_domain(check):
    assert not ask(check, evidence(ampere=3.5)).in_domain


@pytest.mark.parametrize(
    ("poor", "reason"),
    [
        (evidence(celsius=10.0), Refusal.TEMPERATURE_OUT_OF_DOMAIN),
        (evidence(volts=(3.9, 4.2), rest_minutes=4), Refusal.WINDOW_NOT_COVERED),
        (evidence(volts=(3.55, 3.9)), Refusal.NOT_FULL_CHARGE),
        (evidence(volts=(3.55, 4.13)), Refusal.NOT_FULL_CHARGE),
        (evidence(volts=(3.9, 4.2), noise_volt=(0.0, 0.002)), Refusal.NOISY),
        (evidence(noise_volt=(0.01, 0.01)), Refusal.NOISY),
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


def measured(ampere_hours=2.98, cycle=40.0, c_rate=1.0, celsius=29.0, complete=40):
    """What the discharge before gave, and how."""
    one = np.ones(2)
    kept = Capacities(np.array([2.0, cycle]), ampere_hours * one, c_rate * one, celsius * one, complete)
    return replace(evidence(), history=History(capacities=kept))


def test_what_is_to_come_begins_at_a_capacity_that_was_measured_just_before(check):
    plain = ask(check, evidence())
    off = 2.0 * plain.std["capacity_ah"]
    anchored = ask(check, measured(plain.values["capacity_ah"] + off))
    ahead = {name: np.array(report.trajectories["capacity_ah"]) for name, report in (("a", anchored), ("p", plain))}
    np.testing.assert_allclose(ahead["a"], ahead["p"] + off)
    assert anchored.trajectories["capacity_ah_std"] == plain.trajectories["capacity_ah_std"]
    assert anchored.values["capacity_ah"] == plain.values["capacity_ah"]
    assert anchored.quality["measured_ah"] == pytest.approx(plain.values["capacity_ah"] + off)


@pytest.mark.parametrize(
    "other",
    [measured(2.0), measured(complete=42), measured(c_rate=0.5), measured(celsius=20.0), measured(celsius=45.0)],
)
def test_a_capacity_that_is_old_or_of_another_use_or_cannot_be_moves_nothing(check, other):
    assert ask(check, other).trajectories == ask(check, evidence()).trajectories
