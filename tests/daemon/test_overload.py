"""daemon/overload.py: when less is taken, and what."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from daemon.batch import BatchBuilder
from daemon.overload import Overload, thin


def told(overload: Overload, busy_shares) -> list[bool]:
    """Tell it a second at a time how busy we were."""
    said, busy = [], 0.0
    overload.note(0.0, 0.0)
    for second, share in enumerate(busy_shares, 1):
        busy += share
        overload.note(float(second), busy)
        said.append(overload.active)
    return said


def test_being_behind_for_long_is_an_overload_and_it_ends_by_itself():
    assert told(Overload(10.0), [1.0] * 11 + [0.8] * 11) == [False] * 9 + [True] * 11 + [False] * 2


def test_bursts_with_pauses_between_them_are_none():
    assert not any(told(Overload(2.0), [1.0, 0.2] * 50))


def test_a_silence_ends_it_before_the_next_message_is_looked_at():
    overload = Overload(2.0)
    assert told(overload, [1.0] * 5)[-1]
    overload.note(100.0, 5.1)
    assert not overload.active


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.0, 4.0)), max_size=60))
def test_the_newest_of_each_second_stays_where_it_was(samples):
    builder = BatchBuilder()
    for place, (cell, second) in enumerate(samples):
        builder.add(cell, second, float(place), 0.0, 0.0)
    batch = thin(builder.build())
    newest = {}
    for place, (cell, second) in enumerate(samples):
        key = cell, int(second)
        if key not in newest or second >= samples[newest[key]][1]:
            newest[key] = place
    assert batch.voltage_volt.tolist() == sorted(newest.values())
