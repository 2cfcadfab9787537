"""What the circuit remembers while a log is followed."""

import numpy as np
import pytest

from estimators.ekf.terms import Choice, Run, inner


def test_in_a_hole_the_current_is_what_the_label_says():
    time = np.array([0.0, 1.0, 601.0, 602.0])
    soc = np.array([0.9, 0.9, 0.8, 0.8])
    nothing = np.zeros(4)
    run = Run("hole", time, nothing + 3.6, nothing, nothing + 25.0, soc, 2.0)
    filtered = inner(run, Choice((100.0, 1000.0), 1.0)).rc_1_ampere
    mean = -0.1 * 2.0 * 3600.0 / 600.0
    expected = mean * (1.0 - np.exp(-5.99)) * np.exp(-0.01)
    assert filtered[1] == 0.0
    assert filtered[2] == pytest.approx(expected)


def test_the_branch_is_reached_by_charge_and_kept_at_rest():
    time = np.array([0.0, 1.0, 2.0, 3.0, 3603.0])
    current = np.array([-7200.0 * 0.05, 0.0, 0.0, 0.0, 7200.0 * 0.05])
    soc = np.array([0.5, 0.45, 0.45, 0.45, 0.45])
    run = Run("rest", time, current, current, current, soc, 2.0, hysteresis=1.0)
    after = 2.0 * np.exp(-1.0) - 1.0
    np.testing.assert_allclose(
        inner(run, Choice((10.0, 100.0), 1.0, 20.0)).hysteresis, [after] * 4 + [1.0 - (1.0 - after) * np.exp(-1.0)]
    )
