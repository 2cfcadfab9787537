import polars
import pytest

from daemon.errors import UsageError
from daemon.tables import cycles_left
from daemon.tables.cases import Options, score, write
from tests.daemon.tables import charge_ends
from tests.daemon.tables.relaxation_files import zhu_like


def folder(tmp_path, frame):
    frame.write_csv(tmp_path / "cells.csv")
    return tmp_path


def test_cells_that_trained_nothing_are_told_their_end_with_an_interval(tmp_path):
    where = folder(tmp_path, zhu_like(8, 160))
    (cases,) = cycles_left.evaluate(where, Options("rul", folds=2))
    service = next(s for s in score(cases) if s.method == "service")
    assert service.target == "rul_cycle"
    assert service.mae < 10.0
    assert service.held_percent > 60.0
    assert {"trajectory", "line"} < set(cases.said)
    write(tmp_path / "p.csv", [cases])
    assert {"predicted", "predicted_std", "truth"} <= set(polars.read_csv(tmp_path / "p.csv").columns)


def test_a_row_that_nothing_was_seen_of_is_named(tmp_path):
    frame = zhu_like(2, 20)
    blank = [polars.when(polars.col("cycle") == 5).then(None).otherwise(polars.col(c)).alias(c) for c in frame.columns]
    gone = frame.with_columns(b for b, c in zip(blank, frame.columns, strict=True) if c.startswith(("relax", "dq")))
    (cases,) = cycles_left.evaluate(folder(tmp_path, gone), Options("rul", alone=True))
    assert any("cycle 5" in reason for reason in cases.unscored)


def test_ends_of_charges_are_asked_by_their_own_model(tmp_path):
    charge_ends.write(tmp_path / "xjtu.csv", {"2C_battery-1": 60}, fade=0.004)
    (cases,) = cycles_left.evaluate(tmp_path, Options("rul", alone=True))
    assert cases.target == "rul_cycle"
    assert list(cases.said) == ["default"]


def test_cycles_left_are_not_trained_by_that_name(tmp_path):
    with pytest.raises(UsageError, match="whatever is best"):
        cycles_left.train(tmp_path, None, 0, print)
