import dataclasses

import pytest

from estimators.ekf.least_squares import _weight
from tests.estimators.conftest import CAPACITY_AH, make_tables
from tests.estimators.ekf.test_identify import run_of


def test_a_run_weighs_as_much_as_the_charge_that_it_moved_however_densely_it_was_logged():
    dense = run_of(make_tables(), 25.0)
    names = ("test_time_second", "voltage_volt", "current_ampere", "temperature_celsius", "soc")
    thin = dataclasses.replace(dense, **{n: getattr(dense, n)[::20] for n in names})
    weights = [_weight(run, CAPACITY_AH).sum() for run in (dense, thin)]
    slow = dataclasses.replace(dense, current_ampere=dense.current_ampere / 40.0)
    assert _weight(slow, CAPACITY_AH).sum() < 0.1 * weights[0] / 40.0
    assert weights[1] == pytest.approx(weights[0], rel=0.05)
    supporting = dataclasses.replace(dense, weight=0.1)
    assert _weight(supporting, CAPACITY_AH).sum() == pytest.approx(0.1 * weights[0])
