"""The check of a full charge, on what the service records."""

from dataclasses import replace

import numpy as np
import pytest

from estimators.check import Discharge, Evidence, Facts, History, Recording, Refusal, Standing, Trigger, ask
from estimators.srse.check import FullChargeCheck, joined
from tests.estimators.srse.synthetic import recording

FACTS = Facts("nasa-18650", "LCO", 2.0, 2.7, 4.2)


def evidence(**what) -> Evidence:
    second, volt, ampere, celsius = (c[1:-2] for c in recording(**what))
    constant = ampere >= 0.999 * ampere.max()
    parts = []
    for rows in (constant, ~constant):
        begun = float(second[rows][0])
        parts.append(Recording(1000.0 + begun, second[rows] - begun, volt[rows], ampere[rows], celsius[rows]))
    current, voltage = parts
    seen = {"constant_current": current, "constant_voltage": voltage}
    return Evidence(Trigger.CHARGE, current.begin_second, 9000.0, False, FACTS, Standing(), **seen)


@pytest.fixture(scope="module")
def check() -> FullChargeCheck:
    return FullChargeCheck()


def test_phases_are_laid_behind_one_another():
    told = evidence()
    second, _, ampere, _ = joined(told.constant_current, told.constant_voltage)
    assert (np.diff(second) > 0).all()
    assert np.trapezoid(ampere, second) / 3600.0 == pytest.approx(1.8, abs=0.02)


def test_a_full_charge_of_a_known_configuration_gives_soh(check):
    report = ask(check, evidence(celsius=27.0))
    assert report.refused is None
    assert 0.7 < report.values["soh"] < 1.0
    assert 0 < report.std["soh"] < 0.1


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"celsius": 60.0}, Refusal.UNKNOWN_CONFIGURATION),
        ({"ampere": 0.4, "celsius": 27.0}, Refusal.UNKNOWN_CONFIGURATION),
        ({"begun_soc": 0.5, "celsius": 27.0}, Refusal.NOT_FULL_CHARGE),
    ],
)
def test_what_it_cannot_judge_is_refused(check, what, reason):
    report = ask(check, evidence(**what))
    assert report.refused == reason
    assert report.values == {}


def test_another_size_of_cell_is_an_unknown_configuration(check):
    other = replace(evidence(celsius=27.0), facts=replace(FACTS, nominal_capacity_ah=2.9))
    assert ask(check, other).refused == Refusal.UNKNOWN_CONFIGURATION


def test_a_charge_without_a_recording_is_refused(check):
    nothing = replace(evidence(), constant_voltage=None)
    assert ask(check, nothing).refused == Refusal.NOTHING_RECORDED


def test_charge_that_was_recorded_as_means_is_counted_as_it_flowed():
    second = np.arange(0.0, 10_000.0, 100.0)
    mean = 1.5 * 1_500.0 / 100.0 * (np.exp(-second / 1_500.0) - np.exp(-(second + 100.0) / 1_500.0))
    before = Recording(0.0, np.array([0.0, 599.0]), np.array([3.9, 4.2]), np.full(2, 1.5), np.full(2, 25.0))
    falling = Recording(600.0, second, np.full(100, 4.2), mean, np.full(100, 25.0))
    at, _, ampere, _ = joined(before, falling)
    taken = 1.5 * (600.0 + 1_500.0 * (1.0 - np.exp(-9_900.0 / 1_500.0)))
    assert np.trapezoid(ampere, at) == pytest.approx(taken, rel=2e-3)


def test_what_the_discharge_before_took_below_the_reading_voltage_makes_it_surer(check):
    volt = np.linspace(4.17, 2.0, 64)
    discharge = Discharge(volt, np.where(volt > 2.7, 1.7, 1.75), 1.8)
    seen = replace(evidence(celsius=27.0), history=History(discharge=discharge))
    unseen, report = ask(check, evidence(celsius=27.0)), ask(check, seen)
    assert report.quality["below_ah"] == pytest.approx(0.06, abs=0.05)
    assert report.std["soh"] < unseen.std["soh"]
    assert report.values["soh"] != unseen.values["soh"]
    assert np.isnan(unseen.quality["below_ah"])


def test_a_charge_in_steps_of_which_the_last_is_recorded_is_not_counted(check):
    report = ask(check, replace(evidence(celsius=27.0), begin_second=0.0))
    assert report.refused == Refusal.NOT_FULL_CHARGE
    assert report.quality["unseen_second"] > 900.0
