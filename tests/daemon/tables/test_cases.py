import numpy as np
import polars
import pytest

from daemon.tables.cases import Cases, score, write
from estimators.regression.regression import Answer

IDENTITY = polars.DataFrame({"cell": ["a", "a", "b", "b"], "cycle": [1, 2, 1, 2]})
TRUTH = np.array([0.90, 0.80, 0.95, np.nan])


def cases(mean, std=0.01, truth=TRUTH, target="soh"):
    mean = np.array(mean)
    said = {"ours": Answer(mean, np.full(4, std), np.array([True, True, False, True]))}
    return Cases("made up", IDENTITY, target, np.zeros(4, int), truth, said)


def test_errors_of_a_share_are_read_in_points_and_the_worst_cell_is_told():
    (one,) = score(cases([0.91, 0.81, 0.91, 0.5]))
    assert one.cases == 3
    assert one.mae == pytest.approx(2.0)
    assert one.worst_cell_rmse == pytest.approx(4.0)
    assert one.worst_cell_mape_percent == pytest.approx(100 * 0.04 / 0.95)
    assert one.held_percent == pytest.approx(200 / 3)
    assert one.worst_cell_held_percent == 0.0
    assert one.in_domain_percent == pytest.approx(200 / 3)


def test_errors_of_cycles_keep_their_unit():
    (one,) = score(cases([100.0, 100.0, 100.0, 0.0], truth=np.array([90.0, 100.0, 110.0, np.nan]), target="rul_cycle"))
    assert one.mae == pytest.approx(20 / 3)


def test_no_percentage_is_taken_of_nothing():
    truth = np.array([0.0, 0.0, 0.0, 10.0])
    (one,) = score(cases([2.0, 1.0, 1.0, 11.0], truth=truth, target="rul_cycle"))
    assert one.mape_percent == one.worst_cell_mape_percent == pytest.approx(10.0)
    assert np.isnan(score(cases([1.0] * 4, truth=np.zeros(4), target="rul_cycle"))[0].mape_percent)


def test_a_case_that_a_method_says_nothing_of_is_not_counted_for_it():
    (one,) = score(cases([np.nan, 0.8, 0.95, 0.9]))
    assert one.cases == 2


def test_nothing_is_scored_where_no_truth_is_known():
    assert score(cases([0.9] * 4, truth=np.full(4, np.nan))) == []


def test_predictions_are_written_with_or_without_a_truth(tmp_path):
    write(tmp_path / "deep" / "p.csv", [cases([0.91, 0.81, 0.91, np.nan])])
    rows = polars.read_csv(tmp_path / "deep" / "p.csv").to_dicts()
    assert rows[0] == {
        "cell": "a", "cycle": 1, "target": "soh", "horizon": 0,
        "truth": 0.9, "predicted": 0.91, "predicted_std": 0.01, "in_domain": True,
    }  # fmt: skip
    assert rows[3]["truth"] is None
    assert rows[3]["predicted"] is None


def test_a_method_that_says_nothing_of_what_is_known_has_no_score():
    (one,) = score(cases([np.nan, np.nan, np.nan, 0.9]))
    assert one.cases == 0
    assert np.isnan(one.rmse)


def test_errors_may_be_told_in_points_of_a_nominal_capacity():
    from dataclasses import replace

    (one,) = score(
        replace(
            cases([1.0, 1.0, 1.0, 0.0], truth=np.array([0.9, 1.0, 1.1, np.nan]), target="capacity_ah"), points_of=2.0
        )
    )
    assert one.mae == pytest.approx(100 * 0.2 / 3 / 2.0)
    assert one.set == "made up, in points of 2"


def test_a_method_that_tells_no_deviation_has_no_interval():
    (one,) = score(cases([0.9, 0.8, 0.95, 0.0], std=np.nan))
    assert np.isnan(one.held_percent)
