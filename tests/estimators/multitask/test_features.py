import numpy as np
import pytest

from estimators.multitask.configuration import CONFIGURATIONS, alike
from estimators.multitask.features import COLUMN, NAMES, shown, views
from estimators.multitask.labels import fade_rate, rows_left
from estimators.multitask.recording import of_charge

XJTU = CONFIGURATIONS[0]
RANDOM = np.random.default_rng(0)


def charges(count, nominal=2.0):
    """Sixteen numbers that a charge may have, drawn."""
    x = RANDOM.uniform(0.1, 0.3, (count, 16)) * nominal
    x[:, [COLUMN["cc_charge_time"], COLUMN["cv_charge_time"]]] *= 1000 / nominal
    x[:, COLUMN["current_slope"]] *= -1e-3
    return x


def test_cells_of_another_size_that_carry_currents_in_proportion_look_alike():
    x = charges(5)
    twice = x.copy()
    for name in ("cc_q", "cv_q", "current_mean", "current_std", "current_slope"):
        twice[:, COLUMN[name]] *= 2
    assert shown(twice, 4.0) == pytest.approx(shown(x, 2.0))


def test_what_has_no_logarithm_is_not_a_number_and_its_neighbours_stay():
    x = charges(3)
    x[1, COLUMN["cc_q"]] = 0.0
    x[2, COLUMN["voltage_entropy"]] = -np.inf
    finite = np.isfinite(shown(x, 2.0)).all(axis=1)
    assert finite.tolist() == [True, False, False]


def test_a_cells_history_never_looks_ahead():
    inputs, row = RANDOM.normal(size=(120, 22)), np.arange(1, 121)
    cell = np.repeat("a", 120)
    whole = views(inputs, cell, row).history
    for until in (1, 5, 14, 60):
        assert (views(inputs[:until], cell[:until], row[:until]).history == whole[:until]).all()


def test_cells_know_nothing_of_one_another():
    inputs, row = RANDOM.normal(size=(60, 22)), np.tile(np.arange(1, 31), 2)
    both = views(inputs, np.repeat(["a", "b"], 30), row).history
    assert (both[30:] == views(inputs[30:], np.repeat("b", 30), row[30:]).history).all()


def test_a_cell_that_is_first_seen_late_has_no_history():
    seen = views(RANDOM.normal(size=(30, 22)), np.repeat("a", 30), np.arange(200, 230))
    assert np.isnan(seen.history).any(axis=1).all()
    assert np.isfinite(seen.age).all()


def test_rows_left_count_to_the_row_that_is_under_80_percent_for_good():
    soh = np.array([0.90, 0.85, 0.79, 0.81, 0.795, 0.79])
    assert rows_left(np.arange(1, 7), soh)[:5].tolist() == [4, 3, 2, 1, 0]
    assert np.isnan(rows_left(np.arange(1, 7), soh)[5])


def test_a_cell_that_never_gets_there_has_no_rows_left_that_are_known():
    assert np.isnan(rows_left(np.arange(1, 101), np.linspace(1.0, 0.85, 100))).all()


def test_a_record_that_stops_just_above_the_end_is_drawn_on():
    left = rows_left(np.arange(1, 101), np.linspace(1.0, 0.802, 100))
    assert left[-1] == pytest.approx(1.0)
    assert left[0] == pytest.approx(100.0)


def test_the_fade_rate_is_points_in_100_rows_and_stands_a_few_wild_capacities():
    soh = 1.0 - 0.0003 * np.arange(200)
    soh[[60, 90, 150]] += 0.2
    rate = fade_rate(np.arange(1, 201), soh)
    assert np.isnan(rate[:49]).all()
    assert rate[49:] == pytest.approx(3.0, rel=1e-3)


def recorded_charge(until_ampere=0.05):
    """2 A to 4.2 V in a straight line, then a current that dies away."""
    second = np.arange(0.0, 1200.0)
    current = (second, 3.8 + 0.4 * second / second[-1], np.full(len(second), 2.0))
    second = np.arange(0.0, 4000.0)
    ampere = 2.0 * np.exp(-second / 800.0)
    keep = ampere >= until_ampere
    return current, (second[keep], np.full(keep.sum(), 4.2), ampere[keep])


def test_a_recorded_charge_gives_the_numbers_of_its_windows():
    found = dict(zip(NAMES, of_charge(*recorded_charge(), XJTU), strict=True))
    assert found["voltage_mean"] == pytest.approx(4.1, abs=1e-3)
    assert found["voltage_std"] == pytest.approx(0.2 / np.sqrt(12), rel=0.02)
    assert found["cc_charge_time"] == pytest.approx(600, abs=2)
    assert found["cc_q"] == pytest.approx(2.0 * 600 / 3600, rel=0.01)
    assert found["voltage_slope"] == pytest.approx(0.2 / 600, rel=0.01)
    assert found["cv_charge_time"] == pytest.approx(800 * np.log(5), abs=2)
    assert found["cv_q"] == pytest.approx(0.4 * 800 / 3600, rel=0.01)
    assert found["current_mean"] == pytest.approx(0.4 / np.log(5), rel=0.01)
    assert found["current_slope"] < -0.4 / (800 * np.log(5))
    assert found["current_entropy"] == pytest.approx(np.log(800 * np.log(5) / XJTU.current_second), abs=0.2)


def test_a_charge_that_stops_early_or_begins_late_gives_none():
    current, voltage = recorded_charge()
    assert of_charge(current, recorded_charge(until_ampere=0.3)[1], XJTU) is None
    late = tuple(column[800:] for column in current)
    assert of_charge(late, voltage, XJTU) is None
    assert of_charge(tuple(column[:900] for column in current), voltage, XJTU) is None


def test_a_cell_of_no_size_or_chemistry_that_is_known_has_no_configuration():
    assert [c.name for c in alike("lfp", 1.1)] == ["hust", "mit"]
    assert alike("nca", 2.9) == ()
    assert alike("lco", 2.0) == ()
