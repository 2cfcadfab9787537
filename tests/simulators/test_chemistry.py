import numpy as np
import pytest

from simulators.chemistry import CHEMISTRIES, GRID_LOW, GRID_POINTS, GRID_STEP, curves, smooth

SOC = GRID_LOW + GRID_STEP * np.arange(GRID_POINTS)


@pytest.mark.parametrize("chemistry", CHEMISTRIES.values(), ids=CHEMISTRIES)
def test_open_circuit_voltage_rises_with_charge_between_the_voltage_limits(chemistry):
    ocv = curves(chemistry)[:, 0]
    assert np.all(np.diff(ocv) > 0.0)
    empty, full = np.interp([0.0, 1.0], SOC, ocv)
    assert chemistry.voltage_min_volt < empty < full < chemistry.voltage_max_volt


def test_lfp_is_flat_where_nca_is_steep():
    middle = (SOC > 0.3) & (SOC < 0.9)
    spans = {name: np.ptp(curves(c)[middle, 0]) for name, c in CHEMISTRIES.items()}
    assert spans["lfp"] < 0.1 < 0.4 < spans["nca"]


def test_a_smooth_curve_meets_its_knots_and_overshoots_nowhere():
    knots = ((0.0, 0.0), (1.0, 1.0), (2.0, 1.0), (3.0, 5.0))
    x, y = np.array(knots).T
    np.testing.assert_allclose(smooth(knots, x), y)
    between = smooth(knots, np.linspace(0.0, 3.0, 301))
    assert np.all(np.diff(between) >= 0.0)
    assert np.all(between[100:201] == 1.0)
