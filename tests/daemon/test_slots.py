import doctest
from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from daemon import slots
from daemon.slots import clear, column, grow, waves


@dataclass(slots=True)
class State:
    newest: np.ndarray = column(np.nan)
    ring: np.ndarray = column(-1, np.int32, 3)


def test_growing_keeps_what_is_there_and_makes_the_rest_fresh():
    state = State()
    grow(state, 2)
    state.newest[:], state.ring[:] = 7.0, 5
    grow(state, 4)
    assert state.newest[:2].tolist() == [7.0, 7.0]
    assert np.isnan(state.newest[2:]).all()
    assert state.ring.tolist() == [[5, 5, 5], [5, 5, 5], [-1, -1, -1], [-1, -1, -1]]


def test_clearing_touches_only_the_slots_named():
    state = State()
    grow(state, 3)
    state.newest[:] = 7.0
    clear(state, np.array([1]))
    assert np.isnan(state.newest).tolist() == [False, True, False]


@given(st.lists(st.integers(0, 5), max_size=40))
def test_waves_hold_every_row_once_each_slot_once_and_in_its_order(slot):
    slot = np.array(slot, dtype=np.intp)
    parts = waves(slot)
    assert sorted(row for wave in parts for row in wave.tolist()) == list(range(len(slot)))
    assert all(len(set(slot[wave])) == len(wave) for wave in parts)
    for each in set(slot.tolist()):
        mine = [row for wave in parts for row in wave.tolist() if slot[row] == each]
        assert mine == sorted(mine)
    assert len(parts) == max(np.bincount(slot), default=0)


def test_the_examples_hold():
    assert doctest.testmod(slots).failed == 0
