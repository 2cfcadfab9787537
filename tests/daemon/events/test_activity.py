import numpy as np
import pytest

from tests.daemon.events.watching import CAPACITY_AH, closed, events_of, join, watch

ACTIVITIES = ("rest", "charge", "discharge")


def told(current, **options):
    return [
        (e.kind, e.phase, e.begin_second, e.unix_time_second, e.detail.get("end_second"))
        for e in events_of(closed(current, **options))
        if e.kind in ACTIVITIES
    ]


DRIVE = ([-3.0] * 12 + [1.0] * 4 + [-8.0] * 9 + [0.0] * 15) * 20  # regeneration and stops


def test_a_rest_is_told_after_a_minute_with_the_second_at_which_it_began():
    assert told([-1.0] * 40 + [0.0] * 59)[-1][0] == "discharge"
    assert told([-1.0] * 40 + [0.0] * 60)[-1] == ("rest", "begin", 40, 99, None)


def test_a_day_is_told_as_charge_rest_and_discharge():
    assert told([1.5] * 1000 + [0.0] * 500 + [-3.0] * 800) == [
        ("charge", "begin", 0, 59, None),
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
    pulses = [0.0] * 200 + ([-3.0] * 10 + [0.0] * 200 + [1.0] * 10 + [0.0] * 200) * 5
    assert [event[:2] for event in told(pulses)] == [("rest", "begin")]
    assert [event[:2] for event in told([0.0] * 200 + ([-3.0] * 10 + [0.0] * 200) * 5)] == [("rest", "begin")]


def test_noise_around_zero_is_a_rest():
    noise = np.random.default_rng(1).normal(0, 0.02 * CAPACITY_AH / 4, 500)
    assert [event[:2] for event in told(noise)] == [("rest", "begin")]


def test_a_charge_in_pulses_is_a_charge():
    assert [event[:2] for event in told(([2.0] * 8 + [0.0] * 4) * 30)] == [("charge", "begin")]


def test_currents_that_alternate_evenly_are_nothing():
    assert told([1.0, -1.0] * 500) == []


def test_a_gap_ends_what_went_on():
    assert told([0.0] * 200, resume_at=[100])[1:] == [("rest", "end", 0, 100, 100), ("rest", "begin", 100, 159, None)]


def test_a_rest_says_what_it_came_after():
    current = [1.5] * 100 + [0.0] * 100 + [-1.5] * 100 + [0.0] * 100
    begun = [e.detail["after"] for e in events_of(closed(current)) if (e.kind, e.phase) == ("rest", "begin")]
    assert begun == ["charge", "discharge"]


@pytest.mark.parametrize("seed", range(2))
def test_events_are_the_same_however_the_seconds_are_parted_and_whoever_else_is_there(seed):
    rng = np.random.default_rng(seed)
    current = np.repeat(rng.choice([-2.0, 0.0, 1.0], 100), rng.integers(1, 90, 100))
    volt = 3.7 + 0.05 * current + rng.normal(0, 0.001, len(current))
    alone = events_of(closed(current, volt=volt))
    seeing, bounds = watch(3)
    parted = []
    for begin in range(0, len(current), 37):
        part = closed(current[begin : begin + 37], begin, slot=2, volt=volt[begin : begin + 37])
        other = closed(-current[begin : begin + 37], begin, slot=0)
        parted += [t.event for t in seeing.see(join(other, part), bounds).told if t.slot == 2]
    assert len(alone) > 10
    assert parted == alone
