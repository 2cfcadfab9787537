import dataclasses

import numpy as np
import pytest

from estimators.contract import Second, Start
from estimators.coulomb import Coulomb
from tests.estimators.conftest import CAPACITY_AH, make_drive, show
from tests.estimators.contract_suite import EstimatorContract


def seconds_of(shown):
    columns = (shown.voltage_volt, shown.current_ampere, shown.temperature_celsius)
    return [Second(*(np.array([x]) for x in row)) for row in zip(*columns, strict=True)]


class TestContract(EstimatorContract):
    @pytest.fixture
    def estimator(self, cell_type):
        return Coulomb(cell_type)


class TestContractWithoutTables(EstimatorContract):
    @pytest.fixture
    def estimator(self, cell_type, tmp_path):
        return Coulomb(dataclasses.replace(cell_type, folder=tmp_path))


def test_an_hour_at_one_c_takes_the_whole_present_capacity(cell_type):
    estimator, soh = Coulomb(cell_type), np.array([0.8])
    state = estimator.init(Start.told(np.array([1.0]), soh))
    second = Second(np.array([3.7]), np.array([-0.8 * CAPACITY_AH]), np.array([25.0]))
    for _ in range(3600):
        state, estimate = estimator.step(state, second)
    assert estimate.soc[0] == pytest.approx(0.0, abs=1e-9)


def test_it_grows_less_sure_with_time(cell_type):
    estimator = Coulomb(cell_type)
    state = estimator.init(Start.told(np.array([0.5]), np.array([0.9])))
    deviations = []
    for _ in range(7200):
        state, estimate = estimator.step(state, Second(np.array([3.6]), np.array([0.0]), np.array([25.0])))
        deviations.append(estimate.soc_std[0])
    assert np.all(np.diff(deviations) > 0)
    assert not estimate.warming_up[0]


def test_an_unknown_start_is_read_off_the_first_voltage_less_the_ohmic_drop(cell_type, tables):
    shown = show(tables, make_drive(60), soc=0.6, soh=0.9)
    estimator = Coulomb(cell_type)
    state = estimator.init(Start.told(np.array([np.nan]), np.array([0.9])))
    for second in seconds_of(shown):
        state, estimate = estimator.step(state, second)
    assert estimate.soc[0] == pytest.approx(shown.soc[-1], abs=0.04)
    assert estimate.soc_std[0] > 0.05
    assert estimate.warming_up[0]


def test_what_leaves_the_limits_of_the_cell_type_is_out_of_domain(cell_type):
    estimator = Coulomb(cell_type)
    state = estimator.init(Start.told(np.full(5, 0.5), np.full(5, 0.9)))
    second = Second(
        np.array([3.6, 4.4, 3.6, 3.6, 3.6]),
        np.array([0.0, 0.0, -11.0, 0.0, np.nan]),
        np.array([25.0, 25.0, 25.0, -14.0, 25.0]),
    )
    _, estimate = estimator.step(state, second)
    assert estimate.out_of_domain.tolist() == [False, True, True, True, True]
