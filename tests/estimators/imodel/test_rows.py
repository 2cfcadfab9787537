import numpy as np
import pytest

from estimators.imodel.rows import ahead, until_end
from tests.estimators.imodel.made_up import rows


def test_a_later_capacity_is_that_of_the_same_cell_so_many_cycles_on():
    some = rows(cells=2, cycles=20)
    later = ahead(some, 5)
    for name in ("cell0", "cell1"):
        mine = some.cell == name
        assert later[mine][:15] == pytest.approx(some.capacity_ah[mine][5:])
        assert np.isnan(later[mine][15:]).all()


def test_cycles_left_are_counted_to_where_the_line_between_two_measurements_meets_the_end():
    cell = rows(cells=1, cycles=200)  # 0.95 - 0.0012 a cycle is at 0.8 in cycle 125; the first row is cycle 2
    unmeasured = cell.capacity_ah.copy()
    unmeasured[1::2] = np.nan
    for capacity_ah in (cell.capacity_ah, unmeasured):
        left = until_end(cell._replace(capacity_ah=capacity_ah), 0.8 * 3.5)
        assert left[:122] == pytest.approx(125.0 - cell.cycle[:122])
        assert np.isnan(left[124:]).all()


def test_a_cell_that_was_not_seen_to_reach_its_end_tells_no_cycles():
    assert np.isnan(until_end(rows(cells=1, cycles=100), 0.8 * 3.5)).all()
