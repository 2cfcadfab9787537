import numpy as np
import polars
import pytest

from daemon.errors import UsageError
from daemon.tables.relaxation import read
from estimators.imodel.features import best_variant
from tests.daemon.tables.relaxation_files import lsd_like, zhu_like


def written(folder, **frames):
    for name, frame in frames.items():
        frame.write_csv(folder / f"{name}.csv")
    return folder


def only(folder, **frames):
    (table,) = read(written(folder, **frames))
    return table


def test_files_of_any_name_and_cells_of_any_name_are_read_as_one_table_a_kind(tmp_path):
    table = only(tmp_path, one=zhu_like(2), other=zhu_like(3))
    assert table.kind.name == "nca"
    assert len(np.unique(table.cell)) == 5
    assert set(best_variant(table.events, table.kind)) == {"both"}


def test_the_kind_of_cell_is_told_by_columns_and_then_by_the_file_s_name(tmp_path):
    written(tmp_path, a_ncm=zhu_like(2), b=zhu_like(2, points=119), c=lsd_like(2), d_nca=zhu_like(2))
    assert [t.kind.name for t in read(tmp_path)] == ["ncm", "ncm_nca", "lsd", "nca"]


def test_a_capacity_that_was_only_drawn_is_not_a_measured_one(tmp_path):
    table = only(tmp_path, cells=lsd_like(2))
    assert set(table.cycle[np.isfinite(table.capacity_ah)] % 5) == {1}


def test_a_charge_after_a_capacity_test_is_not_looked_at(tmp_path):
    table = only(tmp_path, cells=lsd_like(2))
    seen = np.array(best_variant(table.events, table.kind))
    assert set(seen[table.cycle % 5 == 2]) == {"rest"}
    assert set(seen[table.cycle % 5 != 2]) == {"both"}


def test_what_is_empty_or_absent_is_not_known_and_the_row_stays(tmp_path):
    frame = zhu_like(2)
    empty = frame.with_columns(polars.lit(None, polars.Float64).alias(c) for c in frame.columns if c.startswith("dq_"))
    bare = frame.drop("discharge_capacity_ah", *(c for c in frame.columns if c.startswith("relax_")))
    first, second = (t for t in [only(make(tmp_path, "a"), x=empty), only(make(tmp_path, "b"), x=bare)])
    assert set(best_variant(first.events, first.kind)) == {"rest"}
    assert set(best_variant(second.events, second.kind)) == {"charge"}
    assert np.isnan(second.capacity_ah).all()


def make(folder, name):
    (folder / name).mkdir()
    return folder / name


def test_a_row_with_neither_charge_nor_rest_is_named(tmp_path):
    frame = zhu_like(1, 5)
    seen = [c for c in frame.columns if c.startswith(("dq_", "relax_"))]
    frame = frame.with_columns(polars.when(polars.col("cycle") == 3).then(None).otherwise(polars.col(seen)).name.keep())
    table = only(tmp_path, x=frame)
    assert len(table) == 4
    assert table.unscored == ("x, CY25-0, cycle 3: neither a rest nor a charge that compares with others",)


def test_a_curve_on_another_window_is_laid_on_the_kind_s(tmp_path):
    table = only(tmp_path, x=lsd_like(1).with_columns(window_start_volt=3.7))
    usual = only(make(tmp_path, "usual"), x=lsd_like(1))
    assert np.nanmax(table.events.charge_ah) < 0.8 * np.nanmax(usual.events.charge_ah)


def test_a_folder_without_such_a_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="dq_ah_"):
        read(tmp_path)
