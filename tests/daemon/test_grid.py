import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon import admission, grid
from daemon.admission import Clocks, Verdict
from daemon.config import Grid
from daemon.grid import GridState, Resume, Samples
from daemon.rows import Flag
from daemon.slots import grow

HOLD, REST = 30.0, 0.06
RULE = Grid(clock_recovery_sample=4)


@dataclass
class Laid:
    """One fleet's grid, fed in pushes; what came out, by slot."""

    slots: int = 8
    rows: list = field(default_factory=list)
    gaps: list = field(default_factory=list)
    verdicts: list = field(default_factory=list)

    def __post_init__(self):
        self.clocks, self.state = Clocks(), GridState()
        grow(self.clocks, self.slots)
        grow(self.state, self.slots)

    def push(self, samples):
        slot, time, volt, ampere = (np.array([s[i] for s in samples], float) for i in range(4))
        slot = slot.astype(np.intp)
        judged = admission.admit(self.clocks, slot, time, np.isfinite(volt) & np.isfinite(ampere), RULE)
        self.verdicts += judged.verdict.tolist()
        taken = np.flatnonzero(judged.verdict <= Verdict.ANCHORED)
        whole = np.full(len(taken), 1.0)
        closed, gaps = grid.push(
            self.state,
            Samples(
                slot[taken],
                time[taken],
                volt[taken],
                ampere[taken],
                25 * whole,
                whole < 0,
                judged.verdict[taken] == Verdict.ANCHORED,
                judged.disturbed[taken],
                HOLD * whole,
                REST * whole,
            ),
        )
        self.keep(closed)
        self.gaps += zip(gaps.slot.tolist(), gaps.from_second.tolist(), gaps.to_second.tolist(), strict=True)
        return self

    def flush(self):
        self.keep(grid.flush(self.state, self.clocks.disturbed))
        return self

    def keep(self, closed):
        columns = (closed.slot, closed.second, closed.voltage_volt, closed.current_ampere, closed.flags, closed.resume)
        self.rows += zip(*(c.tolist() for c in columns), strict=True)

    def of(self, slot):
        return [row[1:] for row in self.rows if row[0] == slot]


def one_cell(*samples):
    """Lay (time, current) of one cell, voltage telling the place in the list."""
    return Laid().push([(0, t, 3 + i / 100, a) for i, (t, a) in enumerate(samples)])


def by_hand(samples):
    """Say the rules again for one cell, a sample at a time: (second, current), the charge held, verdicts."""
    rows, charge_held, seen = [], 0.0, []
    newest = second = None
    last = open_charge = 0.0
    stray, strays = None, 0
    for time, ampere in samples:
        if newest is not None:
            if time in seen[-256:] or (strays and time == stray):
                continue
            if time < newest - RULE.late_second or time > newest + RULE.jump_second:
                strays = strays + 1 if strays and stray < time <= stray + RULE.jump_second else 1
                stray = time
                if strays < RULE.clock_recovery_sample:
                    continue
                seen = []
                bridged = False
            elif time <= newest:
                strays = 0
                continue
            else:
                bridged = time - newest <= HOLD
        k = math.floor(time)
        if newest is None or not bridged:
            if newest is not None:
                charge_held += last * (second + 1 - newest)
                rows.append((second, open_charge + last * (second + 1 - newest)))
            open_charge = ampere * (time - k)
            charge_held += open_charge
        else:
            charge_held += last * (time - newest)
            if k == second:
                open_charge += last * (time - newest)
            else:
                rows.append((second, open_charge + last * (second + 1 - newest)))
                rows += [(s, last) for s in range(second + 1, k)]
                open_charge = last * (time - k)
        newest, second, last, strays = time, k, ampere, 0
        seen.append(time)
    return rows, charge_held, open_charge


steps = st.one_of(
    st.floats(0.01, 3.0),
    st.sampled_from([0.0, 0.1, 0.5, 1.0, 10.0]),  # a duplicate, 10 Hz, 1 Hz, a slow source
    st.floats(28.0, 40.0),
    st.floats(-5.0, -0.01),
    st.floats(-9e3, -3e3),  # a gap or nearly, late, a jump or nearly
    st.sampled_from([-1e6, 1e5, 1e6, 3e6]),
)
drives = st.lists(st.tuples(steps, st.floats(-10, 10)), min_size=1, max_size=60)


def timed(drive, start=1.7e9):
    times = start + np.cumsum([step for step, _ in drive])
    return [(float(t), a) for t, (_, a) in zip(times, drive, strict=True)]


@settings(max_examples=300, deadline=None)
@given(drives)
def test_any_order_of_samples_gives_what_the_rules_give_by_hand_and_keeps_the_charge(drive):
    samples = timed(drive)
    laid = one_cell(*samples)
    rows, charge_held, still_open = by_hand(samples)
    assert [(r[0], r[2]) for r in laid.of(0)] == rows
    total = sum(r[2] for r in laid.of(0)) + still_open
    assert total == pytest.approx(charge_held, abs=1e-6, rel=1e-3)


@settings(max_examples=300, deadline=None)
@given(drives)
def test_no_second_is_stepped_twice_while_the_clock_is_the_same(drive):
    laid = Laid()
    epoch, seen = 0, set()
    for time, ampere in timed(drive):
        laid.push([(0, time, 3.7, ampere)])
        epoch += laid.verdicts[-1] == Verdict.ANCHORED
        for row in laid.rows:  # rows closed by the sample that anchors belong to the clock that was left
            key = (epoch - (laid.verdicts[-1] == Verdict.ANCHORED), row[1])
            assert key not in seen
            seen.add(key)
        laid.rows.clear()


@settings(max_examples=200, deadline=None)
@given(st.lists(drives, min_size=1, max_size=5), st.randoms(use_true_random=False), st.permutations(range(8)))
def test_bits_depend_neither_on_batches_nor_on_other_cells_nor_on_the_slot(fleet, random, places):
    cells = [[(i, t, 3.0 + j / 100, a) for j, (t, a) in enumerate(timed(d))] for i, d in enumerate(fleet)]
    alone = [Laid().push([(0, *s[1:]) for s in cell]).flush().of(0) for cell in cells]
    queues = [list(cell) for cell in cells]
    mixed = []
    while any(queues):
        mixed.append(random.choice([q for q in queues if q]).pop(0))
    together = Laid()
    while mixed:
        cut = random.randint(1, 40)
        together.push([(places[s[0]], *s[1:]) for s in mixed[:cut]])
        del mixed[:cut]
    together.flush()
    assert [together.of(places[i]) for i in range(len(cells))] == alone


@settings(max_examples=100, deadline=None)
@given(drives, st.integers(0, 59))
def test_a_sample_delivered_again_changes_nothing(drive, which):
    samples = [(0, t, 3.7, a) for t, a in timed([(abs(s) % 20 + 0.01, a) for s, a in drive])]
    again = [*samples, samples[which % len(samples)]]
    once, twice = Laid().push(samples), Laid().push(again)
    assert twice.verdicts[-1] == Verdict.DUPLICATE
    assert twice.flush().rows == once.flush().rows


def test_a_second_holds_the_time_average_of_its_current_and_its_last_voltage():
    laid = one_cell((10.0, -1.0), (10.25, -3.0), (10.75, 1.0), (11.5, 0.0))
    assert laid.of(0) == [(10, 3.02, -1.0 * 0.25 - 3.0 * 0.5 + 1.0 * 0.25, 0, Resume.NO_GAP)]


def test_a_second_without_a_sample_keeps_what_was_last_known():
    laid = one_cell((10.0, -1.0), (13.5, -2.0))
    assert [row[:3] for row in laid.of(0)] == [(10, 3.0, -1.0), (11, 3.0, -1.0), (12, 3.0, -1.0)]


def test_the_first_sample_holds_from_the_beginning_of_its_second():
    assert one_cell((10.9, -2.0), (11.0, 0.0)).of(0)[0][2] == pytest.approx(-2.0)


def test_a_gap_as_long_as_max_hold_is_bridged_and_a_longer_one_is_not():
    assert len(one_cell((0.0, 1.0), (HOLD, 1.0)).rows) == HOLD
    laid = one_cell((0.5, 1.0), (HOLD + 0.6, 1.0))
    assert [row[0] for row in laid.of(0)] == [0]
    assert laid.gaps == [(0, 0.5, HOLD + 0.6)]


def test_after_a_gap_a_cell_that_rested_keeps_its_state_and_another_begins_anew():
    for ampere, resume in ((REST / 2, Resume.KEPT), (-1.0, Resume.REINITIALISED)):
        laid = one_cell((0.0, ampere), (100.0, ampere), (101.0, ampere), (102.0, ampere))
        told = [(second, how) for second, *_, how in laid.of(0)]
        assert told == [(0, Resume.NO_GAP), (100, resume), (101, Resume.NO_GAP)]


def test_a_late_sample_is_told_from_a_duplicate():
    laid = one_cell((10.0, 1.0), (12.0, 1.0), (11.0, 9.0), (10.0, 9.0), (14.0, 1.0))
    assert laid.verdicts == [Verdict.ACCEPTED, Verdict.ACCEPTED, Verdict.LATE, Verdict.DUPLICATE, Verdict.ACCEPTED]
    assert [row[2] for row in laid.of(0)] == [1.0] * 4


def test_one_stray_time_is_dropped_and_the_second_says_so():
    for samples in ([10.0, 10.0 + 1e6, 11.0, 12.0], [10.0, 10.0 + 1e6, 10.5, 11.0, 12.0]):
        laid = Laid()
        for time in samples:
            laid.push([(0, time, 3.7, 1.0)])
        assert laid.verdicts[1] == Verdict.CLOCK
        assert [(second, flags) for second, _, _, flags, _ in laid.of(0)] == [(10, Flag.CLOCK), (11, 0)]


@pytest.mark.parametrize("jump", [-1e6, 1e6])
def test_a_cell_whose_clock_jumped_goes_on_after_some_samples_that_agree(jump):
    times = [1e7, 1e7 + 1, *(1e7 + jump + i for i in range(10))]
    laid = one_cell(*((t, -1.0) for t in times))
    assert laid.verdicts[2:6] == [Verdict.CLOCK] * 3 + [Verdict.ANCHORED]
    assert [row[0] for row in laid.of(0)] == [1e7, 1e7 + 1, *(1e7 + jump + i for i in range(3, 9))]
    assert laid.of(0)[2][4] == Resume.REINITIALISED
    assert [row[3] for row in laid.of(0)][:4] == [0, Flag.CLOCK, Flag.CLOCK, 0]


def test_samples_that_come_twice_do_not_keep_a_jumped_clock_from_being_believed():
    times = [1e7, *(t for i in range(4) for t in (1e6 + i, 1e6 + i))]
    laid = one_cell(*((t, -1.0) for t in times))
    assert laid.verdicts[1:] == [Verdict.CLOCK, Verdict.DUPLICATE] * 3 + [Verdict.ANCHORED, Verdict.DUPLICATE]


def test_times_of_the_clock_that_was_left_are_no_duplicates(monkeypatch):
    monkeypatch.setattr("tests.daemon.test_grid.RULE", Grid(clock_recovery_sample=4, late_second=0))
    laid = one_cell((100.0, 1.0), (101.0, 1.0), *((90.5 + i, 1.0) for i in range(4)), (100.0, 1.0))
    assert laid.verdicts[-2:] == [Verdict.ANCHORED, Verdict.ACCEPTED]


def test_strays_that_disagree_with_each_other_are_never_believed():
    laid = one_cell((1e7, 1.0), *((1e7 + 1e6 * (1 + i % 2), 9.0) for i in range(30)), (1e7 + 1, 1.0))
    assert laid.verdicts.count(Verdict.ACCEPTED) == 2
    assert Verdict.ANCHORED not in laid.verdicts


def test_what_is_not_a_number_never_gets_in():
    nan, inf = float("nan"), float("inf")
    laid = one_cell((10.0, nan), (nan, 1.0), (inf, 1.0), (-5.0, 1.0), (10.0, 1.0), (11.0, 1.0))
    assert laid.verdicts == [Verdict.INVALID] * 4 + [Verdict.ACCEPTED] * 2
    assert [row[:1] for row in laid.of(0)] == [(10,)]


def test_the_end_of_a_log_closes_the_open_second_held_to_its_end():
    laid = one_cell((10.0, 1.0), (10.5, 3.0)).flush()
    assert [(row[0], row[2]) for row in laid.of(0)] == [(10, 2.0)]
    assert not laid.flush().rows[1:]


def test_a_duplicate_is_told_after_thousands_of_samples_in_one_batch():
    laid = Laid().push([(0, i / 10, 3.7, 1.0) for i in range(5000)])
    laid.push([(0, 499.8, 3.7, 1.0), (0, 499.9 - 25.5, 3.7, 1.0), (0, 499.9 - 25.6, 3.7, 1.0)])
    assert laid.verdicts[-3:] == [Verdict.DUPLICATE, Verdict.DUPLICATE, Verdict.LATE]
