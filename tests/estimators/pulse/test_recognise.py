import numpy as np
import pytest

from estimators.pulse.recognise import Flaw, recognise
from tests.estimators.pulse.made_up import on_the_grid, played, voltages

VOLT = voltages(np.array([0.8]), np.array([0.3]))[0]


@pytest.mark.parametrize("hertz", [10, 20, 100])
@pytest.mark.parametrize("points", [21, 41])
def test_the_turning_points_of_a_fast_log_are_read_as_they_were(hertz, points):
    (train,) = recognise(*played(VOLT[:points], 20.0, hertz=hertz), 20.0)
    assert train.flaw is None
    assert not train.only_ends
    assert train.voltage_volt == pytest.approx(VOLT[:points], abs=1e-9)
    assert train.width_ms == 5000
    assert train.begin_second == pytest.approx(660.0)
    assert train.c_rate[:4] == pytest.approx([0.5, -0.5, 1.0, -1.0])


@pytest.mark.parametrize("width", [0.1, 1.0, 3.0])
def test_the_width_is_told_by_the_pulses(width):
    (train,) = recognise(*played(VOLT, 20.0, width_second=width), 20.0)
    assert train.flaw is None
    assert train.width_ms == round(1000 * width)


def test_at_one_hertz_only_the_ends_of_steps_are_read():
    (train,) = recognise(*played(VOLT, 20.0, hertz=1), 20.0)
    assert train.only_ends
    assert train.flaw is None
    assert np.isnan(train.voltage_volt[1::2]).all()
    assert train.voltage_volt[::2] == pytest.approx(VOLT[::2], abs=1e-9)


@pytest.mark.parametrize("phase", [0.0, 0.37, 0.8])
def test_edges_between_two_seconds_of_the_grid_do_not_change_the_widths(phase):
    (train,) = recognise(*on_the_grid(*played(VOLT, 20.0), phase), 20.0)
    assert train.flaw is None
    assert train.width_second == pytest.approx(np.full(10, 5.0), abs=0.21)  # a lone tenth of C is lost in a rest
    assert np.nanmax(np.abs(train.voltage_volt - VOLT)) < 0.03  # the last whole second of a pulse is not its end


def test_noise_of_current_and_voltage_is_no_edge():
    second, volt, ampere = played(VOLT, 20.0)
    random = np.random.default_rng(0)
    (train,) = recognise(
        second, volt + random.normal(0, 1e-4, len(volt)), ampere + random.normal(0, 0.1, len(volt)), 20
    )
    assert train.flaw is None
    assert train.voltage_volt == pytest.approx(VOLT, abs=1e-3)


@pytest.mark.parametrize(
    ("changed", "flaw"),
    [
        ({"cut": 3}, Flaw.PULSE_CUT_SHORT),
        ({"rest_second": 60.0}, Flaw.NOT_RESTED),
        ({"width_second": 1.0, "hertz": 1.0}, Flaw.TOO_SLOW),
    ],
)
def test_a_train_that_must_not_be_used_says_why(changed, flaw):
    (train,) = recognise(*played(VOLT, 20.0, **changed), 20.0)
    assert train.flaw == flaw


def test_a_train_that_stops_early_has_too_few_pulses():
    (train,) = recognise(*played(VOLT[:13], 20.0), 20.0)
    assert train.flaw == Flaw.TOO_FEW_PULSES


def test_another_capacity_s_amplitudes_are_no_pulses_of_this_cell():
    assert recognise(*played(VOLT, 20.0), 26.0) == []


def test_a_drive_a_rest_and_nothing_at_all_have_no_train():
    random = np.random.default_rng(1)
    second = np.arange(5000) / 10
    assert recognise(second, np.full(5000, 3.5), 20 * random.uniform(-2, 2, 5000), 20.0) == []
    assert recognise(second, np.full(5000, 3.5), np.zeros(5000), 20.0) == []
    assert recognise(second[:0], second[:0], second[:0], 20.0) == []


def test_two_trains_in_one_log_are_both_found():
    first, again = played(VOLT, 20.0, hertz=10), played(VOLT + 0.1, 20.0, hertz=10)
    joined = [np.concatenate([a, b]) for a, b in zip(first, again, strict=True)]
    joined[0] = np.concatenate([first[0], first[0][-1] + 0.1 + again[0]])
    trains = recognise(*joined, 20.0)
    assert [t.flaw for t in trains] == [None, None]
    assert trains[1].voltage_volt == pytest.approx(VOLT + 0.1, abs=1e-9)
