import numpy as np
import pytest

from estimators.imodel.plain import cubic, from_past, hold, line

CYCLE = np.arange(1.0, 41.0)
AHEAD = np.array([10, 50])


def test_a_line_goes_on_whatever_a_few_stray_points_say():
    capacity = 3.0 - 0.002 * CYCLE
    capacity[[5, 20]] += 0.5
    assert line(CYCLE, capacity, AHEAD) == pytest.approx(3.0 - 0.002 * (40 + AHEAD))


def test_a_cubic_goes_on_as_a_cubic():
    assert cubic(CYCLE, 3.0 - 1e-6 * CYCLE**3, AHEAD) == pytest.approx(3.0 - 1e-6 * (40.0 + AHEAD) ** 3)


def test_a_past_of_a_few_points_foretells_nothing():
    assert np.isnan(line(CYCLE[:4], CYCLE[:4], AHEAD)).all()
    assert np.isnan(cubic(CYCLE[:7], CYCLE[:7], AHEAD)).all()


def test_no_capacity_measured_later_changes_what_is_foretold():
    cell, cycle = np.repeat(["a", "b"], 30), np.tile(np.arange(1, 31), 2)
    capacity = 3.0 - 0.01 * cycle - 0.001 * (cell == "b")
    said = from_past(cell, cycle, capacity, AHEAD)
    future = np.where(cycle > 20, 1.0, capacity)
    again = from_past(cell, cycle, future, AHEAD)
    for name in said:
        early = cycle <= 20
        assert np.array_equal(said[name][early], again[name][early], equal_nan=True)
        assert not np.array_equal(said[name][~early], again[name][~early], equal_nan=True)


def test_held_capacity_stays():
    assert hold(np.array([3.0, 2.0]), AHEAD).tolist() == [[3.0, 3.0], [2.0, 2.0]]
