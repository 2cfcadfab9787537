import gzip

import numpy as np
import pytest

from daemon.errors import UsageError
from daemon.tables.cycle_features import configuration, looks_like, read
from tests.daemon.tables.charge_ends import write


def test_a_file_is_known_by_the_longest_configuration_in_its_name():
    assert configuration("tju_ncm_nca.csv.gz").name == "tju_ncm_nca"
    assert configuration("mit_lfp_a123_20990101.csv").name == "mit"
    assert configuration("kept-XJTU-cells.parquet").nominal_capacity_ah == 2.0
    assert configuration("summit.csv") is None


def test_files_of_one_configuration_are_one_set_and_rows_come_in_order(tmp_path):
    write(tmp_path / "mit_b.csv", {"b": 30}, nominal=1.1)
    write(tmp_path / "mit_a.csv.gz", {"a": 30}, nominal=1.1, backwards=True)
    (one,) = read(tmp_path).sets
    assert one.cell.tolist() == ["a"] * 30 + ["b"] * 30
    assert one.row.tolist() == [*range(1, 31), *range(1, 31)]
    assert one.soh[0] == pytest.approx(0.95)


@pytest.mark.parametrize("capacity", ["absent", "empty"])
def test_rows_without_a_capacity_are_read_all_the_same(tmp_path, capacity):
    write(tmp_path / "xjtu.csv", {"a": 60}, capacity=capacity)
    (one,) = read(tmp_path).sets
    assert len(one.row) == 60
    assert np.isnan(one.soh).all()
    assert np.isnan(one.rul_row).all()
    assert np.isnan(one.dccr).all()


def test_a_row_that_cannot_be_used_is_named_with_its_reason(tmp_path):
    write(tmp_path / "xjtu.csv", {"a": 20}, bad={3: ("voltage_entropy", "-inf"), 7: ("cc_q", "")})
    found = read(tmp_path)
    assert 3 not in found.sets[0].row
    assert len(found.sets[0].row) == 18
    assert found.unusable["xjtu"] == ("xjtu a row 3, 7: cc_q, voltage_entropy not finite",)


def test_a_file_whose_name_says_no_configuration_is_named(tmp_path):
    write(tmp_path / "someone.csv", {"a": 20})
    found = read(tmp_path)
    assert found.sets == ()
    assert "unknown_configuration" in found.unusable["someone.csv"][0]


def test_another_folder_is_told_apart_and_refused(tmp_path):
    with gzip.open(tmp_path / "xjtu.csv.gz", "wt") as file:
        file.write("cell,row\na,1\n")
    assert not looks_like(tmp_path)
    with pytest.raises(UsageError):
        read(tmp_path)


def test_labels_are_of_each_cell_alone(tmp_path):
    write(tmp_path / "xjtu.csv", {"a": 200, "b": 100}, fade=0.001)
    (one,) = read(tmp_path).sets
    first, second = one.cell == "a", one.cell == "b"
    assert one.rul_row[first][0] == pytest.approx(150, abs=1)
    assert np.isnan(one.rul_row[second]).all()
    assert one.dccr[second][60] == pytest.approx(10.0, rel=1e-3)


def test_rows_that_cannot_be_read_are_named_once_each_and_the_others_stay(tmp_path):
    import polars

    write(tmp_path / "xjtu.csv", {"a": 30})
    frame = polars.read_csv(tmp_path / "xjtu.csv").cast({"row": polars.String})
    at = polars.col("row")
    spoilt = frame.with_columns(
        cell=polars.when(at != "3").then("cell"),
        row=polars.when(at == "4").then(polars.lit("x7")).otherwise("row"),
        capacity=polars.when(at == "5").then(0.0).otherwise("capacity"),
    )
    polars.concat([spoilt, spoilt.tail(2)]).write_csv(tmp_path / "xjtu.csv")
    (tmp_path / "mit.csv").write_text("")
    found = read(tmp_path)
    (one,) = found.sets
    assert one.row.tolist() == [1, 2, *range(5, 31)]
    assert np.isnan(one.soh).sum() == 1
    assert np.isfinite(one.rul_row).sum() == 0
    assert [reason for reasons in found.unusable.values() for reason in reasons] == [
        "mit.csv: the file is empty (write it anew, or take it away)",
        "xjtu.csv, line 4: no cell",
        "xjtu.csv, line 5: row is no whole number from 0 to 999999",
        "xjtu.csv, a, row 5: capacity is no number above zero and up to 4 Ah",
        "xjtu, a, row 29, 30: told more than once, the first row stands",
    ]


def test_every_row_left_out_is_in_its_cell_s_list(tmp_path):
    rows = [2, 5, 9, 10, 11, 12, 15, 17, 19, 21, 23, 25]
    write(tmp_path / "xjtu.csv", {"a": 30}, bad=dict.fromkeys(rows, ("cc_q", "")))
    assert read(tmp_path).unusable["xjtu"] == ("xjtu a row 2, 5, 9-12, 15, 17, 19, 21, 23, 25: cc_q not finite",)
