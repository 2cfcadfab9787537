"""daemon/publish.py: what is said again, and when."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config import Cells, Config, Grid, PackRule, Publish
from daemon.publish import Publisher
from daemon.rows import Flag, Output, Rows
from daemon.wire import Event

RULES = Cells(
    packs=[
        PackRule(pattern="slow", cell_type="generic-nmc", max_hold_second=100.0),
        PackRule(pattern="*", cell_type="generic-nmc"),
    ]
)
LABELS = ["ekf-1", "coulomb--"]
NAMES = ["p0/a", "p0/b", "slow/a", None]


def make(**publish: float) -> Publisher:
    return Publisher(Config(cells=RULES, grid=Grid(max_hold_second=10.0), publish=Publish(**publish)))


def rows(*given: tuple) -> Rows:
    """Rows of (slot, second, soc[, soh[, flags[, estimator]]])."""
    full = [(*g, *(0.9, 0, 0)[len(g) - 3 :]) for g in given]
    slot, second, soc, soh, flags, label = np.array(full, dtype=float).reshape(-1, 6).T
    std = np.full(len(full), 0.01)
    return Rows(
        slot.astype(np.int32),
        second.astype(np.int64),
        soc,
        std,
        soh,
        std,
        flags.astype(np.uint32),
        label.astype(np.int16),
    )


def said(publisher: Publisher, *given: tuple, names=NAMES, now=0.0, events=()) -> list[tuple[str, float]]:
    parcel = publisher.take(Output(rows(*given), list(events)), names, LABELS, now)
    return [(name, state.unix_time_second) for name, state in parcel.states]


def test_a_cell_is_said_when_it_is_new_and_then_when_it_left_its_dead_band():
    publisher = make(soc_dead_band=0.01)
    assert said(publisher, (0, 1, 0.5)) == [("p0/a", 1.0)]
    assert said(publisher, (0, 2, 0.509)) == []
    assert said(publisher, (0, 3, 0.4905)) == []
    assert said(publisher, (0, 4, 0.4895)) == [("p0/a", 4.0)]


@pytest.mark.parametrize(
    "second",
    [(0, 2, 0.5, 0.902), (0, 2, 0.5, 0.9, int(Flag.STALE)), (0, 2, 0.5, 0.9, 0, 1), (0, 61, 0.5), (0, -5, 0.5)],
)
def test_soh_flags_estimator_age_and_a_clock_set_back_are_reasons_too(second):
    publisher = make()
    said(publisher, (0, 1, 0.5))
    assert said(publisher, (0, 1, 0.5)) == []
    assert said(publisher, second) == [("p0/a", float(second[1]))]


def test_each_row_of_a_backlog_is_judged_against_the_one_said_before_it():
    publisher = make(soc_dead_band=0.01)
    backlog = [(0, k, 0.5 + 0.004 * k) for k in range(10)]
    assert said(publisher, *backlog) == [("p0/a", 0.0), ("p0/a", 3.0), ("p0/a", 6.0), ("p0/a", 9.0)]


@given(
    steps=st.lists(st.tuples(st.integers(0, 1), st.floats(0.0, 1.0), st.integers(0, 1)), max_size=40),
    cut=st.integers(0, 40),
)
def test_how_rows_are_batched_changes_nothing(steps, cut):
    given_rows = [(slot, k, soc, 0.9, flags) for k, (slot, soc, flags) in enumerate(steps)]
    whole, parted = make(), make()
    at_once = said(whole, *given_rows)
    assert said(parted, *given_rows[:cut]) + said(parted, *given_rows[cut:]) == at_once


def test_a_state_carries_all_that_is_known_rounded_to_a_millionth():
    output = Output(rows((1, 7, 0.123456789, 0.9, int(Flag.STALE | Flag.FALLBACK), 1)), [])
    ((name, state),) = make().take(output, NAMES, LABELS, 0.0).states
    assert name == "p0/b"
    assert (state.soc, state.soh, state.soc_std) == (0.123457, 0.9, 0.01)
    assert (state.estimator, state.flags) == ("coulomb--", ["stale", "fallback"])


def test_events_pass_through():
    event = ("p0/a", Event(1.0, "rest", "begin", 0.0))
    parcel = make().take(Output(Rows.empty(), [event]), NAMES, LABELS, 0.0)
    assert parcel.events == [event]
    assert len(parcel) == 1


def test_another_cell_in_a_slot_begins_anew():
    publisher = make()
    said(publisher, (0, 1, 0.5), (1, 1, 0.5))
    retired = [None, *NAMES[1:]]
    assert said(publisher, (1, 2, 0.5), names=retired) == []
    assert [pack for pack, summary, _ in publisher.packs(retired) if summary.cells == 1] == ["p0"]
    taken = ["q/new", *NAMES[1:]]
    assert said(publisher, (0, 2, 0.5), names=taken) == [("q/new", 2.0)]
    assert [(pack, summary.cells) for pack, summary, _ in publisher.packs(taken)] == [("q", 1)]


def test_it_grows_with_the_fleet():
    publisher = make()
    said(publisher, (0, 1, 0.5))
    many = [f"p0/c{k:03}" for k in range(300)]
    assert len(said(publisher, *((k, 2, 0.5) for k in range(300)), names=["p0/a", *many[1:]])) == 299


def test_a_pack_is_summed_up_when_it_has_news():
    publisher = make()
    said(publisher, (0, 5, 0.5, 0.8), (1, 6, 0.4, 0.9), (2, 5, 0.7))
    summaries = {pack: (summary, frame) for pack, summary, frame in publisher.packs(NAMES)}
    summary, frame = summaries["p0"]
    assert (summary.cells, summary.soc_min, summary.soc_mean, summary.soc_max) == (2, 0.4, 0.45, 0.5)
    assert (summary.soc_spread, summary.soh_mean, summary.unix_time_second) == (0.1, 0.85, 6.0)
    assert summary.weakest_cell == "b"  # 0.4 x 0.9 < 0.5 x 0.8
    assert summary.imbalance == 0.14  # 0.6 x 0.9 is missing from the one, 0.5 x 0.8 from the other
    assert (frame.cell, frame.soc, frame.unix_time_second) == (["a", "b"], [0.5, 0.4], [5.0, 6.0])
    assert publisher.packs(NAMES) == []
    said(publisher, (2, 6, 0.7))  # inside its dead band, yet the frame moves on
    assert [pack for pack, _, _ in publisher.packs(NAMES)] == ["slow"]


def test_a_silent_cell_is_said_once_as_stale_by_our_clock_and_again_when_it_is_back():
    publisher = make()
    said(publisher, (0, 1, 0.5), (2, 1, 0.5), now=1_000.0)
    assert len(publisher.silent(NAMES, 1_010.0)) == 0
    ((name, state),) = publisher.silent(NAMES, 1_010.1).states
    assert (name, state.unix_time_second, state.flags) == ("p0/a", 1.0, ["stale"])
    assert len(publisher.silent(NAMES, 1_020.0)) == 0
    assert [frame.flags for pack, _, frame in publisher.packs(NAMES) if pack == "p0"] == [[["stale"]]]
    assert [name for name, _ in publisher.silent(NAMES, 1_100.1).states] == ["slow/a"]
    assert said(publisher, (0, 2, 0.5), now=1_200.0) == [("p0/a", 2.0)]


def test_a_cell_without_a_row_is_not_stale():
    publisher = make()
    said(publisher, (0, 1, 0.5), now=0.0)
    assert [name for name, _ in publisher.silent(NAMES, 1e9).states] == ["p0/a"]


def test_other_settings_hold_from_the_next_row_on():
    publisher = make(soc_dead_band=0.5)
    said(publisher, (0, 1, 0.5))
    assert said(publisher, (0, 2, 0.6)) == []
    publisher.reload(Config(publish=Publish(soc_dead_band=0.05)))
    assert said(publisher, (0, 3, 0.6)) == [("p0/a", 3.0)]


def test_the_newest_state_of_each_cell_is_told_though_it_was_not_worth_saying():
    publisher = make(soc_dead_band=0.1, historical_second=100.0)
    said(publisher, (0, 1, 0.5), (1, 1, 0.4), (2, 5, 0.3))
    assert said(publisher, (0, 2, 0.51)) == []
    newest = publisher.newest(["p0/a", None, "slow/a", None], 102.5)
    said(publisher, (0, 3, 0.9))
    states = dict(newest.states())
    assert {name: (s.unix_time_second, s.soc) for name, s in states.items()} == {"p0/a": (2, 0.51), "slow/a": (5, 0.3)}
    assert {name: s.historical for name, s in states.items()} == {"p0/a": True, "slow/a": False}


def test_stale_cells_are_counted_until_they_are_heard_or_let_go():
    publisher = make()
    said(publisher, (0, 1, 0.5), (1, 1, 0.4))
    assert publisher.stale(NAMES) == 0
    publisher.silent(NAMES, 11.0)
    assert publisher.stale(NAMES) == 2
    assert publisher.stale(["p0/a", None, None, None]) == 1
    said(publisher, (0, 12, 0.5), now=12.0)
    assert publisher.stale(NAMES) == 1
