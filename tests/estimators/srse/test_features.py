"""A full charge as numbers, and what is no full charge."""

import numpy as np
import pytest

from estimators.srse import features
from tests.estimators.srse.synthetic import LIMIT_VOLT, full, recording

STATISTIC = {name: i for i, name in enumerate(features.STATISTICS)}


def test_rests_around_a_charge_are_cut_off():
    _, _, ampere, _ = recording()
    one = full()
    assert one.second[0] == 0.0
    assert len(one.second) == np.count_nonzero(ampere > 0.02)
    assert (one.ampere > 0.02).all()


def test_points_that_are_not_finite_are_left_out():
    second, volt, ampere, celsius = recording()
    volt[20], ampere[30] = np.nan, np.nan
    assert np.isfinite(features.curves(features.charge(second, volt, ampere, celsius, 2.0))).all()


def test_charge_is_counted_in_shares_of_nominal():
    assert features.statistics(full(capacity_ah=1.8))[STATISTIC["charge_of_nominal"]] == pytest.approx(0.9, abs=0.01)


def test_curves_are_voltage_rate_charge_slope_and_hours_at_points_equally_far_in_time():
    one = full()
    volt, rate, share, slope, hour = features.curves(one)
    assert volt.shape == (1000,)
    assert np.diff(hour) == pytest.approx(np.full(999, one.second[-1] / 3600 / 999))
    assert volt.max() == pytest.approx(LIMIT_VOLT)
    assert rate.max() == pytest.approx(0.75)
    assert (np.diff(share) > 0).all()
    # at constant current the straight line rises by 0.9 V over 1.8 Ah
    assert slope[100] == pytest.approx(1.0, rel=0.02)


def test_no_voltage_is_divided_by_where_the_charger_holds_it():
    slope = features.curves(full())[features.DQ_DV]
    assert np.isfinite(slope).all()
    assert slope[-100:] == pytest.approx(np.zeros(100))


def test_falling_current_is_timed_from_the_end_of_constant_current():
    quick, slow = features.statistics(full(ohm=0.05)), features.statistics(full(ohm=0.2))
    assert 0 < quick[STATISTIC["half_hour"]] < slow[STATISTIC["half_hour"]] < slow[STATISTIC["fifth_hour"]]


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({}, None),
        ({"begun_soc": 0.4}, "not_full_charge"),
        ({"end_ampere": 0.8}, "not_full_charge"),
        ({"begun_soc": 0.97}, "too_short"),
    ],
)
def test_a_charge_that_is_not_full_is_told(what, reason):
    assert features.why_not(full(**what), full_volt=4.15, begun_volt=3.6) == reason


def test_a_recording_without_a_charge_is_too_short():
    second, volt, ampere, celsius = recording()
    empty = features.charge(second, volt, -np.abs(ampere), celsius, 2.0)
    assert features.why_not(empty, 4.15, 3.6) == "too_short"


def test_a_part_of_a_charge_has_its_slope_beside_it():
    volt = np.linspace(3.6, 4.15, 50)
    x = features.partial(2.0 * (volt - 3.6)[None], volt)
    assert x.shape == (1, 2, 50)
    assert x[0, 1] == pytest.approx(np.full(50, 2.0))
