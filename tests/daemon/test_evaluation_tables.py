"""Findings as tables."""

import numpy as np

from daemon.evaluation_tables import tables
from daemon.scores import find
from tests.daemon.traces import trace


def by_key(*args):
    return {table.key: table for table in tables(find(*args))}


def test_what_was_not_measured_has_no_table():
    assert by_key([trace([1.0], truth=np.nan)], []) == {}
    assert "switch-on" not in by_key([trace([1.0])], [])
    assert "margin" not in by_key([trace([1.0])], [])


def test_estimators_stand_beside_each_other_in_every_case_and_files_without_a_temperature_last():
    traces = [
        trace([1.0], estimator=estimator, case=case, celsius=celsius)
        for estimator in ("ekf", "coulomb")
        for case in ("right start", "+0.3 A")
        for celsius in (np.nan, -10.0, 25.0)
    ]
    table = by_key(traces, [])["error"]
    assert table.figures == ("25 °C", "−10 °C", "? °C", "mean")
    assert [words for words, _ in table.rows] == [
        ("right start", "ekf"),
        ("right start", "coulomb"),
        ("+0.3 A", "ekf"),
        ("+0.3 A", "coulomb"),
    ]
    assert [len(group) for group in table.groups()] == [2, 2]


def test_the_first_estimator_is_set_against_the_best_of_the_others():
    traces = [
        trace([point], estimator=name) for name, point in (("ekf", 1.0), ("coulomb", 0.75), ("cross_stitch", 2.0))
    ]
    (((case,), (cell, mean)),) = by_key(traces, [])["margin"].rows
    assert (case, cell.text, cell.small) == ("right start", "+0.25", "coulomb")
    assert mean == cell


def test_an_interval_is_painted_where_it_misses_what_is_aimed_at():
    good, sure, careful = (
        by_key([trace(np.r_[np.zeros(inside), np.full(100 - inside, 5.0)])], [])["coverage"].rows[0][1][0]
        for inside in (90, 70, 100)
    )
    assert (good.text, good.heat) == ("90 %", 0.0)
    assert sure.heat > careful.heat > 0.0


def test_a_region_where_no_file_of_a_temperature_has_been_stays_empty():
    table = by_key([trace([1.0], truth=0.5, celsius=25.0), trace([1.0], truth=0.1, celsius=0.0)], [])["region"]
    assert [[cell.text for cell in cells] for _, cells in table.rows] == [["–", "1.00", "1.00"], ["1.00", "–", "1.00"]]


def test_a_start_that_never_arrives_is_said_so():
    switched = [trace([0.0] * 300), trace([30.0] * 600)]
    (((name,), (warm, everywhere, never)),) = by_key([trace([1.0])], switched)["switch-on"].rows
    assert (name, warm.text, warm.small, never.text) == ("ekf", "0.0", "never", "50 %")
    assert everywhere == warm
