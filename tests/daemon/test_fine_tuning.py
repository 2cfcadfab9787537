"""Which stretches of which logs tune and measure a network."""

import numpy as np
import pytest

from daemon import fine_tuning
from daemon.fine_tuning import pieces_of, to_measure
from estimators.cell_type import CellType
from estimators.ekf.identify import Run


@pytest.fixture(scope="module")
def cell_type():
    return CellType.load("lg-18650hg2")


def run(name, second, soc_begin=1.0, current=-1.0):
    time = np.asarray(second, dtype=np.float64)
    counted = soc_begin + current * (time - time[0]) / 3600.0 / 3.0
    full = (np.full(len(time), value) for value in (3.7, current, 25.0))
    return Run(name, time, *full, counted, 3.0)


def test_a_hole_parts_a_run_and_short_pieces_are_left_out(cell_type):
    time = np.concatenate([np.arange(0, 1000), np.arange(2000, 2100), np.arange(5000, 6000)])
    found = pieces_of(fine_tuning.labelled(run("a", time), cell_type), cell_type)
    assert [(p.test_time_second[0], p.test_time_second[-1]) for p in found] == [(0, 999), (5000, 5999)]


def test_a_run_gets_back_the_nominal_label_that_it_came_with(cell_type):
    whole = fine_tuning.labelled(run("a", np.arange(1000)), cell_type)
    assert whole.soc_nominal == pytest.approx(1.0 - np.arange(1000) / 3600.0 / 3.0)
    assert whole.soh == cell_type.typical_soh


def test_what_measures_is_cut_short_begins_at_zero_and_is_not_too_much(cell_type, monkeypatch):
    monkeypatch.setattr(fine_tuning, "LONGEST_HELD_OUT_SECOND", 600.0)
    runs = [run(f"run_{i}", np.arange(5000, 6000)) for i in range(20)]
    found = to_measure(runs, cell_type)
    assert 4 <= len(found) <= fine_tuning.MOST_HELD_OUT
    assert {(p.test_time_second[0], len(p.test_time_second)) for p in found} == {(0.0, 600)}
    assert to_measure([], cell_type) == []
