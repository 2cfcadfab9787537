import polars
import pytest

from daemon.errors import UsageError
from daemon.tables import cycles_left, soh, srse, trajectory
from daemon.tables.cases import Options
from daemon.tables.forms import left_out
from tests.daemon.tables import charge_ends
from tests.daemon.tables.relaxation_files import zhu_like


@pytest.fixture
def mixed(tmp_path):
    """Two forms in one folder, and files of none."""
    zhu_like(2, 12).write_csv(tmp_path / "nca.csv")
    charge_ends.write(tmp_path / "xjtu.csv", {"2C_battery-1": 30})
    (tmp_path / "notes.csv").write_text("a;b\n1;2\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "README.md").write_text("nothing to see")
    return tmp_path


@pytest.mark.parametrize("model", [soh, cycles_left, srse])
def test_every_form_that_a_folder_holds_is_scored(mixed, model):
    found = model.evaluate(mixed, Options("soh", alone=True))
    cells = {cell for cases in found for cell in cases.identity["cell"].to_list()}
    assert cells == {"CY25-0", "CY45-1", "2C_battery-1"}


def test_a_file_that_a_model_does_not_read_is_named(mixed):
    other, unknown, empty = (
        next(reason for reason in left_out(mixed, "trajectory") if reason.startswith(name))
        for name in ("xjtu.csv", "notes.csv", "empty.csv")
    )
    assert "ask multitask, rul, soh, srse" in other
    assert "`a;b`" in unknown
    assert "empty" in empty
    assert [reason.split(":")[0] for reason in left_out(mixed, "soh")] == ["empty.csv", "notes.csv"]


def test_a_form_of_which_nothing_can_be_scored_does_not_stop_the_others(mixed):
    bare = zhu_like(1, 5)
    seen = [c for c in bare.columns if c.startswith(("dq_", "relax_"))]
    bare.with_columns(polars.lit(None).alias(c) for c in seen).write_csv(mixed / "nca.csv")
    (cases,) = soh.evaluate(mixed, Options("soh", alone=True))
    assert set(cases.identity["cell"]) == {"2C_battery-1"}
    assert any("no row that can be used" in reason and "cycle 2-6" in reason for reason in cases.unscored)


def test_half_of_a_recorded_cell_is_named(tmp_path):
    (tmp_path / "B1_timeseries.csv").write_text("operation,voltage_volt\n1,4.0\n")
    with pytest.raises(UsageError) as caught:
        soh.evaluate(tmp_path, Options("soh"))
    assert "B1_timeseries.csv: a cell takes two tables" in caught.value.mend


@pytest.mark.parametrize("model", [soh, cycles_left, trajectory, srse])
def test_a_folder_of_nothing_says_of_each_file_why(tmp_path, model):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "odd.csv").write_bytes(b"\x00\xff\xfehello\n\n;;;")
    with pytest.raises(UsageError) as caught:
        model.evaluate(tmp_path, Options("soh"))
    assert "empty.csv" in caught.value.mend
    assert "odd.csv" in caught.value.mend


def test_too_few_cells_to_learn_anew_from_is_said(tmp_path):
    charge_ends.write(tmp_path / "xjtu.csv", {"a": 30, "b": 30})
    with pytest.raises(UsageError, match="nothing to score") as caught:
        soh.evaluate(tmp_path, Options("soh", folds=5))
    assert "more cells" in caught.value.mend
