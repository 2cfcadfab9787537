import numpy as np

from simulators.road import fuds_c_rate, speed_metre_per_second


def test_the_trace_is_the_urban_schedule_of_the_epa():
    speed = speed_metre_per_second()
    assert len(speed) == 1_370
    assert abs(speed.sum() / 1_609.344 - 7.45) < 0.01  # miles, as the EPA states
    assert abs(speed.max() / 0.44704 - 56.7) < 0.01  # miles per hour


def test_driving_discharges_and_braking_charges():
    current, speed = fuds_c_rate(), speed_metre_per_second()
    change = np.diff(speed)
    assert np.all(current[change > 0.5] < 0.0)
    assert np.all(current[(change < -1.0) & (speed[1:] > 5.0)] > 0.0)
    standing = (speed[1:] == 0.0) & (speed[:-1] == 0.0)
    np.testing.assert_allclose(current[standing], -0.03)  # lights and heating: 300 W of 10 kWh


def test_a_city_works_the_cells_at_a_third_of_c_with_peaks_of_three():
    current = fuds_c_rate()
    assert -0.40 < current.mean() < -0.25
    assert -3.5 < current.min() < -3.0
    assert current.max() <= 1.2  # regeneration is limited
