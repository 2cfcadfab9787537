import dataclasses

import numpy as np
import pytest

from estimators.ekf.identify import Run, choose, explain, identify
from tests.estimators.conftest import CAPACITY_AH, REFERENCE_SOH, make_drive, make_tables, show


def run_of(tables, celsius, seconds=6000, soc=0.98, seed=0, name="drive", **kwargs):
    shown = show(tables, make_drive(seconds, seed), soc, REFERENCE_SOH, celsius, seed)
    columns = (shown.voltage_volt, shown.current_ampere, shown.temperature_celsius)
    as_counted = 1.0 - (1.0 - shown.soc) * REFERENCE_SOH
    return Run(name, np.arange(float(seconds)), *columns, as_counted, CAPACITY_AH, **kwargs)


@pytest.fixture(scope="module")
def runs():
    return [run_of(make_tables(), celsius, seed=seed) for seed, celsius in enumerate((-5.0, 5.0, 15.0, 25.0))]


@pytest.fixture(scope="module")
def found(runs):
    return identify(runs, CAPACITY_AH, REFERENCE_SOH)


def rms_millivolt(tables, run):
    return 1000 * np.sqrt(np.mean((run.voltage_volt - explain(tables, run)) ** 2))


def test_the_tables_explain_a_drive_that_they_have_not_seen(found):
    assert rms_millivolt(found, run_of(make_tables(), 10.0, seed=9)) < 8.0


def test_the_ocv_is_found_where_the_logs_have_been(found):
    truth = make_tables()
    soc = np.flatnonzero((found.soc > 0.15) & (found.soc < 0.95))
    ocv = found.ocv_volt[soc][:, found.temperature_celsius == 15.0]
    assert np.abs(ocv - truth.ocv_volt[soc][:, :1]).max() < 0.01


def test_a_resistance_is_never_negative_and_the_ocv_always_rises(found):
    for table in (found.ohmic_ohm, found.charge_transfer_volt, found.rc_ohm):
        assert (table >= 0).all()
    assert (np.diff(found.ocv_volt, axis=0) > 0).all()


def test_the_residual_is_given_for_every_temperature(found):
    assert found.residual_volt.shape == found.temperature_celsius.shape
    assert (found.residual_volt > 0.001).all()
    assert (found.residual_volt < 0.01).all()


def test_one_temperature_gives_tables_that_are_nearly_flat_over_temperature():
    tables = identify([run_of(make_tables(), 25.0)], CAPACITY_AH, REFERENCE_SOH)
    assert len(tables.temperature_celsius) >= 2
    middle = (tables.soc > 0.2) & (tables.soc < 0.9)
    assert np.ptp(tables.ocv_volt[middle], axis=1).max() < 0.005


def test_what_the_logs_do_not_tell_is_taken_from_the_similar_cell():
    like = make_tables()
    other = dataclasses.replace(like, ohmic_ohm=like.ohmic_ohm * 1.5, ocv_volt=like.ocv_volt + 0.01)
    run = run_of(other, 25.0, seconds=2400, soc=0.6)  # SOC 0.6 to 0.3
    tables = identify([run], CAPACITY_AH, REFERENCE_SOH, like)
    assert rms_millivolt(tables, run) < rms_millivolt(like, run) / 2
    top = tables.soc > 0.9
    np.testing.assert_allclose(tables.ocv_volt[top], like.ocv_volt[top], atol=0.02)
    np.testing.assert_array_equal(tables.soc, like.soc)


def test_nothing_to_fit_is_refused():
    with pytest.raises(ValueError, match="two rows"):
        identify([], CAPACITY_AH)


def test_progress_names_the_candidate_that_was_taken(runs):
    said = []
    tables = identify(runs[:1], CAPACITY_AH, progress=said.append)
    assert said[-1].startswith("taken: ")
    assert f"tau {tables.rc_second[0]:g} s" in said[-1]


def test_hysteresis_is_found_where_there_is_some_and_left_out_where_there_is_none(runs, found):
    assert not found.hysteresis_volt.any()
    truth = make_tables()
    flat = dataclasses.replace(
        truth,
        ocv_volt=3.2 + 0.1 * np.repeat(truth.soc[:, None], 5, axis=1),
        hysteresis_volt=np.full_like(truth.ocv_volt, 0.02),
        hysteresis_per_soc=np.array([20.0]),
    )
    there_and_back = [both_ways(run, flat) for run in runs]
    tables = identify(there_and_back, CAPACITY_AH, REFERENCE_SOH)
    assert tables.hysteresis_per_soc == 20.0
    middle = (tables.soc > 0.3) & (tables.soc < 0.8)
    np.testing.assert_allclose(tables.hysteresis_volt[middle], 0.02, atol=0.015)


def test_a_chemistry_known_for_hysteresis_keeps_it(runs):
    assert choose(runs[:1], CAPACITY_AH).hysteresis_per_soc == 0.0
    assert choose(runs[:1], CAPACITY_AH, hysteresis_worth=np.inf).hysteresis_per_soc > 0.0


def test_a_resistance_between_two_temperatures_falls_as_arrhenius_says():
    truth = make_tables()
    kelvin = 1.0 / (truth.temperature_celsius + 273.15) - 1.0 / 298.15
    ohm = 0.04 * np.exp(4500.0 * kelvin) * np.ones((len(truth.soc), 1))
    real = dataclasses.replace(truth, ohmic_ohm=ohm, charge_transfer_volt=0.0 * ohm, rc_ohm=0.0 * truth.rc_ohm)
    tables = identify([run_of(real, celsius) for celsius in (-10.0, 25.0)], CAPACITY_AH, REFERENCE_SOH)
    middle = (tables.soc > 0.3) & (tables.soc < 0.9)
    between = tables.ohmic_ohm[np.ix_(middle, tables.temperature_celsius == 10.0)]
    np.testing.assert_allclose(between, ohm[0, list(truth.temperature_celsius).index(10.0)], rtol=0.05)


def both_ways(run, tables):
    """Give the run's discharge and then its way back, with the voltage of the tables."""
    current = np.concatenate([run.current_ampere, -run.current_ampere[::-1]])
    soc = run.soc[0] + np.cumsum(current) / (3600.0 * run.capacity_ah)
    columns = {"current_ampere": current, "soc": soc, "test_time_second": np.arange(float(len(soc)))}
    temperature = np.full(len(soc), run.temperature_celsius[0])
    turned = dataclasses.replace(run, **columns, temperature_celsius=temperature, hysteresis=1.0)
    return dataclasses.replace(turned, voltage_volt=explain(tables, turned))
