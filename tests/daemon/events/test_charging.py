import numpy as np
import pytest

from simulators.recording import simulate
from tests.daemon.events.watching import CAPACITY_AH, closed, events_of, evidence_of

RAMP = np.linspace(3.6, 4.2, 3000)
HELD = 1.5 * np.exp(-np.arange(2000) / 800)
CURRENT = [0.0] * 120 + [1.5] * 3000 + list(HELD) + [0.0] * 900
VOLT = [3.5] * 120 + list(RAMP) + [4.2] * 2000 + list(4.15 + 0.03 * np.exp(-np.arange(900) / 300))


def begun(events, kind):
    return [e.begin_second for e in events if (e.kind, e.phase) == (kind, "begin")]


def noisy(ampere=0.01, volt=0.002, seed=0):
    rng = np.random.default_rng(seed)
    return closed(CURRENT + ampere * rng.standard_normal(6020), volt=VOLT + volt * rng.standard_normal(6020))


@pytest.mark.parametrize("seconds", [closed(CURRENT, volt=VOLT), *(noisy(seed=s) for s in range(3))])
def test_a_charge_is_told_in_its_stages_each_from_its_first_second(seconds):
    events = events_of(seconds, flush=True)
    assert begun(events, "charge") == [120]
    assert begun(events, "constant_current") == [120]
    (held,) = begun(events, "constant_voltage")
    assert abs(held - 3120) <= 5
    (end,) = [e for e in events if (e.kind, e.phase) == ("constant_voltage", "end")]
    assert abs(end.detail["end_second"] - 5120) <= 5
    after = [e for e in events if (e.kind, e.phase) == ("rest", "begin")][-1]
    assert abs(after.begin_second - 5120) <= 5
    assert after.detail == {"after": "charge"}


def test_a_charger_that_regulates_softly_goes_over_to_constant_voltage_once():
    creeping = 4.15 + 0.05 * (1.0 - np.exp(-np.arange(2500) / 150))
    falling = 1.5 - 0.12 * (1.0 - np.exp(-np.arange(2500) / 250)) - 0.0003 * np.arange(2500)
    current = [0.0] * 120 + [1.5] * 600 + list(falling)
    events = events_of(closed(current, volt=[3.5] * 120 + list(np.linspace(3.9, 4.15, 600)) + list(creeping)))
    assert begun(events, "constant_current") == [120]
    assert len(begun(events, "constant_voltage")) == 1


def test_the_trickle_of_a_held_voltage_is_charge_yet_and_the_rest_begins_when_it_stops():
    trickle = np.maximum(HELD, 0.8 * 0.02 * CAPACITY_AH)
    current = [1.5] * 3000 + list(trickle) + [0.0] * 300
    volt = list(RAMP) + [4.2] * 2000 + [4.16] * 300
    events = events_of(closed(current, volt=volt))
    assert abs(begun(events, "rest")[0] - 5000) <= 5


def test_a_charge_in_steps_has_a_stage_of_constant_current_for_each():
    current = [3.0] * 600 + [2.0] * 600 + [1.0] * 600
    volt = [*np.linspace(3.6, 3.9, 600), *np.linspace(3.86, 4.0, 600), *np.linspace(3.95, 4.1, 600)]
    assert begun(events_of(closed(current, volt=volt)), "constant_current") == [0, 600, 1200]


def test_a_gap_ends_a_charge_and_says_that_it_cut_it_off():
    seconds = closed(CURRENT, volt=VOLT, resume_at=[1000])
    ends = [e for e in events_of(seconds) if e.phase == "end" and e.begin_second == 120]
    assert {e.kind for e in ends} == {"charge", "constant_current"}
    assert all(e.detail == {"end_second": 1000.0, "interrupted": 1.0} for e in ends)
    first, second = evidence_of(seconds, "constant_current")
    assert (first.interrupted, first.constant_current.interrupted, second.interrupted) == (True, True, False)


def test_a_charge_through_the_window_is_told_with_the_charge_it_took():
    (passed,) = events_of(closed(CURRENT, volt=VOLT), "window")
    assert (passed.detail["from_volt"], passed.detail["to_volt"]) == (3.8, 4.1)
    assert passed.detail["charge_ah"] == pytest.approx(1500 * 1.5 / 3600, rel=0.01)
    assert abs(passed.begin_second - 1120) <= 10
    late = closed(CURRENT[1400:], volt=VOLT[1400:])
    assert events_of(late, "window") == []


def test_cycles_are_counted_by_the_charge_that_moves_but_not_by_noise_at_rest():
    both = [15.0] * 720 + [-15.0] * 720
    cycles = events_of(closed(both * 3 + [3.0] * 10), "cycle")
    assert [e.detail["equivalent_full_cycles"] for e in cycles] == [1.0, 2.0, 3.0]
    assert [e.begin_second for e in cycles] == pytest.approx([0, 1440, 2880], abs=2)
    assert events_of(closed([0.05, -0.05] * 500), "cycle") == []


def test_every_charge_and_rest_of_simulated_hours_is_found_and_none_in_their_drives():
    told = simulate(1, 5 * 3600, seed=5, nominal_capacity_ah=CAPACITY_AH, depth_of_discharge=(0.25,))
    true = told.current_ampere[0].astype(float)
    rng = np.random.default_rng(0)
    shown = true + 0.01 * rng.standard_normal(len(true))
    events = events_of(closed(shown, volt=told.voltage_volt[0] + 0.001 * rng.standard_normal(len(true))))
    charging = true > 1e-6
    edges = np.flatnonzero(np.diff(np.abs(true) > 1e-6)) + 1
    spans = [(a, b) for a, b in zip(edges, [*edges[1:], len(true)], strict=True) if b - a >= 60]
    charges = [a for a, b in spans if charging[a:b].all()]
    rests = [a for a, b in spans if not true[a:b].any()]
    assert len(charges) >= 2
    assert np.abs(np.subtract(begun(events, "charge"), charges)).max() <= 5
    assert np.abs(np.subtract(begun(events, "rest")[-len(rests) :], rests)).max() <= 5
    assert len(begun(events, "rest")) == len(rests) + (true[0] == 0.0)
    assert events_of(closed(shown), "pulse") == []
