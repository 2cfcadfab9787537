import numpy as np
import pytest

from simulators.sensor import (
    ABSURD,
    CLOCK_AHEAD_SECOND,
    CLOCK_BACK_SECOND,
    CLOCK_SECOND,
    STUCK_SECOND,
    Channel,
    Fault,
    Readings,
    Sensing,
    Sensor,
)

CELLS, SECONDS = 20, 1_500


def second(k):
    """A second of the truth in which every value tells its cell and time."""
    cell = np.arange(CELLS)
    return Readings(
        cell=cell,
        unix_time_second=np.full(CELLS, 1_000_000.0 + k),
        voltage_volt=3.0 + 1e-5 * k + 1e-2 * cell,
        current_ampere=-1.0 - 1e-5 * k - 1e-2 * cell,
        temperature_celsius=20.0 + 1e-3 * k + 1e-2 * cell,
        soc=np.full(CELLS, 0.5),
        soh=np.full(CELLS, 0.9),
    )


def observed(sensing, seed=1, seconds=SECONDS):
    sensor = Sensor(sensing, CELLS, seed)
    return Readings.join([sensor.observe(second(k)) for k in range(seconds)])


TRUTH = Readings.join([second(k) for k in range(SECONDS)])


def faulty(fault, rate=2e-3):
    return observed(Sensing(faults=(fault,), fault_rate=rate))


def test_a_perfect_sensor_shows_the_truth():
    shown = observed(Sensing())
    for name in Readings.__slots__:
        np.testing.assert_array_equal(getattr(shown, name), getattr(TRUTH, name))


@pytest.mark.parametrize("quantity", ["voltage_volt", "current_ampere", "temperature_celsius"])
def test_noise_offset_and_gain_are_as_large_as_asked_for_and_touch_one_quantity(quantity):
    channel = quantity.split("_")[0]
    shown = observed(Sensing(**{channel: Channel(noise=0.01, offset=0.3, gain_error=0.02)}))
    error = getattr(shown, quantity) - (1.02 * getattr(TRUTH, quantity) + 0.3)
    assert abs(error.mean()) < 3 * 0.01 / np.sqrt(len(error))
    assert error.std() == pytest.approx(0.01, rel=0.03)
    for other in {"voltage_volt", "current_ampere", "temperature_celsius"} - {quantity}:
        np.testing.assert_array_equal(getattr(shown, other), getattr(TRUTH, other))


def test_quantised_readings_are_the_nearest_multiples_of_the_step():
    shown = observed(Sensing(voltage=Channel(step=0.005))).voltage_volt
    np.testing.assert_allclose(shown / 0.005, np.round(shown / 0.005), atol=1e-9)
    assert np.abs(shown - TRUTH.voltage_volt).max() <= 0.0025 + 1e-12


def test_dropouts_lose_the_asked_share_of_readings():
    shown = observed(Sensing(dropout=0.1))
    assert len(shown) / len(TRUTH) == pytest.approx(0.9, abs=0.01)
    assert set(zip(shown.cell, shown.unix_time_second, strict=True)) <= set(
        zip(TRUTH.cell, TRUTH.unix_time_second, strict=True)
    )


def test_a_stuck_sensor_repeats_its_last_values_for_a_minute():
    shown = faulty(Fault.STUCK, 1e-4)
    voltage = shown.voltage_volt.reshape(SECONDS, CELLS)
    current = shown.current_ampere.reshape(SECONDS, CELLS)
    still = np.diff(voltage, axis=0) == 0.0
    np.testing.assert_array_equal(still, np.diff(current, axis=0) == 0.0)
    cell = np.flatnonzero(still.any(axis=0))[0]
    begin = np.argmax(still[:, cell])
    assert still[begin : begin + STUCK_SECOND, cell].all()
    assert not still[:, cell].all()
    assert np.all(np.diff(shown.unix_time_second.reshape(SECONDS, CELLS), axis=0) == 1.0)


def test_nan_comes_in_the_voltage_alone_at_the_asked_rate():
    shown = faulty(Fault.NAN)
    lost = np.isnan(shown.voltage_volt)
    assert lost.mean() == pytest.approx(2e-3, rel=0.5)
    np.testing.assert_array_equal(shown.voltage_volt[~lost], TRUTH.voltage_volt[~lost])
    np.testing.assert_array_equal(shown.current_ampere, TRUTH.current_ampere)


def test_absurd_values_come_one_quantity_at_a_time_and_in_all_three():
    shown = faulty(Fault.ABSURD)
    columns = np.stack([shown.voltage_volt, shown.current_ampere, shown.temperature_celsius])
    absurd = columns == np.array(ABSURD)[:, None]
    assert absurd.any(axis=1).all()
    assert absurd.sum(axis=0).max() == 1
    true = np.stack([TRUTH.voltage_volt, TRUTH.current_ampere, TRUTH.temperature_celsius])
    np.testing.assert_array_equal(columns[~absurd], true[~absurd])


def test_a_clock_jumps_back_or_far_ahead_and_recovers():
    shown = faulty(Fault.CLOCK, 1e-3)
    error = (shown.unix_time_second - TRUTH.unix_time_second).reshape(SECONDS, CELLS)
    assert set(np.unique(error)) == {CLOCK_BACK_SECOND, 0.0, CLOCK_AHEAD_SECOND}
    cell = np.flatnonzero((error != 0.0).any(axis=0))[0]
    begin = np.argmax(error[:, cell] != 0.0)
    assert np.all(error[begin : begin + CLOCK_SECOND, cell] != 0.0)
    np.testing.assert_array_equal(shown.voltage_volt, TRUTH.voltage_volt)


def test_a_duplicate_is_the_same_reading_once_more():
    shown = faulty(Fault.DUPLICATE)
    rows = list(zip(shown.cell, shown.unix_time_second, shown.voltage_volt, strict=True))
    assert len(rows) - len(TRUTH) == pytest.approx(2e-3 * len(TRUTH), rel=0.5)
    assert set(rows) == set(zip(TRUTH.cell, TRUTH.unix_time_second, TRUTH.voltage_volt, strict=True))


def test_disorder_brings_a_reading_after_its_successor_and_loses_none():
    shown = faulty(Fault.DISORDER)
    steps = [np.diff(shown.unix_time_second[shown.cell == cell]) for cell in range(CELLS)]
    backwards = np.concatenate(steps) < 0.0
    assert backwards.any()
    assert min(s.min() for s in steps) == -1.0
    assert len(TRUTH) - len(shown) <= CELLS  # what was held back when all ended
    assert len(set(zip(shown.cell, shown.unix_time_second, strict=True))) == len(shown)


def test_a_seed_gives_the_same_readings_and_a_fault_leaves_the_noise_alone():
    noisy = Sensing(voltage=Channel(noise=0.01), dropout=0.05)
    one, again, other = (observed(noisy, seed).voltage_volt for seed in (7, 7, 8))
    assert one.tobytes() == again.tobytes()
    assert not np.array_equal(one[:100], other[:100])
    with_fault = Sensing(voltage=Channel(noise=0.01), dropout=0.05, faults=(Fault.NAN,))
    faulted = observed(with_fault, 7).voltage_volt
    sound = ~np.isnan(faulted)
    np.testing.assert_array_equal(faulted[sound], one[sound])


def test_the_truth_stays_beside_what_is_shown():
    shown = observed(Sensing(voltage=Channel(offset=1.0), faults=tuple(Fault), dropout=0.1))
    assert np.all(shown.soc == 0.5)
    assert np.all(shown.soh == 0.9)
