"""PyBaMM's cells, beside what PyBaMM's own solver makes of the same equations."""

import numpy as np
import pytest

from simulators import spme
from simulators.recording import simulate
from simulators.schedule import Profile

pybamm = pytest.importorskip("pybamm", reason="PyBaMM is not installed: pip install 'bmsd[train]'")

SECONDS = 900


def solved(chemistry, state, second, ampere, stop_volt=0.5):
    """PyBaMM's solution for a cell in `state`, its current (of the set's own cell) given over time."""
    values = pybamm.ParameterValues(spme.SETS[chemistry])
    lent = pybamm.ParameterValues(spme.HEAT_SET)
    values.update({key: lent[key] for key in lent if key not in values}, check_already_exists=False)
    values.update(dict(zip(spme.INPUTS, state.inputs[0], strict=True)), check_already_exists=False)
    values["Current function [A]"] = pybamm.Interpolant(second, ampere, pybamm.t)
    values["Lower voltage cut-off [V]"], values["Upper voltage cut-off [V]"] = stop_volt, 6.0
    model = pybamm.lithium_ion.SPMe({"thermal": "lumped", "contact resistance": "true"})
    simulation = pybamm.Simulation(model, parameter_values=values, var_pts=spme.POINTS)
    return simulation.solve(second)


def own_ampere(chemistry):
    """Capacity in Ah of the set's own new cell."""
    return spme._physics(spme.Parameters.draw(1, 1, chemistry).chemistry).capacity_ah


@pytest.mark.parametrize("chemistry", spme.SETS)
def test_a_drive_shows_the_voltage_and_temperature_that_pybamm_s_solver_finds(chemistry):
    start = spme.initial(spme.Parameters.draw(1, 4, chemistry), 0.96, 0.85, 10.0)
    profile = Profile(rest_second=(0.0, 20.0))
    shown = simulate(
        1,
        SECONDS,
        4,
        chemistry=chemistry,
        ambient_temperature_celsius=10.0,
        initial_soc=0.96,
        initial_soh=0.85,
        profile=profile,
        physics="spme",
    )
    ampere = shown.current_ampere[0].astype(float) / shown.nominal_capacity_ah * own_ampere(chemistry)
    assert np.abs(shown.current_ampere).max() > shown.nominal_capacity_ah  # it was driven hard
    edges = np.repeat(np.arange(SECONDS + 1.0), 2)[1:-1]
    edges[2::2] += 1e-3
    solution = solved(chemistry, start, edges, -np.repeat(ampere, 2))
    end = np.arange(1, SECONDS + 1) - 1e-4
    np.testing.assert_allclose(shown.voltage_volt[0], solution["Voltage [V]"](end), atol=3e-3)
    kelvin = solution["Volume-averaged cell temperature [K]"](end)
    np.testing.assert_allclose(shown.temperature_celsius[0], kelvin - 273.15, atol=0.05)


@pytest.mark.parametrize("chemistry", spme.SETS)
@pytest.mark.parametrize("soh", [1.0, 0.75])
def test_a_slow_discharge_from_full_gives_the_capacity_that_the_soh_says(chemistry, soh):
    parameters = spme.Parameters.draw(1, 2, chemistry)
    capacity = own_ampere(chemistry)
    hours = 100.0
    second = np.linspace(0.0, 1.1 * hours * 3_600.0, 4_000)
    solution = solved(
        chemistry,
        spme.initial(parameters, 1.0, soh, 25.0),
        second,
        np.full_like(second, capacity / hours),
        parameters.chemistry.voltage_min_volt,
    )
    given = solution["Discharge capacity [A.h]"].entries[-1] / capacity
    assert given == pytest.approx(soh, abs=0.01)


def test_soc_is_counted_against_present_capacity():
    shown = simulate(2, 3_000, 3, chemistry="nmc", initial_soc=0.9, initial_soh=[0.7, 1.0], physics="spme")
    charge = np.cumsum(shown.current_ampere.astype(float), axis=1) / 3_600.0 / shown.nominal_capacity_ah
    np.testing.assert_allclose(shown.soc, 0.9 + charge / [[0.7], [1.0]], atol=1e-5)
    assert (shown.soh == np.array([[0.7], [1.0]], np.float32)).all()


def test_the_schedule_holds_the_upper_voltage_limit():
    shown = simulate(2, 4_000, 5, chemistry="nca", initial_soc=[0.9, 1.0], physics="spme")
    assert 4.19 < shown.voltage_volt.max() < 4.22


def test_a_seed_gives_the_same_recording_bit_for_bit():
    one, again, other = (simulate(2, 200, seed, physics="spme") for seed in (1, 1, 2))
    assert one.voltage_volt.tobytes() == again.voltage_volt.tobytes()
    assert one.voltage_volt.tobytes() != other.voltage_volt.tobytes()


def test_an_aged_cell_sags_more():
    profile = Profile(rest_second=(0.0, 20.0))
    new, aged = (
        simulate(1, 600, 1, initial_soc=0.99, initial_soh=soh, profile=profile, physics="spme") for soh in (1.0, 0.75)
    )
    driven = (new.current_ampere < -new.nominal_capacity_ah) & (aged.current_ampere == new.current_ampere)
    assert driven.any()
    assert (aged.voltage_volt[driven] < new.voltage_volt[driven]).all()


def test_cells_that_cannot_be_made_are_refused():
    with pytest.raises(ValueError, match="keep the SOH"):
        simulate(1, 10, physics="spme", ageing_speed=10.0)
    with pytest.raises(ValueError, match="SOH of a cell"):
        simulate(1, 10, physics="spme", initial_soh=0.4)
