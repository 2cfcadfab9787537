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


def variants(table):
    return dict(zip(table.cycle.tolist(), best_variant(table.events, table.kind), strict=True))


def test_a_charge_of_which_nobody_knows_whether_it_follows_a_test_is_not_looked_at(tmp_path):
    frame = lsd_like(1, 21)
    seen = variants(only(tmp_path, x=frame.filter(~polars.col("cycle").is_in([2, 6, 9]))))
    assert seen[3] == "rest"  # after a test, or not: the cycle before is not there
    assert seen[7] == "rest"
    assert seen[10] == "rest"
    assert {seen[c] for c in (1, 4, 5, 8, 11, 13)} == {"both"}
    assert seen[12] == "rest"


def test_a_test_follows_no_other_so_that_a_table_of_tests_alone_keeps_its_charges(tmp_path):
    tests = lsd_like(2).filter(polars.col("capacity_is_measured") == 1)
    assert set(variants(only(tmp_path, x=tests)).values()) == {"both"}
    unlabelled = tests.with_columns(capacity_is_measured=None, discharge_capacity_ah=None)
    assert set(variants(only(make(tmp_path, "b"), x=unlabelled)).values()) == {"both"}


def test_a_table_that_does_not_begin_with_the_first_cycle_may_begin_after_a_test(tmp_path):
    seen = variants(only(tmp_path, x=lsd_like(1, 21).filter(polars.col("cycle") > 6)))
    assert seen[7] == "rest"
    assert seen[8] == "both"


def test_one_empty_current_makes_no_other_charge_follow_or_not_follow_a_test(tmp_path):
    frame = lsd_like(1, 21)
    empty = polars.when(polars.col("cycle") != 9).then(polars.col("discharge_current_ampere"))
    usual = variants(only(tmp_path, x=frame))
    assert variants(only(make(tmp_path, "b"), x=frame.with_columns(discharge_current_ampere=empty))) == usual
    bare = frame.with_columns(discharge_current_ampere=empty).drop("capacity_is_measured")
    assert variants(only(make(tmp_path, "c"), x=bare)) == usual | {10: "rest"}


def test_measured_rows_are_tests_where_no_current_is_told(tmp_path):
    frame = lsd_like(1, 21)
    assert variants(only(tmp_path, x=frame.drop("discharge_current_ampere"))) == variants(
        only(make(tmp_path, "b"), x=frame)
    )


def test_a_gap_in_cells_that_are_not_tested_loses_no_charge(tmp_path):
    seen = variants(only(tmp_path, x=zhu_like(1, 12).filter(polars.col("cycle") % 3 > 0)))
    assert set(seen.values()) == {"both"}


def test_without_a_rest_the_reason_is_the_test_before(tmp_path):
    frame = lsd_like(1, 8).filter(polars.col("cycle") != 4)
    table = only(tmp_path, x=frame.drop(c for c in frame.columns if c.startswith("relax_")))
    follows, may_follow = table.unscored
    assert follows == "x, CY25-0, cycle 2, 7: no rest, and its charge follows a capacity test"
    assert may_follow.startswith("x, CY25-0, cycle 5: no rest, and its charge may follow a capacity test")


def test_a_missing_column_of_a_charge_is_named_and_the_rest_answers(tmp_path):
    frame = zhu_like(1, 5)
    for name in ("dq_ah_05", "dq_ah_49"):
        table = only(make(tmp_path, name), x=frame.drop(name))
        assert set(variants(table).values()) == {"rest"}
        assert table.unscored == (f"x: no {name}, so that its charges are not looked at",)


def test_columns_without_a_number_are_no_points(tmp_path):
    frame = zhu_like(1, 5)
    table = only(tmp_path, x=frame.with_columns(dq_ah_total=1.0, relax_volt_mean=4.1))
    usual = only(make(tmp_path, "usual"), x=frame)
    np.testing.assert_array_equal(table.events.charge_ah, usual.events.charge_ah)
    np.testing.assert_array_equal(table.events.rest_volt, usual.events.rest_volt)


def test_rows_that_cannot_be_read_are_named_and_the_others_stay(tmp_path):
    frame = zhu_like(1, 5).cast({"cycle": polars.String})
    spoilt = frame.with_columns(
        cell=polars.when(polars.col("cycle") != "3").then("cell"),
        cycle=polars.when(polars.col("cycle") == "4").then(polars.lit("x7")).otherwise("cycle"),
        discharge_capacity_ah=polars.when(polars.col("cycle") == "5").then(-1.0).otherwise("discharge_capacity_ah"),
    )
    polars.concat([spoilt, spoilt.head(1)]).write_csv(tmp_path / "x.csv")
    with (tmp_path / "x.csv").open("a") as file:
        file.write("\n")
    (table,) = read(tmp_path)
    assert table.cycle.tolist() == [2, 5, 6]
    assert np.isnan(table.capacity_ah).tolist() == [False, True, False]
    assert table.unscored == (
        "x, line 3: no cell",
        "x, line 4: cycle is no whole number from 0 to 999999",
        "x, CY25-0, cycle 2: told more than once, the first row stands",
        "x, CY25-0, cycle 5: discharge_capacity_ah is no number above zero and up to 7 Ah",
    )


def test_files_of_headings_alone_are_refused_by_name_and_beside_others_named(tmp_path):
    written(tmp_path, x=zhu_like(1, 5).head(0))
    with pytest.raises(UsageError) as caught:
        read(tmp_path)
    assert "x.csv: no row below its heading" in caught.value.mend
    assert any("x.csv" in reason for reason in only(tmp_path, y=zhu_like(1, 5)).unscored)


def test_charges_and_capacities_in_milliampere_hours_are_named_and_the_rest_answers(tmp_path):
    frame = zhu_like(1, 5)
    amounts = [c for c in frame.columns if c.startswith("dq_") or c == "discharge_capacity_ah"]
    table = only(tmp_path, x=frame.with_columns(polars.col(amounts) * 1000))
    assert set(best_variant(table.events, table.kind)) == {"rest"}
    assert np.isnan(table.capacity_ah).all()
    assert table.unscored == (
        "x, CY25-0, cycle 2-6: discharge_capacity_ah is no number above zero and up to 7 Ah",
        "x, CY25-0, cycle 2-6: dq_ah_* falls or is above 7 Ah: its charge is not looked at",
    )


def test_rests_in_another_unit_leave_nothing_to_score_and_that_is_said(tmp_path):
    frame = zhu_like(1, 5)
    rest = [c for c in frame.columns if c.startswith("relax_")]
    frame = frame.drop(c for c in frame.columns if c.startswith("dq_")).with_columns(polars.col(rest) * 1000)
    with pytest.raises(UsageError, match="no row that can be used") as caught:
        only(tmp_path, x=frame)
    assert "cycle 2-6" in caught.value.mend
