import dataclasses

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from estimators.circuit import Circuit


def test_tables_are_interpolated_bilinearly_and_clamped(tables):
    random = np.random.default_rng(0)
    soc, celsius = random.uniform(-0.3, 1.3, 500), random.uniform(-30, 60, 500)
    point = Circuit(tables).at(soc, celsius)
    inside = np.stack([np.clip(soc, -0.1, 1.05), np.clip(celsius, -10, 30)], axis=1)
    for mine, table in (
        (point.ocv_volt, tables.ocv_volt),
        (point.ohmic_ohm, tables.ohmic_ohm),
        (point.charge_transfer_volt, tables.charge_transfer_volt),
        (point.rc_1_ohm, tables.rc_ohm[0]),
        (point.rc_2_ohm, tables.rc_ohm[1]),
    ):
        other = RegularGridInterpolator((tables.soc, tables.temperature_celsius), table)(inside)
        np.testing.assert_allclose(mine, other, rtol=1e-12)


def test_slopes_are_those_of_the_tables_seen_over_two_steps(tables):
    circuit, step = Circuit(tables), tables.soc[1] - tables.soc[0]
    soc, celsius = tables.soc[5:-5], np.full(len(tables.soc) - 10, 12.0)
    here, above, below = (circuit.at(s, celsius) for s in (soc, soc + step, soc - step))
    np.testing.assert_allclose(here.ocv_slope, (above.ocv_volt - below.ocv_volt) / (2 * step), rtol=1e-9)
    np.testing.assert_allclose(here.ohmic_slope, (above.ohmic_ohm - below.ohmic_ohm) / (2 * step), rtol=1e-9)


@pytest.mark.parametrize("ampere", [0.0, -2.0, 1.0])
def test_a_voltage_leads_back_to_its_soc(tables, ampere):
    circuit = Circuit(tables)
    soc, celsius, current = np.linspace(0.0, 1.0, 41), np.full(41, 12.0), np.full(41, ampere)
    at = circuit.at(soc, celsius)
    volt = at.ocv_volt + at.ohmic_ohm * current
    volt = volt + at.charge_transfer_volt * np.arcsinh(current / circuit.charge_transfer_ampere)
    np.testing.assert_allclose(circuit.soc_at(volt, current, celsius), soc, atol=2e-3)


def test_a_voltage_after_minutes_of_load_leads_back_to_its_soc(tables):
    circuit = Circuit(tables)
    soc, celsius, current, rc = np.linspace(0.0, 1.0, 41), np.full(41, 12.0), np.full(41, -1.0), np.full(41, -0.8)
    volt = circuit.terminal(circuit.at(soc, celsius), current, rc, rc, np.zeros(41)).volt
    np.testing.assert_allclose(circuit.soc_at(volt, current, celsius, rc), soc, atol=2e-3)
    assert (circuit.soc_at(volt, current, celsius) < soc - 0.01)[4:-4].all()


def test_a_voltage_beyond_the_tables_gives_their_edge(tables):
    found = Circuit(tables).soc_at(np.array([1.0, 9.0]), np.zeros(2), np.full(2, 25.0))
    np.testing.assert_allclose(found, [tables.soc[0], tables.soc[-1]])


def test_the_slopes_of_the_voltage_are_those_that_it_is_seen_to_have(tables):
    hysteretic = dataclasses.replace(tables, hysteresis_volt=0.02 + 0.03 * tables.ocv_volt / 4.0)
    circuit, step = Circuit(hysteretic), tables.soc[1] - tables.soc[0]
    soc = tables.soc[5:-5]
    celsius, ampere, one, half = (np.full(len(soc), x) for x in (12.0, -1.5, 1.0, -0.5))

    def shown(soc, ampere):
        return circuit.terminal(circuit.at(soc, celsius), ampere, one, half, half)

    over_soc = (shown(soc + step, ampere).volt - shown(soc - step, ampere).volt) / (2 * step)
    np.testing.assert_allclose(shown(soc, ampere).over_soc, over_soc, rtol=1e-9)
    over_ampere = (shown(soc, ampere + 1e-4).volt - shown(soc, ampere - 1e-4).volt) / 2e-4
    np.testing.assert_allclose(shown(soc, ampere).over_ampere, over_ampere, rtol=1e-6)


def test_what_is_neither_ocv_nor_hysteresis_falls_over_the_resistances(tables):
    circuit = Circuit(dataclasses.replace(tables, hysteresis_volt=np.full_like(tables.ocv_volt, 0.02)))
    point = circuit.at(np.full(3, 0.5), np.full(3, 12.0))
    none, up = np.zeros(3), np.array([-1.0, 0.0, 1.0])
    rested = circuit.terminal(point, none, none, none, up)
    np.testing.assert_allclose(rested.volt, point.ocv_volt + 0.02 * up)
    np.testing.assert_array_equal(rested.over_volt, 0.0)
    loaded = circuit.terminal(point, up, none, none, none)
    np.testing.assert_allclose(loaded.volt - point.ocv_volt, loaded.over_volt)
    assert (np.sign(loaded.over_volt) == up).all()
