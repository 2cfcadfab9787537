import polars
import pytest

from daemon.tables import cycles_left, health, trajectory
from daemon.tables.cases import Options
from tests.daemon.tables.relaxation_files import lsd_like, zhu_like

MODELS = [(health, "soh"), (trajectory, "trajectory"), (trajectory, "imodel"), (cycles_left, "rul")]


def asked(tmp_path, model, name, frame):
    frame.write_csv(tmp_path / "x.csv")
    (cases,) = model.evaluate(tmp_path, Options(name, horizons=(5, 10), alone=True))
    return cases.unscored


@pytest.mark.parametrize(("model", "name"), MODELS)
@pytest.mark.parametrize("column", ["ambient_temperature_celsius", "charge_c_rate", "discharge_c_rate"])
def test_a_row_without_an_answer_is_named_with_the_input_that_is_missing(tmp_path, model, name, column):
    word = polars.when(polars.col("cycle") == 4).then(polars.lit("warm")).otherwise(polars.col(column).cast(str))
    frame = zhu_like(1, 8).with_columns(polars.when(polars.col("cycle") != 6).then(word).alias(column))
    (reason,) = asked(tmp_path, model, name, frame)
    assert reason.startswith(f"x, CY25-0, cycle 4, 6: no {column}")
    assert "rest" not in reason


@pytest.mark.parametrize(("model", "name"), MODELS)
def test_a_row_that_lacks_several_is_told_all(tmp_path, model, name):
    frame = lsd_like(1, 6).with_columns(ambient_temperature_celsius=None, charge_current_ampere=None)
    (reason,) = asked(tmp_path, model, name, frame)
    assert "cycle 1-6: no ambient_temperature_celsius and no charge_c_rate or charge_current_ampere" in reason


@pytest.mark.parametrize(("model", "name"), MODELS)
def test_a_rest_that_is_too_short_is_said_to_be_so(tmp_path, model, name):
    frame = zhu_like(1, 8)
    gone = [c for c in frame.columns if c.startswith("dq_") or (c.startswith("relax_") and c > "relax_volt_004")]
    (reason,) = asked(tmp_path, model, name, frame.drop(c for c in gone if c.startswith("relax_")).with_columns(
        polars.when(polars.col("cycle") == 5).then(None).otherwise(polars.col(c)).alias(c) for c in gone if "dq_" in c
    ))  # fmt: skip
    assert reason.startswith("x, CY25-0, cycle 5: no whole charge, and not enough of a rest")
