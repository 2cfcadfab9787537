import gzip

import numpy as np
import polars
import pytest

from daemon.errors import LogError
from daemon.tables import reading


def frame(path, text):
    path.write_text(text)
    return reading.table(path)[0]


def everything(_columns):
    return True


def test_files_that_cannot_be_read_are_named_and_the_others_go_on(tmp_path):
    (tmp_path / "a.csv").write_text("")
    (tmp_path / "b.csv").write_text("cell,cycle\n")
    (tmp_path / "c.parquet").write_bytes(b"PAR1 and nothing else")
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(b"cell,cycle\nx,1\n")[:-9])
    (tmp_path / "e.csv").write_text("cell,cycle\nx,1\n")
    (tmp_path / "f.csv").mkdir()
    found = reading.tables(tmp_path, everything)
    assert [path.name for path in found.frames] == ["e.csv"]
    assert [reason.split(":")[0] for reason in found.unread] == ["a.csv", "b.csv", "c.parquet", "d.csv.gz"]
    assert "empty" in found.unread[0]
    assert "no row below its heading" in found.unread[1]
    assert all("\n" not in reason for reason in found.unread)


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz"])
def test_a_line_with_too_many_fields_costs_no_other_line(tmp_path, name):
    text = b"cell,cycle\nx,1\nx,2,3,4\n\nx,5\n"
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    table, lines = reading.table(tmp_path / name)
    kept, unread = reading.keyed(table, name, "cycle")
    assert kept["cycle"].to_list() == [1, 5]
    assert lines == (f"{name}, line 3: more fields than the file has columns",)
    assert unread == ()


def test_bytes_that_are_no_text_cost_one_field(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"cell,cycle,volt\nx,1,4.1\nx,2,4\xb0\xff9\nx,3,4.3\n")
    table, _ = reading.table(tmp_path / "x.csv")
    assert table["cycle"].to_list() == [1, 2, 3]
    assert np.isnan(reading.column(table, "volt")).tolist() == [False, True, False]


def test_what_cannot_be_parsed_at_all_is_an_error_with_its_place(tmp_path):
    (tmp_path / "x.csv").write_text('cell,cycle\n"x,1\ny,2\n')
    with pytest.raises(LogError, match="cannot be read as a table") as caught:
        reading.table(tmp_path / "x.csv")
    assert caught.value.where == "x.csv"


def test_names_of_cells_stay_as_they_are_written(tmp_path):
    assert frame(tmp_path / "x.csv", "cell,cycle\n01,1\n1.10,2\n")["cell"].to_list() == ["01", "1.10"]


def test_flags_are_read_in_either_case(tmp_path):
    table = frame(tmp_path / "x.csv", "cell,flag\na,True\nb,false\nc,\n")
    np.testing.assert_array_equal(reading.column(table, "flag"), [1.0, 0.0, np.nan])


def test_rows_without_a_cell_or_a_whole_number_are_named_by_line_and_blank_ones_are_not(tmp_path):
    text = "cell,cycle,volt\na,1,4\n,2,4\na,x7,4\n\na,4.5,4\na,5.0,4\na,,4\n  ,7,4\na,inf,4\na,-1,4\na,1e30,4\n\n\n"
    kept, unread = reading.keyed(frame(tmp_path / "x.csv", text), "x.csv", "cycle")
    assert kept["cycle"].to_list() == [1, 5]
    assert unread == (
        "x.csv, line 3, 9: no cell",
        "x.csv, line 4, 6, 8, 10-12: cycle is no whole number from 0 to 999999",
    )


def test_the_first_of_rows_that_tell_the_same_stands_and_the_others_are_named(tmp_path):
    table = frame(tmp_path / "x.csv", "cell,cycle,volt\na,1,4.1\nb,1,4.2\na,1,4.3\na,2,4.4\n")
    kept, again = reading.once(table, "x.csv", "cycle")
    assert kept["volt"].to_list() == [4.1, 4.2, 4.4]
    assert again == ("x.csv, a, cycle 1: told more than once, the first row stands",)


def test_numbered_columns_stand_in_their_place_whatever_their_order():
    table = polars.DataFrame({"q_03": [3.0], "q_total": [9.0], "q_00": [0.0], "q_mean_2": [9.0], "q_9999999": [9.0]})
    values, missing = reading.numbered(table, "q_", 6)
    np.testing.assert_array_equal(values, [[0.0, np.nan, np.nan, 3.0, np.nan, np.nan]])
    assert missing == "q_01, q_02, q_04, q_05"
    assert reading.numbered(table, "other_", 2)[1] == ""


def test_no_number_above_zero_is_no_label_and_an_empty_field_is_no_mistake():
    value, strange = reading.labels(polars.DataFrame({"ah": ["1.5", "0", "-1", "n/a", None, "inf"]}), "ah")
    np.testing.assert_array_equal(value, [1.5] + 5 * [np.nan])
    assert strange.tolist() == [False, True, True, True, False, True]
    assert not reading.labels(polars.DataFrame({"ah": [np.nan, None, 1.0]}), "ah")[1].any()
    assert np.isnan(reading.labels(polars.DataFrame({"other": [1]}), "ah")[0]).all()


def test_a_capacity_in_another_unit_is_no_label():
    value, strange = reading.labels(polars.DataFrame({"ah": [3.2, 3200.0]}), "ah", nominal_ah=3.5)
    assert (value[0], strange.tolist()) == (3.2, [False, True])
    assert reading.no_label("ah", 3.5) == "ah is no number above zero and up to 7 Ah"


def test_numbers_are_listed_shortly_and_none_is_left_out():
    assert reading.listed([3, 5, 9, 10, 11, 12, 14, 15]) == "3, 5, 9-12, 14, 15"
    assert reading.listed([]) == ""
