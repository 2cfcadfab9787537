import os
from pathlib import Path

import numpy as np
import pytest

from estimators.cell_type import CellType
from estimators.contract import Second, Start, to_nominal, to_present
from estimators.ekf import Ekf
from estimators.ekf.filter import OFFSET_KEPT, RC_WALK_C_RATE, SENSOR_OFFSET_C_RATE, SOC_WALK, _Covariance, _update
from tests.estimators.conftest import CAPACITY_AH, make_drive, show
from tests.estimators.contract_suite import EstimatorContract, drive, run, start

DATA = Path(os.environ.get("BMSD_DATA", Path(__file__).parents[3] / "../shared/data"))
UPPER = np.triu_indices(4)


class TestContract(EstimatorContract):
    @pytest.fixture
    def estimator(self, cell_type):
        return Ekf(cell_type)


@pytest.fixture
def ekf(cell_type):
    return Ekf(cell_type)


def follow(ekf, shown, soc, soh=0.9, offset_ampere=0.0):
    """Error in points and deviation in points, [second]."""
    state = ekf.init(Start.told(np.array([soc]), np.array([soh])))
    said = []
    for row in zip(shown.voltage_volt, shown.current_ampere + offset_ampere, shown.temperature_celsius, strict=True):
        state, estimate = ekf.step(state, Second(*(np.array([x]) for x in row)))
        said.append((estimate.soc[0], estimate.soc_std[0], estimate.warming_up[0]))
    soc, std, warming_up = np.array(said).T
    return 100 * (soc - shown.soc), 100 * std, warming_up.astype(bool)


def matrices(packed):
    """[cell, 4, 4] from the upper triangles [10, cell]."""
    packed = np.asarray(packed)
    full = np.zeros((packed.shape[1], 4, 4))
    full[:, UPPER[0], UPPER[1]] = packed.T
    full[:, UPPER[1], UPPER[0]] = packed.T
    return full


def random_covariance(cells=5):
    root = np.random.default_rng(0).standard_normal((cells, 4, 4))
    full = root @ root.transpose(0, 2, 1)
    return full, _Covariance(*full[:, UPPER[0], UPPER[1]].T)


def test_the_prediction_of_the_covariance_is_that_of_the_book(ekf):
    full, packed = random_covariance()
    a, b = np.exp(-1.0 / np.array([10.0, 150.0]))
    move = np.array([[1, 0, 0, 1 / (3600 * CAPACITY_AH)], [0, a, 0, 1 - a], [0, 0, b, 1 - b], [0, 0, 0, OFFSET_KEPT]])
    rc_walk, offset = RC_WALK_C_RATE * CAPACITY_AH, SENSOR_OFFSET_C_RATE * CAPACITY_AH
    noise = np.diag([SOC_WALK**2, rc_walk**2, rc_walk**2, (1 - OFFSET_KEPT**2) * offset**2])
    np.testing.assert_allclose(matrices(ekf._predict(packed)), move @ full @ move.T + noise, rtol=1e-9, atol=1e-12)


def test_the_update_is_that_of_the_book():
    full, packed = random_covariance()
    slope = np.random.default_rng(1).standard_normal((4, 5))
    gain, after = _update(packed, tuple(slope), np.full(5, 0.3))
    for cell in range(5):
        h, p = slope[:, cell], full[cell]
        expected = p @ h / (h @ p @ h + 0.3)
        np.testing.assert_allclose(gain[:, cell], expected)
        np.testing.assert_allclose(matrices(after)[cell], (np.eye(4) - np.outer(expected, h)) @ p, atol=1e-12)


def test_the_covariance_stays_positive(ekf):
    state, _ = run(ekf, ekf.init(start(64)), drive(2000, 64))
    assert (np.linalg.eigvalsh(matrices(state["covariance"].T)) > 0).all()


def test_a_right_start_stays_right(ekf, tables):
    error, std, warming_up = follow(ekf, show(tables, make_drive(3600), 0.95, 0.9), 0.95)
    assert np.abs(error).max() < 1.0
    assert std.max() < 3.0
    assert not warming_up.any()


@pytest.mark.parametrize("wrong", [-0.3, 0.3])
@pytest.mark.parametrize("celsius", [0.0, 20.0])
def test_a_start_that_is_30_points_wrong_is_given_up_within_minutes(ekf, tables, wrong, celsius):
    shown = show(tables, make_drive(1800), 0.65, 0.9, celsius)
    error, std, _ = follow(ekf, shown, 0.65 + wrong)
    assert np.abs(error[300:]).max() < 3.0
    assert std[:60].max() > 2 * std[0]


def test_an_unknown_start_is_found_and_said_to_be_warming_up(ekf, tables):
    error, std, warming_up = follow(ekf, show(tables, make_drive(1800), 0.6, 0.9), np.nan)
    assert warming_up[0]
    assert not warming_up[-1]
    assert np.abs(error[300:]).max() < 3.0
    assert (np.abs(error) < 3 * std).mean() > 0.95


@pytest.mark.parametrize("offset", [-0.1, 0.1])
def test_an_offset_of_the_current_sensor_is_learnt(ekf, tables, offset):
    shown = show(tables, make_drive(5400), 0.98, 0.9)
    error, _, _ = follow(ekf, shown, 0.98, offset_ampere=offset)
    counting = 100 * offset * 5400 / 3600 / CAPACITY_AH / 0.9
    assert abs(counting) > 7
    assert np.abs(error[-600:]).max() < 1.5


@pytest.mark.parametrize("soh", [0.7, 0.95, 1.05])
def test_an_aged_cell_is_full_at_full_and_empty_at_empty(ekf, tables, soh):
    shown = show(tables, make_drive(3600), 0.9, soh)
    error, _, _ = follow(ekf, shown, np.nan, soh=soh)
    assert np.abs(error[1200:]).max() < 2.0


def test_a_second_that_is_not_finite_changes_nothing_but_the_age_of_the_soh(ekf):
    state, _ = run(ekf, ekf.init(start(16)), drive(20, 16))
    after, estimate = ekf.step(state, Second(np.full(16, np.nan), np.zeros(16), np.full(16, 20.0)))
    for name in ("mean", "covariance", "doubt", "soh"):
        assert after[name].tobytes() == state[name].tobytes()
    assert estimate.out_of_domain.all()


def test_the_digest_of_the_tables_is_the_id_of_the_weights(ekf, cell_type, tables):
    assert len(ekf.weights_id) == 8
    assert Ekf(cell_type, tables).weights_id == "-"


def test_a_type_without_tables_is_refused_by_name(cell_type, tmp_path):
    with pytest.raises(FileNotFoundError, match="tables"):
        Ekf(CellType(**{n: getattr(cell_type, n) for n in CellType.__slots__} | {"folder": tmp_path}))


def test_the_shipped_tables_follow_a_recorded_drive_cycle_that_they_have_not_seen():
    path = DATA / "panasonic-18650pf" / "25c_cycle_3.csv.gz"
    if not path.is_file():
        pytest.skip(f"no {path}; set BMSD_DATA")
    *columns, net = np.loadtxt(path, delimiter=",", skiprows=1, max_rows=3600)[:, [1, 2, 3, 5]].T
    ekf = Ekf(CellType.load("panasonic-18650pf"))
    soh = np.array([0.93])
    state = ekf.init(Start.told(to_present(np.array([1.0]), soh), soh))
    error = []
    for row in zip(*columns, strict=True):
        state, estimate = ekf.step(state, Second(*(np.array([x]) for x in row)))
        error.append(to_nominal(estimate.soc, soh)[0])
    assert np.abs(np.array(error) - (1.0 + net / 2.9)).mean() < 0.01
