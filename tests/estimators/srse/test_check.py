"""The check of a full charge, on what the service records."""

from dataclasses import replace

import numpy as np
import pytest

from estimators.check import Evidence, Facts, Recording, Refusal, Standing, Trigger, unmet
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
    return Evidence(
        Trigger.CHARGE, 1000.0, 9000.0, False, FACTS, Standing(), constant_current=parts[0], constant_voltage=parts[1]
    )


@pytest.fixture(scope="module")
def check() -> FullChargeCheck:
    return FullChargeCheck()


def test_phases_are_laid_behind_one_another():
    told = evidence()
    second, _, ampere, _ = joined(told.constant_current, told.constant_voltage)
    assert (np.diff(second) > 0).all()
    assert np.trapezoid(ampere, second) / 3600.0 == pytest.approx(1.8, abs=0.02)


def test_a_full_charge_of_a_known_configuration_gives_soh(check):
    report = check.run(evidence(celsius=27.0))
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
    report = check.run(evidence(**what))
    assert report.refused == reason
    assert report.values == {}


def test_another_size_of_cell_is_an_unknown_configuration(check):
    other = replace(evidence(celsius=27.0), facts=replace(FACTS, nominal_capacity_ah=2.9))
    assert check.run(other).refused == Refusal.UNKNOWN_CONFIGURATION


def test_a_charge_without_a_recording_is_refused(check):
    nothing = replace(evidence(), constant_voltage=None)
    assert check.run(nothing).refused == unmet(check.needs, nothing) == Refusal.NOTHING_RECORDED
