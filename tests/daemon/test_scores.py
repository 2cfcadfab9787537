"""How wrong, how sure, how soon right: by hand."""

import json

import numpy as np
import pytest

from daemon.scores import REGIONS, crps, find, inside, recovery, recovery_minute, reliability, score, summarise
from tests.daemon.traces import trace


def test_the_largest_error_leaves_the_first_minute_out():
    found = score(trace([9.0] * 60 + [1.0] * 40 + [-2.0]))
    assert found.max_point == pytest.approx(2.0)
    assert found.mae_point == pytest.approx((540 + 40 + 2) / 101)


def test_seconds_without_a_label_do_not_count():
    truth = np.full(200, 0.5)
    truth[100:] = np.nan
    assert score(trace(np.r_[np.ones(100), np.full(100, 50.0)], truth=truth)).mae_point == pytest.approx(1.0)


def test_files_of_a_temperature_are_averaged_before_the_temperatures():
    traces = [trace([1.0] * 10), trace([3.0] * 1000), trace([6.0] * 10, celsius=-10.0)]
    (line,) = summarise(traces)
    assert list(line.by_celsius) == [25.0, -10.0]
    assert (line.by_celsius[25.0].mae_point, line.mean.mae_point) == (pytest.approx(2.0), pytest.approx(4.0))
    assert line.mean.max_point == pytest.approx(6.0)
    assert line.files == 3


def test_every_labelled_second_belongs_to_one_region_even_beyond_empty_and_full():
    truth = np.array([-0.01, 0.0, 0.1999, 0.2, 0.5, 0.8, 1.0, 1.01])
    marked = trace(np.arange(8.0), truth=truth)
    low, middle, high = (score(marked, region) for region in REGIONS)
    assert (low.mae_point, middle.mae_point, high.mae_point) == pytest.approx((1.0, 3.5, 6.0))
    assert score(trace([1.0], truth=0.5), REGIONS[0]) is None


def test_deviations_that_are_right_fill_every_interval_as_it_says():
    drawn = trace(np.random.default_rng(1).normal(0.0, 2.0, 40_000), std_point=2.0)
    assert inside(drawn) == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], abs=0.01)
    assert score(drawn).inside_90 == pytest.approx(0.9, abs=0.01)


def test_a_deviation_that_is_right_scores_better_than_one_too_small_or_too_large():
    error = np.random.default_rng(1).normal(0.0, 2.0, 40_000)
    sure, right, careful = (score(trace(error, std_point=s)) for s in (0.5, 2.0, 8.0))
    assert right.crps_point < min(sure.crps_point, careful.crps_point)
    assert right.interval_90_point < min(sure.interval_90_point, careful.interval_90_point)


def test_the_ranked_probability_score_is_the_integral_that_defines_it():
    from scipy.special import ndtr

    grid = np.linspace(-60.0, 60.0, 240_001)
    for error, std in ((0.0, 1.0), (1.5, 0.7), (4.0, 3.0)):
        whole = np.trapezoid((ndtr(grid / std) - (grid >= error)) ** 2, grid)
        assert crps(np.array([error]), np.array([std]))[0] == pytest.approx(whole, abs=1e-3)


def test_an_error_has_to_stay_small_for_five_minutes():
    relapse = [30.0] * 120 + [1.0] * 299 + [4.0] + [1.0] * 300
    assert recovery_minute(trace(relapse)) == pytest.approx(420 / 60)
    assert recovery_minute(trace([1.0] * 300)) == 0.0
    assert recovery_minute(trace([1.0] * 299)) == np.inf
    assert recovery_minute(trace([30.0] * 100 + [-2.9] * 300)) == pytest.approx(100 / 60)


def test_starts_that_never_arrive_count_among_the_slowest():
    found = recovery([trace([30.0] * 60 * k + [0.0] * 300) for k in range(9)] + [trace([30.0] * 900, celsius=0.0)])
    assert [r.ambient_temperature_celsius for r in found] == [None, 25.0, 0.0]
    everywhere, warm, cold = found
    assert (everywhere.quantile(0.5), everywhere.quantile(0.9), everywhere.never) == (4.0, 8.0, 0.1)
    assert everywhere.quantile(0.95) == np.inf
    assert (warm.never, cold.never) == (0.0, 1.0)


def test_records_carry_everything_as_json_and_an_unknown_temperature_as_null():
    findings = find([trace([1.0] * 100, celsius=np.nan)], [trace([30.0] * 400)])
    rows = [json.loads(json.dumps(r, allow_nan=False)) for r in findings.records()]
    assert {r["table"] for r in rows} == {"score", "reliability", "switch_on"}
    assert {r["soc"] for r in rows if r["table"] == "score"} == {"all", "0.2-0.8"}
    (of_all, _) = (r for r in rows if r["table"] == "switch_on")
    assert (of_all["median_minute"], of_all["never"]) == (None, 1.0)
    (held,) = (r for r in rows if r["table"] == "reliability")
    assert (held["inside_60"], held["inside_70"]) == (0.0, 1.0)  # 1 point of 1: the interval of 68 %


def test_what_has_no_label_is_not_scored():
    bare = trace([1.0] * 10, truth=np.nan)
    assert find([bare], []).lines == []
    assert reliability([]) == []
