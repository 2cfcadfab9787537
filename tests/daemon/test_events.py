import numpy as np
import pytest

from daemon.events import Activities, recognise
from daemon.grid import Closed, Resume
from daemon.slots import grow

REST_AMPERE = 0.06


def closed(current, start=0, resume_at=(), slot=0):
    n = len(current)
    resume = np.zeros(n, np.int8)
    resume[list(resume_at)] = Resume.KEPT
    whole = np.ones(n)
    return Closed(
        np.full(n, slot),
        start + np.arange(n),
        3.7 * whole,
        np.array(current, float),
        25 * whole,
        np.zeros(n, np.uint32),
        resume,
        whole < 0,
        np.arange(n),
    )


def fresh(slots=1):
    state = Activities()
    grow(state, slots)
    return state


def told(current, **options):
    state = fresh()
    return [
        (e.kind, e.phase, e.begin_second, e.unix_time_second, e.detail.get("end_second"))
        for _, _, e in recognise(state, closed(current, **options), np.array([REST_AMPERE]))
    ]


DRIVE = ([-3.0] * 12 + [1.0] * 4 + [-8.0] * 9 + [0.0] * 15) * 20  # regeneration and stops


def test_a_rest_is_told_after_a_minute_with_the_second_at_which_it_began():
    assert told([-1.0] * 40 + [0.0] * 59)[-1][0] == "discharge"
    assert told([-1.0] * 40 + [0.0] * 60)[-1] == ("rest", "begin", 40, 99, None)


def test_a_day_is_told_as_charge_rest_and_discharge():
    assert told([1.5] * 1000 + [0.0] * 500 + [-3.0] * 800) == [
        ("charge", "begin", 0, 29, None),
        ("charge", "end", 0, 1059, 1000),
        ("rest", "begin", 1000, 1059, None),
        ("rest", "end", 1000, 1529, 1500),
        ("discharge", "begin", 1500, 1529, None),
    ]


def test_a_drive_is_one_discharge_its_regeneration_no_charge_its_stops_no_rests():
    assert [event[:2] for event in told(DRIVE)] == [("discharge", "begin")]


def test_a_drive_ends_a_rest():
    events = told([0.0] * 600 + DRIVE)
    assert [event[:2] for event in events] == [("rest", "begin"), ("rest", "end"), ("discharge", "begin")]
    assert events[2][2] == 600


def test_a_pulse_does_not_end_a_rest():
    pulses = [0.0] * 600 + ([-3.0] * 10 + [0.0] * 600 + [1.0] * 10 + [0.0] * 600) * 5
    assert [event[:2] for event in told(pulses)] == [("rest", "begin")]
    assert [event[:2] for event in told([0.0] * 600 + ([-3.0] * 10 + [0.0] * 600) * 5)] == [("rest", "begin")]


def test_noise_around_zero_is_a_rest():
    noise = np.random.default_rng(1).normal(0, REST_AMPERE / 4, 500)
    assert [event[:2] for event in told(noise)] == [("rest", "begin")]


def test_a_charge_in_pulses_is_a_charge():
    assert [event[:2] for event in told(([2.0] * 8 + [0.0] * 4) * 30)] == [("charge", "begin")]


def test_currents_that_alternate_evenly_are_nothing():
    assert told([1.0, -1.0] * 500) == []


def test_a_gap_ends_what_went_on():
    assert told([0.0] * 200, resume_at=[100])[1:] == [("rest", "end", 0, 100, 100), ("rest", "begin", 100, 159, None)]


@pytest.mark.parametrize("seed", range(5))
def test_events_are_the_same_however_the_seconds_are_parted_and_whoever_else_is_there(seed):
    rng = np.random.default_rng(seed)
    current = np.repeat(rng.choice([-2.0, 0.0, 1.0], 200), rng.integers(1, 90, 200))
    alone = [t.event for t in recognise(fresh(), closed(current), np.array([REST_AMPERE]))]
    state, rest = fresh(3), np.full(3, REST_AMPERE)
    parted = []
    for begin in range(0, len(current), 37):
        part = closed(current[begin : begin + 37], begin, slot=2)
        other = closed(-current[begin : begin + 37], begin, slot=0)
        both = Closed(*(np.stack([getattr(other, n), getattr(part, n)], 1).ravel() for n in Closed.__slots__))
        parted += [t.event for t in recognise(state, both, rest) if t.slot == 2]
    assert len(alone) > 20
    assert parted == alone
