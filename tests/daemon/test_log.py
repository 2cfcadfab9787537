import gzip
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from daemon.errors import LogError
from daemon.log import read_log

DATA = Path(os.environ.get("BMSD_DATA", Path(__file__).parents[2] / "../shared/data"))
HEADER = "test_time_second,voltage_volt,current_ampere,temperature_celsius\n"


def data(folder: str) -> Path:
    if not (DATA / folder).is_dir():
        pytest.skip(f"no {folder} in {DATA}; set BMSD_DATA")
    return DATA / folder


def write(tmp_path: Path, text: str | bytes, name: str = "log.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_csv_with_machine_readable_names_is_read_whole(tmp_path):
    log = read_log(write(tmp_path, HEADER + "0,3.7,-1.5,25\n1,3.6,-1.6,\n"))
    assert log.test_time_second.tolist() == [0, 1]
    assert log.voltage_volt.tolist() == [3.7, 3.6]
    assert log.current_ampere.tolist() == [-1.5, -1.6]
    np.testing.assert_array_equal(log.temperature_celsius, [25, np.nan])
    assert log.broken == []
    assert log.soc is None


def test_labels_with_units_are_converted(tmp_path):
    text = (
        "Current / mA;Voltage / mV;Test Time / h;Surface Temperature T1 / degC;State of Charge / %;Step Type / 1\n"
        '-1500;3700;0.5;24;80;"a;b"\n'
    )
    log = read_log(write(tmp_path, text))
    assert log.test_time_second.tolist() == [1800]
    assert log.voltage_volt == pytest.approx([3.7])
    assert log.current_ampere == pytest.approx([-1.5])
    assert log.temperature_celsius.tolist() == [24]
    assert log.soc == pytest.approx([0.8])


def test_the_cell_temperature_is_never_taken_from_the_ambient_one(tmp_path):
    header = "unix_time_second,voltage_volt,current_ampere,ambient_temperature_celsius\n"
    log = read_log(write(tmp_path, header + "100,3,0,10\n105,3,0,11\n"))
    assert np.isnan(log.temperature_celsius).all()
    assert log.ambient_temperature_celsius.tolist() == [10, 11]
    assert log.test_time_second.tolist() == [0, 5]
    assert log.unix_time_second.tolist() == [100, 105]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("1,3.7,-1.5", "3 fields where the header has 4"),
        ("1,3.7,-1.5,25,7", "5 fields"),
        ("1,three,-1.5,25", "'three' is not a number"),
        ("1,nan,-1.5,25", "voltage_volt: nan is not a measurement"),
        ("1,3.7,-inf,25", "current_ampere: -inf is not a measurement"),
        (",3.7,-1.5,25", "test_time_second: nan is not a measurement"),
        ("-1,3.7,-1.5,25", "test_time_second: -1 is outside 0"),
        ("1,11,-1.5,25", "voltage_volt: 11 is outside 0 to 10"),
        ("1,3.7,-10001,25", "current_ampere: -10001 is outside"),
        ("1,3.7,-1.5,151", "temperature_celsius: 151 is outside -60 to 150"),
        ("1,3.7,-1.5,inf", "temperature_celsius: inf is not a measurement"),
        ("1,3.\xff7,-1.5,25", "is not a number"),
    ],
)
def test_a_broken_row_is_reported_with_its_line_and_skipped(tmp_path, row, why):
    text = HEADER + "0,3.7,-1.5,25\n\n" + row + "\n2,3.7,-1.5,25\n"
    log = read_log(write(tmp_path, text.encode("latin-1")))
    assert log.test_time_second.tolist() == [0, 2]
    [(line, said)] = log.broken
    assert line == 4
    assert why in said


def test_rows_out_of_order_and_duplicates_stay_as_they_are(tmp_path):
    log = read_log(write(tmp_path, HEADER + "5,3,0,25\n1,3,0,25\n1,3,0,25\n"))
    assert log.test_time_second.tolist() == [5, 1, 1]


def test_broken_rows_are_listed_in_the_order_of_the_file(tmp_path):
    log = read_log(write(tmp_path, HEADER + "0,99,0,25\n1,x,0,25\n2,3,0,25\n3,3,nan,25\n"))
    assert [b.line for b in log.broken] == [2, 3, 5]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (HEADER.encode(), "no row can be read"),
        (HEADER.encode() + b"0,x,0,25\n", "the first, line 2: 'x' is not a number"),
        (b"voltage_volt,current_ampere\n3,1\n", "lacks test_time_second"),
        (b"test_time_second,voltage_volt\n0,3\n", "lacks current_ampere"),
        (b"test_time_second,voltage,current_ampere\n0,3,1\n", "column `voltage` says no unit"),
        (b"\x00\x01\x02binary", "binary"),
        (b"PAR1 but not really", "Parquet file is damaged"),
        (gzip.compress(HEADER.encode() * 1000)[:40], "gzip file is damaged"),
    ],
)
def test_a_file_that_is_no_log_is_refused_with_what_is_wrong_and_what_mends_it(tmp_path, content, what):
    path = write(tmp_path, content)
    with pytest.raises(LogError) as caught:
        read_log(path)
    assert what in caught.value.what
    assert caught.value.where == str(path)
    assert caught.value.mend


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(LogError, match="cannot read it"):
            read_log(path)


@pytest.mark.parametrize(
    "names",
    [("test_time_second", "voltage_volt", "current_ampere"), ("Test Time / s", "Voltage / V", "Current / A")],
)
def test_parquet_gives_the_same_as_csv(tmp_path, names):
    frame = pl.DataFrame({names[0]: [0, 1, 2], names[1]: [3.7, None, 3.6], names[2]: [-1.0, -1.0, -2.0]})
    frame.write_parquet(tmp_path / "log.parquet")
    frame.write_csv(tmp_path / "log.csv")
    parquet, text = read_log(tmp_path / "log.parquet"), read_log(tmp_path / "log.csv")
    for name in ("test_time_second", "voltage_volt", "current_ampere", "temperature_celsius"):
        np.testing.assert_array_equal(getattr(parquet, name), getattr(text, name))
    assert [b.why for b in parquet.broken] == [b.why for b in text.broken]
    assert parquet.broken[0].line == 2


def test_every_row_of_a_recorded_drive_cycle_is_taken():
    path = data("panasonic-18650pf") / "25c_us06.csv.gz"
    log = read_log(path)
    frame = pl.read_csv(path)
    assert log.broken == []
    for name in frame.columns:
        np.testing.assert_array_equal(getattr(log, name), frame[name].to_numpy())


def test_broken_vendor_files_are_refused():
    paths = sorted(data("vendor-logs").glob("bad_*"))
    assert paths
    for path in paths:
        with pytest.raises(LogError, match="lacks current_ampere, test_time_second, voltage_volt"):
            read_log(path)


def test_a_log_that_has_only_the_time_of_its_steps_is_told_why_that_will_not_do(tmp_path):
    path = tmp_path / "c20.csv"
    path.write_text("step_time_second,voltage_volt,current_ampere\n5.0,2.5873,0.05\n")
    with pytest.raises(LogError, match=r"lacks test_time_second \(the time of a step"):
        read_log(path)
