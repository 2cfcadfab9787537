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


def test_a_voltage_beyond_the_tables_gives_their_edge(tables):
    found = Circuit(tables).soc_at(np.array([1.0, 9.0]), np.zeros(2), np.full(2, 25.0))
    np.testing.assert_allclose(found, [tables.soc[0], tables.soc[-1]])
