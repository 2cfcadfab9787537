import numpy as np
import pytest

from simulators import schedule
from simulators.cell import Parameters, initial, step
from simulators.chemistry import CHEMISTRIES
from simulators.road import fuds_c_rate
from simulators.schedule import CHARGE, DISCHARGE, REST, REST_FULL, Profile


def drive(profile, seconds, *, cells=4, seed=1, soc=1.0, celsius=25.0, chemistry="nca"):
    """Run the schedule; phase, SOC, voltage and C-rate, each [second, cell], and the plans."""
    parameters = Parameters.draw(cells, seed, chemistry, ageing_speed=0.0)
    state = initial(parameters, soc, 1.0, celsius)
    plan = schedule.begin(cells, seed, state.soc, profile)
    rows = []
    for _ in range(seconds):
        plan, current = schedule.command(plan, state, parameters, profile)
        state = step(state, current, celsius, parameters)
        rows.append((plan.phase, state.soc, state.voltage_volt, current / parameters.nominal_capacity_ah))
    return (np.stack(column) for column in zip(*rows, strict=True))


QUICK = Profile(rest_second=(60.0, 300.0))


def test_the_phases_follow_one_another_in_every_cell():
    phase, *_ = drive(QUICK, 30_000)
    for cell in phase.T:
        order = cell[np.flatnonzero(np.diff(cell, prepend=-1))]
        assert order[0] == REST_FULL
        assert len(order) >= 6
        assert np.all(np.diff(order) % 4 == 1)


@pytest.mark.parametrize("depth", [0.25, 0.8])
def test_a_discharge_reaches_the_wanted_depth_and_not_more(depth):
    phase, soc, *_ = drive(Profile(depth_of_discharge=(depth,), rest_second=(60.0, 60.0)), 14_000)
    for cell in range(4):
        through = np.flatnonzero(phase[:, cell] == REST)
        assert len(through)
        reached = 1.0 - soc[through[0] - 1, cell]
        assert depth <= reached < depth + 0.002


def test_a_discharge_ends_at_the_lower_voltage_limit():
    phase, soc, voltage, _ = drive(Profile((1.0,), intensity=(2.0, 2.0), rest_second=(600.0, 600.0)), 8_400)
    limit = CHEMISTRIES["nca"].voltage_min_volt
    for cell in range(4):
        ended = np.flatnonzero((phase[:-1, cell] == DISCHARGE) & (phase[1:, cell] == REST))
        assert len(ended) == 1
        assert voltage[ended[0], cell] <= limit
        assert np.all(voltage[: ended[0], cell] > limit)
        assert soc[ended[0], cell] < 0.05


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
@pytest.mark.parametrize("celsius", [0.0, 25.0])
def test_charging_is_cc_cv_and_ends_full(chemistry, celsius):
    profile = Profile((0.2,), intensity=(2.0, 2.0), rest_second=(60.0, 60.0))
    phase, soc, voltage, c_rate = drive(profile, 9_000, celsius=celsius, chemistry=chemistry)
    limit = CHEMISTRIES[chemistry].voltage_max_volt
    assert voltage.max() < limit + 0.03  # for a second, where regeneration follows a hard pulse
    for cell in range(4):
        ended = np.flatnonzero((phase[:-1, cell] == CHARGE) & (phase[1:, cell] == REST_FULL))
        assert len(ended)
        end = ended[0]
        begin = end - np.argmax(phase[end::-1, cell] != CHARGE) + 1
        current, volts = c_rate[begin : end + 1, cell], voltage[begin : end + 1, cell]
        assert soc[end, cell] > (0.99 if celsius == 25.0 else 0.96)
        assert current[-1] <= 0.05
        held = volts > limit - 0.005
        assert held.sum() > 30
        assert np.all(np.diff(current[held]) < 1e-3)  # CV: the current tapers
        constant = current[100:][~held[100:]]
        assert np.ptp(constant) < 0.01  # CC before that


def test_a_full_cell_meets_no_regeneration_above_the_voltage_limit():
    phase, _, voltage, c_rate = drive(Profile(intensity=(1.2, 1.2)), 4_000, celsius=0.0)
    driving = phase == DISCHARGE
    assert voltage[driving].max() < CHEMISTRIES["nca"].voltage_max_volt + 0.02
    assert c_rate[driving].max() > 0.1  # there is some, later


def test_discharges_are_pieces_of_fuds_in_another_order_each_time():
    fuds = fuds_c_rate()
    profile = Profile(intensity=(1.0, 1.0), rest_second=(1.0, 1.0), depth_of_discharge=(0.5,))
    phase, soc, _, c_rate = drive(profile, 6_000, soc=0.9601)
    free = (phase == DISCHARGE) & (soc < 0.75)  # near full the voltage limit cuts regeneration
    pulses = [c_rate[free[:, cell], cell] for cell in range(4)]
    assert all(np.all(np.isclose(p[:, None], fuds, atol=1e-9).any(axis=1)) for p in pulses)
    assert all(len(p) > 600 for p in pulses)
    assert not np.array_equal(pulses[0][:600], pulses[1][:600])
    assert not np.allclose(pulses[0][:600], fuds[:600])


def test_the_pieces_are_short_and_cover_the_trace():
    cuts = schedule.pieces()
    assert cuts[0] == 0
    assert cuts[-1] == len(fuds_c_rate())
    assert np.diff(cuts).min() >= schedule.SHORTEST_PIECE_SECOND
    assert np.diff(cuts).max() < 120
    assert np.all(fuds_c_rate()[cuts[1:-1] - 1] > schedule.DRIVING_C)  # cut before the car pulls away


def test_a_cell_keeps_its_schedule_in_a_larger_fleet():
    small = list(drive(QUICK, 3_000, cells=2, soc=0.5))
    large = list(drive(QUICK, 3_000, cells=9, soc=0.5))
    np.testing.assert_array_equal(small[0], large[0][:, :2])


def test_command_leaves_its_arguments_as_they_were():
    parameters = Parameters.draw(3, 1)
    state = initial(parameters, [0.2, 0.6, 1.0], 1.0, 25.0)
    profile = Profile(rest_second=(0.0, 0.0))
    plan = schedule.begin(3, 1, state.soc, profile)
    before = [getattr(plan, name).copy() for name in plan.__slots__]
    schedule.command(plan, state, parameters, profile)
    for name, values in zip(plan.__slots__, before, strict=True):
        np.testing.assert_array_equal(getattr(plan, name), values)
