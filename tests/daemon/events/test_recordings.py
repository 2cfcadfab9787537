from dataclasses import fields

import numpy as np
import polars as pl
import pytest

from daemon import history
from daemon.events import Watch
from daemon.recording import BYTES_PER_CELL, ROOM
from daemon.slots import grow
from estimators.features import Window, charge_curve, rest_curve
from tests.daemon.events.test_charging import CURRENT, VOLT, noisy
from tests.daemon.events.watching import FACTS, closed, data, evidence_of, join, on_grid, see, watch


def test_a_relaxation_is_recorded_from_its_first_second():
    (seen,) = evidence_of(closed(CURRENT, volt=VOLT), "rest", flush=True)[-1:]
    rest = seen.rest
    assert (seen.rest_after, rest.begin_second, rest.second[0], rest.length_second) == ("charge", 5120.0, 0.0, 900.0)
    want = np.array(VOLT)[5120:]
    np.testing.assert_allclose(rest_curve(rest.second, rest.voltage_volt, 30.0, 30), want[::30], atol=1e-4)


def test_the_recordings_of_one_charge_fit_together():
    (seen,) = evidence_of(closed(CURRENT, volt=VOLT), "rest", flush=True)[-1:]
    current, voltage = seen.constant_current, seen.constant_voltage
    assert current.begin_second == 120.0
    assert current.begin_second + current.length_second == voltage.begin_second
    assert voltage.begin_second + voltage.length_second == seen.rest.begin_second
    curve = charge_curve(current.voltage_volt, current.charge_ah, Window(3.65, 4.15))
    want = 1.5 / 3600 * (Window(3.65, 4.15).voltage_volt - 3.65) / 0.6 * 2999
    np.testing.assert_allclose(curve, want, atol=2e-4)


def test_charge_is_kept_exactly_however_much_is_thinned():
    rng = np.random.default_rng(2)
    current = 1.5 + 0.01 * rng.standard_normal(9000)
    (seen,) = evidence_of(closed(current, volt=np.linspace(3.4, 4.1, 9000)), "constant_current", flush=True)
    recorded = seen.constant_current
    assert 256 <= len(recorded) <= 512
    second = recorded.second.astype(int)
    exact = np.concatenate([[0.0], np.cumsum(current)])[second] / 3600
    np.testing.assert_allclose(recorded.charge_ah, exact, atol=1e-6)
    assert second[-1] == 8999


def test_a_long_rest_is_given_after_an_hour_and_a_pulse_ends_what_is_recorded():
    (hour,) = evidence_of(closed([0.0] * 10_000), "rest")
    assert (hour.end_second, hour.rest.length_second) == (3600.0, 3600.0)
    assert len(hour.rest) <= 257
    (short,) = evidence_of(closed([0.0] * 900 + [-3.0] * 10 + [0.0] * 900), "rest")
    assert (short.end_second, short.rest.length_second) == (900.0, 900.0)


def test_a_silent_source_adds_charge_but_no_points():
    held = [k for k in range(3000) if k % 10]
    (seen,) = evidence_of(
        closed([1.5] * 3000, volt=np.linspace(3.6, 4.1, 3000), held=held), "constant_current", flush=True
    )
    assert seen.sample_second == pytest.approx(10.0)
    assert set(np.diff(seen.constant_current.second)) == {10.0}
    assert seen.constant_current.charge_ah[-1] == pytest.approx(2990 * 1.5 / 3600, rel=1e-6)


def test_a_new_charge_forgets_the_one_before():
    current = CURRENT + [1.0] * 600
    volt = VOLT + list(np.linspace(4.0, 4.05, 600))
    seen = evidence_of(closed(current, volt=volt), "constant_current", flush=True)[-1]
    assert seen.constant_current.begin_second == 6020.0
    assert (seen.constant_voltage, seen.rest) == (None, None)


def test_a_cells_memory_is_bounded_and_told():
    state = Watch()
    for part in state.states:
        grow(part, 1)
    size = sum(getattr(part, f.name).nbytes for part in state.keeper.states[:2] for f in fields(part))
    assert size == BYTES_PER_CELL
    assert sum(getattr(part, f.name).nbytes for part in state.past for f in fields(part)) == history.BYTES_PER_CELL
    assert sum(getattr(part, f.name).nbytes for part in state.states for f in fields(part)) < 29_000
    noise = [see(noisy(seed=s)).phases[-1].recordings.count.max(axis=0) for s in range(1)]
    assert (np.array(noise) <= ROOM).all()


def test_what_is_recorded_of_a_cell_does_not_depend_on_its_company():
    (alone,) = evidence_of(noisy(), "constant_current")
    seeing, bounds = watch(3)
    one, other = noisy(), noisy(seed=1)
    one.slot[:], other.slot[:] = 2, 1
    (crowd,) = [
        p.evidence(FACTS, alone.standing)
        for p in seeing.see(join(other, one), bounds).phases
        if p.slot == 2 and p.trigger == "constant_current"
    ]
    for name in ("second", "voltage_volt", "current_ampere"):
        assert getattr(crowd.constant_current, name).tobytes() == getattr(alone.constant_current, name).tobytes()


@pytest.mark.parametrize("cell", ["B0025", "B0029"])
def test_features_of_the_stream_are_those_of_the_file(cell):
    rows = pl.read_csv(data(f"nasa-pcoe-aging/{cell}_timeseries.csv.gz"))
    operations = pl.read_csv(data(f"nasa-pcoe-aging/{cell}_operations.csv.gz"))
    for number in operations.filter(pl.col("type") == "charge")["operation"].to_list()[:2]:
        charge = rows.filter((pl.col("operation") == number) & (pl.col("test_time_second") < 4500))
        names = ("test_time_second", "voltage_volt", "current_ampere", "temperature_celsius")
        time, volt, ampere, celsius = (charge[n].to_numpy() for n in names)
        (seen,) = evidence_of(on_grid(time, volt, ampere, celsius), "constant_current")
        streamed = charge_curve(seen.constant_current.voltage_volt, seen.constant_current.charge_ah, Window(3.6, 4.15))
        part = (np.abs(ampere - 1.51) < 0.03) & (time > 4.0)
        taken = np.concatenate([[0.0], np.cumsum(ampere[part][:-1] * np.diff(time[part]))]) / 3600
        filed = charge_curve(volt[part], taken, Window(3.6, 4.15))
        assert np.isfinite(filed).all()
        np.testing.assert_allclose(streamed, filed, atol=0.001)  # a milliampere hour of a thousand
        assert seen.sample_second == pytest.approx(10.0, rel=0.1)
