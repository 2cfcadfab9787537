import doctest

import numpy as np
import pytest

from daemon import bank, models
from daemon.bank import SHAPES, Bank, chunk
from estimators.contract import Second, Start
from tests.daemon.counting import Counting


class Watched(Counting):
    """Keeps the number of rows of each step."""

    def __init__(self):
        super().__init__(None)
        self.shapes = []

    def step(self, state, second):
        self.shapes.append(len(second.voltage_volt))
        assert {len(a) for a in state.values()} == {len(second.voltage_volt)}
        return super().step(state, second)


def second(rows):
    return Second(np.full(rows, 3.5), np.linspace(-2, 2, rows), np.full(rows, 25.0))


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 40, 65, 300, 1000, 1024, 5000])
def test_rows_are_stepped_in_fixed_shapes_of_16_and_more_with_little_padding(rows):
    estimator = Watched()
    cells = Bank(estimator)
    cells.grow(rows)
    cells.start(np.arange(rows), Start.told(np.full(rows, 0.5), np.linspace(0.8, 1.0, rows)))
    estimate = cells.step(np.arange(rows), second(rows))
    assert set(estimator.shapes) <= set(SHAPES)
    assert sum(estimator.shapes) <= max(16, 2 * rows)
    assert estimate.soh.tolist() == np.linspace(0.8, 1.0, rows).tolist()
    assert np.all(np.diff(cells.state["soc"]) > 0)


def test_chunks_take_every_row():
    for rows in range(1, 3000, 7):
        left, calls = rows, 0
        while left:
            left -= chunk(left)[0]
            calls += 1
        assert calls <= 8


def test_only_the_cells_named_move():
    cells = Bank(Counting(None))
    cells.grow(8)
    cells.start(np.arange(8), Start.told(np.full(8, 0.5), np.ones(8)))
    cells.step(np.array([6, 2]), second(2))
    moved = cells.state["soc"] != 0.5
    assert np.flatnonzero(moved).tolist() == [2, 6]
    assert cells.state["soc"][6] < 0.5 < cells.state["soc"][2]


def test_the_examples_hold():
    assert doctest.testmod(bank).failed == 0
    assert doctest.testmod(models).failed == 0
