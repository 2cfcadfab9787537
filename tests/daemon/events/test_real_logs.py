from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from tests.daemon.events.watching import data, events_of, on_grid

DRIVES = ["25c_us06", "25c_la92", "neg10c_udds", "0c_hwfet"]


def log(name, until=np.inf):
    rows = pl.read_csv(data(f"panasonic-18650pf/{name}.csv.gz")).filter(pl.col("test_time_second") < until)
    names = ("test_time_second", "voltage_volt", "current_ampere", "temperature_celsius")
    return [rows[n].to_numpy() for n in names]


@pytest.mark.parametrize("name", DRIVES)
def test_a_measured_drive_is_a_discharge_without_charges_pulses_or_rests(name):
    time, *rest = log(name)
    ampere = rest[1]
    events = events_of(on_grid(time, *rest))
    wakes, drives = (np.flatnonzero(np.abs(ampere) > least) for least in (0.05, 0.3))
    first, last = time[drives[0]], time[drives[-1]]
    inside = [e for e in events if first < e.begin_second < last - 60 and e.kind not in ("discharge", "cycle")]
    assert inside == []
    begun = [e.begin_second for e in events if (e.kind, e.phase) == ("discharge", "begin")]
    assert len(begun) == 1
    assert time[wakes[0]] <= begun[0] <= first + 5  # what the standing car draws is no rest


def steps(time, ampere):
    """Find where the tester sets a current, and for how long."""
    on = np.abs(ampere) > 0.1
    edge = np.flatnonzero(np.diff(on)) + 1
    spans = [(time[a], time[b] - time[a], np.median(ampere[a:b])) for a, b in pairwise(edge) if on[a]]
    return [s for s in spans if 0.5 <= s[1] <= 60]


@pytest.mark.parametrize("name", ["25c_5pulse_hppc", "neg10c_5pulse_hppc"])
def test_every_pulse_of_a_measured_pulse_test_is_found(name):
    columns = log(name, 12_000)
    want = steps(columns[0], columns[2])
    found = [e for e in events_of(on_grid(*columns)) if e.kind == "pulse"]
    assert len(want) >= 8
    assert len(found) == len(want)
    for pulse, (begin, length, ampere) in zip(found, want, strict=True):
        assert abs(pulse.begin_second - begin) <= 1
        if length > 3:
            assert pulse.detail["current_ampere"] == pytest.approx(ampere, rel=0.01)


def bench(cell, operations):
    """Lay the first operations of a tester end to end."""
    rows = pl.read_csv(data(f"nasa-pcoe-aging/{cell}_timeseries.csv.gz"), n_rows=30_000)
    names = ("test_time_second", "voltage_volt", "current_ampere", "temperature_celsius")
    parts, now = [], 0.0
    for _, part in rows.filter(pl.col("operation").rank("dense") <= operations).group_by(
        "operation", maintain_order=True
    ):
        parts.append(np.stack([part[name].to_numpy() for name in names]))
        parts[-1][0] += now
        now = parts[-1][0, -1] + 1.0
    return np.concatenate(parts, axis=1)


def begins(time, on, least_second=60.0):
    """Say between which samples a state that lasts for so long begins."""
    edge = np.flatnonzero(np.diff(np.concatenate([[0], on, [0]])))
    spans = [(a, b) for a, b in zip(edge[::2], edge[1::2], strict=True) if time[b - 1] - time[a] >= least_second]
    return [(time[max(a - 1, 0)], time[a]) for a, _ in spans]


@pytest.mark.parametrize("cell", ["B0025", "B0029", "B0045"])
def test_every_charge_its_stages_and_every_rest_of_a_measured_bench_is_found_within_five_seconds(cell):
    time, volt, ampere, celsius = bench(cell, 3)
    told = events_of(on_grid(time, volt, ampere, celsius))
    charging = ampere > 0.02
    truth = {"charge": charging, "rest": np.abs(ampere) < 0.015, "constant_voltage": charging & (ampere < 1.4999)}
    for kind, on in truth.items():
        found = [e.begin_second for e in told if (e.kind, e.phase) == (kind, "begin")]
        between = begins(time, on)
        assert len(found) == len(between) > 0, kind
        assert all(a - 5 <= begin <= b + 5 for begin, (a, b) in zip(found, between, strict=True)), kind
    assert not [e for e in told if e.kind == "pulse"]
