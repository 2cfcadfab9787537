import numpy as np
import pytest

from simulators.chemistry import CHEMISTRIES
from simulators.recording import BLOCK_SECOND, simulate
from simulators.schedule import Profile

ARRAYS = ("voltage_volt", "current_ampere", "temperature_celsius", "soc", "soh")


def test_a_seed_gives_the_same_recording_bit_for_bit():
    one, again, other = (simulate(3, 2_000, seed, chemistry="nmc", ageing_speed=10.0) for seed in (5, 5, 6))
    for name in ARRAYS:
        assert getattr(one, name).tobytes() == getattr(again, name).tobytes()
        assert getattr(one, name).shape == (3, 2_000)
        assert getattr(one, name).dtype == np.float32
    assert not np.array_equal(one.voltage_volt, other.voltage_volt)


def test_a_recording_is_the_beginning_of_a_longer_one():
    short, long = simulate(2, 700, 1), simulate(2, BLOCK_SECOND + 300, 1)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(short, name), getattr(long, name)[:, :700])


def test_the_true_soc_is_the_integral_of_the_recorded_current():
    recording = simulate(4, 8_000, 2, initial_soh=0.85, ageing_speed=0.0)
    capacity = 0.85 * recording.nominal_capacity_ah
    charge = np.cumsum(recording.current_ampere.astype(np.float64), axis=1)[:, -1] / 3_600.0
    first = recording.soc[:, 0] - recording.current_ampere[:, 0] / 3_600.0 / capacity
    np.testing.assert_allclose(recording.soc[:, -1] - first, charge / capacity, atol=1e-5)


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
@pytest.mark.parametrize("celsius", [-20.0, 45.0])
def test_voltage_and_energy_stay_plausible_in_cold_and_heat(chemistry, celsius):
    kind = CHEMISTRIES[chemistry]
    recording = simulate(4, 12_000, 1, chemistry=chemistry, ambient_temperature_celsius=celsius, initial_soc=0.9)
    assert recording.voltage_volt.min() > kind.voltage_min_volt - 0.3  # one second beyond the limit at most
    assert recording.voltage_volt.max() < kind.voltage_max_volt + 0.02
    assert recording.soc.min() > -0.01
    assert recording.soc.max() < 1.005
    rise = recording.temperature_celsius - celsius
    assert rise.min() > -0.5
    assert 0.3 < rise.max() < 16.0
    out = recording.current_ampere < 0.0
    power = np.abs(recording.current_ampere * recording.voltage_volt)
    mean = power[out].sum() / np.abs(recording.current_ampere[out]).sum()
    assert kind.voltage_min_volt < mean < kind.voltage_max_volt


def test_warmth_delivers_more_energy_than_cold_over_the_same_charge():
    delivered = {}
    for celsius in (-10.0, 25.0):
        profile = Profile(depth_of_discharge=(0.25,), intensity=(0.8, 0.8))
        r = simulate(1, 6_000, 3, ambient_temperature_celsius=celsius, initial_soc=1.0, profile=profile)
        out = r.current_ampere < 0.0
        delivered[celsius] = (r.current_ampere * r.voltage_volt)[out].sum() / r.current_ampere[out].sum()
    assert delivered[25.0] - delivered[-10.0] > 0.05  # volt


def test_a_campaign_ages_every_cell_from_new_to_seven_tenths():
    recording = simulate(4, 25_000, 1, ageing_speed=2_000.0, depth_of_discharge=(0.95,))
    assert np.all(np.diff(recording.soh, axis=1) <= 0.0)
    assert np.all(recording.soh[:, 0] > 0.999)
    assert np.all(recording.soh[:, -1] < 0.7)
    assert len(set(recording.soh[:, -1].tolist())) == 4


def test_each_cell_can_have_its_own_start_and_ambient():
    recording = simulate(
        3,
        10,
        1,
        initial_soc=[0.2, 0.5, 0.9],
        initial_soh=[1.0, 0.9, 0.8],
        ambient_temperature_celsius=[0.0, 20.0, 40.0],
    )
    np.testing.assert_allclose(recording.soc[:, 0], [0.2, 0.5, 0.9], atol=1e-3)
    np.testing.assert_allclose(recording.soh[:, 0], [1.0, 0.9, 0.8], atol=1e-3)
    np.testing.assert_allclose(recording.temperature_celsius[:, 0], [0.0, 20.0, 40.0], atol=0.1)


def test_the_size_of_a_cell_scales_its_current_and_nothing_else():
    small, large = (simulate(2, 3_000, 1, nominal_capacity_ah=ah) for ah in (2.0, 4.0))
    np.testing.assert_allclose(large.current_ampere, 2.0 * small.current_ampere, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(large.voltage_volt, small.voltage_volt, atol=1e-4)
