from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.cell import DEAD_SOH, Parameters, initial, step
from simulators.chemistry import CHEMISTRIES


def run(state, current_c, ambient, parameters, seconds):
    """Hold one C-rate and keep every state."""
    states = []
    for _ in range(seconds):
        state = step(state, np.full(len(state.soc), current_c * parameters.nominal_capacity_ah), ambient, parameters)
        states.append(state)
    return states


@settings(max_examples=20, deadline=None)
@given(
    currents=st.lists(st.floats(-9.0, 4.0), min_size=1, max_size=60),
    soh=st.floats(0.7, 1.0),
    chemistry=st.sampled_from(sorted(CHEMISTRIES)),
)
def test_true_soc_moves_by_the_charge_over_the_present_capacity(currents, soh, chemistry):
    parameters = Parameters.draw(2, 1, chemistry, ageing_speed=0.0)
    state = initial(parameters, 0.6, soh, 25.0)
    for current in currents:
        state = step(state, np.full(2, current), 25.0, parameters)
    moved = sum(currents) / 3_600.0 / (soh * parameters.nominal_capacity_ah)
    np.testing.assert_allclose(state.soc, 0.6 + moved, rtol=0, atol=1e-12)
    np.testing.assert_allclose(state.throughput_ah, np.abs(currents).sum() / 3_600.0, rtol=1e-9)


def test_step_leaves_its_arguments_as_they_were():
    parameters = Parameters.draw(3, 1)
    before = initial(parameters, [0.1, 0.5, 0.9], 0.9, 10.0)
    copy = replace(before, **{f.name: getattr(before, f.name).copy() for f in fields(before)})
    current = np.array([-3.0, 0.0, 2.0])
    step(before, current, 25.0, parameters)
    for f in fields(before):
        np.testing.assert_array_equal(getattr(before, f.name), getattr(copy, f.name))
    np.testing.assert_array_equal(current, [-3.0, 0.0, 2.0])


def test_a_cell_does_not_depend_on_its_neighbours():
    parameters = Parameters.draw(5, 1)
    alone = replace(
        parameters,
        **{f.name: v[3:4] for f in fields(parameters) if isinstance(v := getattr(parameters, f.name), np.ndarray)},
    )
    state, single = initial(parameters, 0.5, 0.9, 5.0), initial(alone, 0.5, 0.9, 5.0)
    for second in range(100):
        current = np.linspace(-6.0, 2.0, 5) * (second % 7)
        state, single = step(state, current, 5.0, parameters), step(single, current[3:4], 5.0, alone)
    for f in fields(state):
        np.testing.assert_allclose(getattr(state, f.name)[3:4], getattr(single, f.name), rtol=1e-12)


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
def test_the_cold_costs_voltage_and_the_warmth_gives_it_back(chemistry):
    sag = {}
    for celsius in (-20.0, 0.0, 25.0, 45.0):
        parameters = Parameters.draw(1, 1, chemistry)
        start = initial(parameters, 0.5, 1.0, celsius)
        end = run(start, -1.0, celsius, parameters, 60)[-1]
        sag[celsius] = float((start.voltage_volt - end.voltage_volt)[0])
    assert sag[-20.0] > sag[0.0] > sag[25.0] > sag[45.0] > 0.0
    assert 3.0 < sag[-20.0] / sag[25.0] < 8.0
    assert 0.01 < sag[25.0] < 0.2


def test_what_is_lost_on_the_way_becomes_heat():
    parameters = Parameters.draw(1, 1, ageing_speed=0.0)
    sealed = replace(parameters, cooling=np.zeros(1))
    flat = replace(sealed, chemistry=replace(sealed.chemistry, entropy=((-0.05, 0.0), (1.05, 0.0))))
    start = initial(flat, 0.5, 1.0, 25.0)
    there = run(start, -1.0, 25.0, flat, 300)
    back = run(there[-1], 1.0, 25.0, flat, 300)
    drawn = sum(float((s.voltage_volt * s.current_ampere)[0]) for s in there + back)  # joule; SOC is where it was
    kept = flat.chemistry.heat_joule_per_kelvin_ah * flat.nominal_capacity_ah
    warmed = float((back[-1].temperature_celsius - start.temperature_celsius)[0]) * kept
    assert warmed > 50.0
    assert warmed == pytest.approx(drawn, rel=0.01)


def test_a_cell_at_rest_relaxes_and_takes_the_temperature_of_the_room():
    parameters = Parameters.draw(4, 1)
    loaded = run(initial(parameters, 0.8, 1.0, 25.0), -1.5, 25.0, parameters, 600)[-1]
    rested = run(loaded, 0.0, 25.0, parameters, 4 * 3_600)
    voltage = np.stack([s.voltage_volt for s in rested])
    assert np.all(voltage[0] > loaded.voltage_volt)
    assert np.all(np.abs(voltage[-1] - voltage[-600]) < 1e-4)
    assert np.all(np.abs(rested[-1].temperature_celsius - 25.0) < 0.05)


def test_hysteresis_leaves_charge_above_discharge_and_more_so_in_lfp():
    gap = {}
    for chemistry in CHEMISTRIES:
        parameters = Parameters.draw(1, 1, chemistry, ageing_speed=0.0)
        branch = {}
        for sign, start in ((1.0, 0.3), (-1.0, 0.7)):
            state = run(initial(parameters, start, 1.0, 25.0), 0.5 * sign, 25.0, parameters, 1_440)[-1]
            branch[sign] = run(state, 0.0, 25.0, parameters, 3_600)[-1]
        assert branch[1.0].soc == pytest.approx(branch[-1.0].soc)
        gap[chemistry] = float((branch[1.0].voltage_volt - branch[-1.0].voltage_volt)[0])
    assert 0.005 < gap["nca"] < gap["lfp"] < 0.05


def test_ageing_takes_capacity_and_adds_resistance_and_never_gives_back():
    parameters = Parameters.draw(3, 1, ageing_speed=500.0)
    state = initial(parameters, 0.5, 1.0, 25.0)
    soh, resistance = [state.soh], [state.resistance_ratio]
    for second in range(8_000):
        sign = -1.0 if second % 3_600 < 1_800 else 1.0
        state = step(state, np.full(3, sign * 2.0), 25.0, parameters)
        soh.append(state.soh)
        resistance.append(state.resistance_ratio)
    assert np.all(np.diff(soh, axis=0) < 0.0)
    assert np.all(np.diff(resistance, axis=0) > 0.0)
    assert np.all(state.soh < 0.9)
    assert len({round(float(v), 6) for v in (state.resistance_ratio - 1.0) / (1.0 - state.soh)}) == 3


def test_heat_and_a_full_charge_age_a_resting_cell_faster():
    parameters = Parameters.draw(4, 1, ageing_speed=1.0)
    same = replace(parameters, ageing=np.ones(4))
    start = initial(same, [0.2, 0.9, 0.2, 0.9], 1.0, [25.0, 25.0, 45.0, 45.0])
    loss = 1.0 - run(start, 0.0, np.array([25.0, 25.0, 45.0, 45.0]), same, 600)[-1].soh
    assert loss[0] < loss[1] < loss[3]
    assert loss[0] < loss[2] < loss[3]


def test_charging_in_the_cold_ages_more_than_discharging_there():
    parameters = replace(Parameters.draw(1, 1), ageing=np.ones(1))
    start = initial(parameters, 0.5, 1.0, -10.0)
    charged = run(start, 0.5, -10.0, parameters, 300)[-1]
    discharged = run(start, -0.5, -10.0, parameters, 300)[-1]
    assert 1.0 - charged.soh > 2.0 * (1.0 - discharged.soh)


def test_ageing_ends_where_the_law_does():
    parameters = Parameters.draw(2, 1, ageing_speed=1e6)
    state = run(initial(parameters, 0.5, 0.6, 25.0), 0.0, 25.0, parameters, 3_600)[-1]
    assert np.all((state.soh < DEAD_SOH) & (state.soh > 0.4))


def test_an_aged_cell_starts_with_more_resistance():
    parameters = Parameters.draw(2, 1)
    new, aged = initial(parameters, 0.5, 1.0, 25.0), initial(parameters, 0.5, 0.8, 25.0)
    assert np.all(aged.resistance_ohm > 1.1 * new.resistance_ohm)


def test_a_seed_draws_the_same_lot_and_another_seed_another():
    one, again, other = (Parameters.draw(8, seed) for seed in (3, 3, 4))
    assert one.resistance.tobytes() == again.resistance.tobytes()
    assert one.ageing.tobytes() == again.ageing.tobytes()
    assert not np.any(one.resistance == other.resistance)
    assert len(set(one.resistance.tolist())) == 8


def test_an_unknown_chemistry_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"`nickel`.*nca, nmc, lfp"):
        Parameters.draw(1, 1, "nickel")


def test_a_cell_without_capacity_is_refused():
    with pytest.raises(ValueError, match="SOH must be above 0"):
        initial(Parameters.draw(2, 1), 0.5, [1.0, 0.0], 25.0)
