from pathlib import Path

import numpy as np
import polars as pl
import pytest

from daemon.errors import LogError
from daemon.labels import Known, labelled

KNOWN = Known(nominal_capacity_ah=2.0, reference_soh=0.9, initial_soc=1.0, ambient_temperature_celsius=21.0)


def write(tmp_path: Path, **columns) -> Path:
    length = len(next(iter(columns.values())))
    base = {"test_time_second": np.arange(float(length)), "voltage_volt": 3.6, "current_ampere": -1.0}
    path = tmp_path / "log.csv"
    pl.DataFrame({n: np.broadcast_to(v, length) for n, v in (base | columns).items()}).write_csv(path)
    return path


def test_a_counter_that_does_not_begin_at_zero_counts_from_its_first_row(tmp_path):
    run = labelled(write(tmp_path, net_capacity_ah=[1.7, 1.5, 1.3]), KNOWN)
    np.testing.assert_allclose(run.soc, [1.0, 0.9, 0.8])
    assert run.capacity_ah == 2.0
    assert run.name == "log"


def test_without_a_counter_the_current_is_counted(tmp_path):
    run = labelled(write(tmp_path, current_ampere=[-7.2, -7.2, 0.0]), KNOWN)
    np.testing.assert_allclose(run.soc, [0.999, 0.998, 0.998][: len(run.soc)])


def test_a_soc_column_is_taken_as_it_is(tmp_path):
    run = labelled(write(tmp_path, soc=[0.5, 0.4, 0.6]), KNOWN)
    np.testing.assert_allclose(run.soc, [0.5, 0.4, 0.6])


def test_a_soc_beside_a_soh_is_of_present_capacity(tmp_path):
    run = labelled(write(tmp_path, soc=[0.5, 0.0], soh=[0.8, 0.8]), KNOWN)
    np.testing.assert_allclose(run.soc, [1 - 0.5 * 0.9, 0.1])
    assert run.capacity_ah == pytest.approx(2.0 * 0.8 / 0.9)


def test_counted_labels_end_at_their_lowest(tmp_path):
    run = labelled(write(tmp_path, net_capacity_ah=[0.0, -1.0, -2.0, -1.0, 0.0]), KNOWN)
    np.testing.assert_allclose(run.soc, [1.0, 0.5, 0.0])


def test_rows_are_put_in_order_of_time_and_duplicates_dropped(tmp_path):
    run = labelled(write(tmp_path, test_time_second=[2.0, 0.0, 0.0], soc=[0.3, 0.5, 0.4]), KNOWN)
    assert run.test_time_second.tolist() == [0.0, 2.0]
    assert run.soc.tolist() == [0.5, 0.3]


def test_a_missing_temperature_is_the_ambient_one(tmp_path):
    run = labelled(write(tmp_path, soc=[0.5, 0.4], ambient_temperature_celsius=[5.0, np.nan]), KNOWN)
    assert run.temperature_celsius.tolist() == [5.0, 21.0]


def test_a_hole_without_a_counter_is_refused(tmp_path):
    with pytest.raises(LogError, match="a hole of 500 s"):
        labelled(write(tmp_path, test_time_second=[0.0, 1.0, 501.0]), KNOWN)
