"""Cells cycled between their limits: what a discharge measures, and what it does not."""

import numpy as np
import pytest

from tests.daemon.events.watching import closed, events_of, evidence_of, join, watch

CHARGE, DISCHARGE = 1.5, -9.0


def cycle(capacity_ah=2.7, last_volt=2.5, ampere=DISCHARGE, taper_ampere=0.06, top_volt=4.2):
    """Rest, charge, taper, rest, discharge, rest: current and voltage."""
    taper = np.maximum(CHARGE * np.exp(-np.arange(900) / 150), taper_ampere)
    taken = int(3600 * capacity_ah / -ampere)
    knee = np.linspace(0.0, 1.0, taken) ** 6
    current = np.concatenate([[0.0] * 200, [CHARGE] * 600, taper, [0.0] * 300, [ampere] * taken, [0.0] * 300])
    volt = np.concatenate(
        [
            [3.2] * 200,
            np.linspace(3.4, top_volt, 600),
            [top_volt] * 900,
            [top_volt - 0.03] * 300,
            4.1 - 0.6 * np.linspace(0.0, 1.0, taken) - (3.5 - last_volt) * knee,
            [3.1] * 300,
        ]
    )
    return current, volt


def cycles(*each):
    current, volt = (np.concatenate(parts) for parts in zip(*each, strict=True))
    return closed(current, volt=volt)


def test_a_discharge_from_full_to_the_cut_off_measures_the_capacity():
    (event,) = events_of(cycles(cycle(), cycle()), "capacity")[:1]
    assert event.detail["capacity_ah"] == pytest.approx(2.7, rel=0.01)
    assert event.detail["c_rate"] == pytest.approx(3.0)
    assert event.detail["temperature_celsius"] == 25.0
    assert event.begin_second == 200 + 600 + 900
    told = [e.detail["cycle"] for e in events_of(cycles(*[cycle()] * 3), "capacity")]
    assert told == [1, 2, 3]


@pytest.mark.parametrize(
    "other",
    [
        cycle(taper_ampere=1.2),  # broken off: not full
        cycle(top_volt=4.1),  # likewise
        cycle(last_volt=3.0),  # not emptied
    ],
)
def test_what_is_not_from_full_to_empty_measures_nothing(other):
    assert events_of(cycles(other), "capacity") == []


def test_a_drive_measures_nothing():
    current, volt = cycle()
    drive = current == DISCHARGE
    current[drive] *= np.random.default_rng(0).choice([0.2, 1.8], drive.sum())
    assert events_of(closed(current, volt=volt), "capacity") == []


def test_a_gap_within_the_discharge_measures_nothing_and_the_next_cycle_does():
    current, volt = (np.concatenate(parts) for parts in zip(cycle(), cycle(), strict=True))
    (event,) = events_of(closed(current, volt=volt, resume_at=[2600]), "capacity")
    assert event.detail["cycle"] == 2  # half of the first one was seen


def test_a_noisy_sensor_measures_the_same():
    rng = np.random.default_rng(1)
    current, volt = cycle()
    noisy = closed(
        current + 0.01 * rng.standard_normal(len(current)), volt=volt + 0.002 * rng.standard_normal(len(volt))
    )
    (event,) = events_of(noisy, "capacity")
    assert event.detail["capacity_ah"] == pytest.approx(2.7, rel=0.01)


def test_a_check_is_shown_the_capacities_the_discharge_and_the_week():
    charge = evidence_of(cycles(cycle(), cycle(2.6)), "charge")[1]
    history = charge.history
    assert history.capacities.cycle.tolist() == [1.0]
    assert history.capacities.capacity_ah[0] == pytest.approx(2.7, rel=0.01)
    assert history.capacities.c_rate[0] == pytest.approx(3.0, rel=1e-3)
    assert history.last_week.charge_c_rate == pytest.approx(0.5, rel=0.02)
    assert history.last_week.discharge_c_rate == pytest.approx(3.0, rel=1e-3)
    assert history.last_week.temperature_celsius == pytest.approx(25.0)
    _, volt = cycle()
    taken = volt[2000:-300]
    below = (len(taken) - np.flatnonzero(taken < 2.8)[0]) * 9.0 / 3600
    assert history.discharge.below_ah(2.8) == pytest.approx(below, abs=0.005)
    assert history.discharge.deepest_ah == pytest.approx(2.7, rel=1e-3)


def test_only_the_discharge_right_before_a_charge_is_shown():
    twice = np.concatenate([cycle()[0], [CHARGE] * 600, [0.0] * 300, [CHARGE] * 600])
    volt = np.concatenate([cycle()[1], [3.6] * 600, [3.5] * 300, [3.7] * 600])
    _, first, second = evidence_of(closed(twice, volt=volt), "charge", flush=True)
    assert first.history.discharge is not None
    assert second.history.discharge is None


def test_a_discharge_that_ended_above_a_voltage_tells_nothing_of_it():
    charge = evidence_of(cycles(cycle(last_volt=3.0), cycle()), "charge")[1]
    assert np.isnan(charge.history.discharge.below_ah(2.7))
    assert charge.history.discharge.below_ah(3.0) == pytest.approx(0.0, abs=0.05)


def test_a_partial_charge_counts_no_cycle():
    half = np.concatenate([[CHARGE] * 400, [0.0] * 300, [DISCHARGE] * 200, [0.0] * 300])
    volt = np.concatenate([[3.8] * 400, [3.7] * 300, [3.6] * 200, [3.5] * 300])
    whole = cycle()
    told = events_of(cycles(whole, (half, volt), (half, volt), cycle()), "capacity")
    assert [e.detail["cycle"] for e in told] == [1, 2]


def test_what_is_measured_of_a_cell_does_not_depend_on_its_company():
    alone = events_of(cycles(cycle()), "capacity")
    current, volt = cycle()
    one, other = closed(current, volt=volt, slot=2), closed(0.5 * current[::-1], volt=volt, slot=1)
    seeing, bounds = watch(3)

    told = [t.event for t in seeing.see(join(other, one), bounds).told if t.slot == 2 and t.event.kind == "capacity"]
    assert told == alone
