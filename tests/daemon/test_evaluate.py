"""Runs cut into starts; what can be scored of a cell type. The fleet itself: tests/daemon/cli/test_evaluate.py."""

import numpy as np
import pytest

from daemon.evaluate import CASES, SWITCH_ON, _start, switched_on, usable
from daemon.models import MODELS
from estimators.cell_type import CellType
from tests.daemon.traces import run


def test_starts_are_spread_over_a_run_and_leave_twenty_minutes():
    whole = run(7200, np.linspace(1.0, 0.2, 7200))
    parts = switched_on(whole)
    begins = [np.searchsorted(-whole.soc_nominal, -p.soc_nominal[0]) for p in parts]
    assert np.diff(begins) == pytest.approx(750.0, abs=1.0)
    assert 0 < begins[0] < 750
    assert 7200 - begins[-1] >= 1200
    assert all(p.test_time_second[0] == 0.0 and 1200 <= len(p.test_time_second) <= 1800 for p in parts)
    assert len({p.name for p in parts}) == 8


def test_only_the_labelled_part_of_a_run_is_cut():
    soc = np.linspace(1.0, 0.2, 7200)
    soc[3000:] = np.nan
    assert all(np.isfinite(p.soc_nominal).all() for p in switched_on(run(7200, soc)))
    assert switched_on(run(7200, np.nan)) == []
    assert switched_on(run(1100, 0.5)) == []


@pytest.mark.parametrize(("truth", "told"), [(1.0, 0.7), (0.6, 0.3), (0.4, 0.7), (0.0, 0.3)])
def test_a_wrong_start_is_wrong_by_thirty_points_and_possible(truth, told):
    assert _start(run(10, truth), SWITCH_ON, np.nan) == pytest.approx(told)
    assert _start(run(10, truth), CASES[0], np.nan) == truth
    assert np.isnan(_start(run(10, np.nan), CASES[0], np.nan))


def test_what_a_type_publishes_comes_first_and_what_it_lacks_not_at_all():
    cell_type = CellType.load("generic-nca")
    assert next(iter(usable(cell_type))) == cell_type.estimator
    assert set(usable(cell_type)) == set(MODELS)
    bare = CellType.load("lfp-1200mah")
    assert "cross_stitch" not in usable(bare)
    assert usable(bare)["coulomb"] == "coulomb"
    assert usable(bare)["ekf"].startswith("ekf-")
