"""Recordings of charges and discharges to cases."""

import gzip

import numpy as np
import polars
import pytest

from daemon.errors import UsageError
from daemon.tables import nasa
from tests.estimators.srse.synthetic import recording

CAPACITY = 1.8


def discharge(capacity=CAPACITY, end=2.3, ampere=4.0):
    """Give a discharge on a straight line to `end`; the reading voltage is passed on the way."""
    second = np.arange(0.0, capacity / ampere * 3600.0, 10.0)
    volt = np.linspace(4.1, end, len(second))
    return second, volt, np.full(len(second), -ampere), np.full(len(second), 30.0)


def write(folder, cell, operations, labels=True, suffix=".csv"):
    """Write a cell's two tables; operations are (type, recording, reported capacity)."""
    rows, told = [], []
    for number, (kind, recorded, reported) in enumerate(operations, 1):
        rows.append(
            polars.DataFrame(dict(zip(nasa.COLUMNS, recorded, strict=True))).with_columns(
                operation=polars.lit(number, polars.Int64)
            )
        )
        told.append({"operation": number, "type": kind, "start_time": "2009-01-01T00:00:00", nasa.AMBIENT: 24})
        if labels:
            told[-1][nasa.LABEL] = "nan" if reported is None else f"{reported}"
    tables = {"_timeseries": polars.concat(rows), "_operations": polars.DataFrame(told)}
    for name, table in tables.items():
        if suffix == ".parquet":
            table.write_parquet(folder / f"{cell}{name}.parquet")
        else:
            table.write_csv(folder / f"{cell}{name}.csv")


def cycles(*capacities):
    """Give charge and discharge for each capacity."""
    return [
        step
        for c in capacities
        for step in (("charge", recording(capacity_ah=c), None), ("discharge", discharge(c), 0.9 * c))
    ]


def test_a_charge_is_told_the_capacity_of_the_discharge_that_follows(tmp_path):
    write(tmp_path, "A", cycles(1.8, 1.7))
    found = nasa.read(tmp_path)
    assert [(c.cell, c.operation, c.discharge_operation, c.cycle) for c in found.cases] == [
        ("A", 1, 2, 1),
        ("A", 3, 4, 2),
    ]
    assert [c.capacity_ah for c in found.cases] == pytest.approx([1.62, 1.53])
    assert [c.configuration for c in found.cases] == ["24 C", "24 C"]


def test_what_is_known_before_a_charge_is_of_the_discharge_before(tmp_path):
    write(tmp_path, "A", cycles(1.8, 1.7))
    first, second = nasa.read(tmp_path).cases
    assert np.isnan(first.before.all_ah)
    assert np.isnan(first.held_ah)
    assert second.held_ah == pytest.approx(1.62)
    assert second.before.all_ah == pytest.approx(1.8, abs=0.02)
    assert second.before.reported_ah == pytest.approx(1.8 * 1.4 / 1.8, abs=0.02)  # 4.1 to 2.7 of 4.1 to 2.3 V


@pytest.mark.parametrize("labels", [True, False])
def test_labels_may_be_absent(tmp_path, labels):
    write(tmp_path, "A", cycles(1.8, 1.7), labels=labels)
    cases = nasa.read(tmp_path).cases
    assert len(cases) == 2
    assert np.isfinite([c.capacity_ah for c in cases]).all() == labels


def test_a_discharge_that_was_broken_off_is_no_label_and_what_follows_no_full_charge(tmp_path):
    operations = [*cycles(1.8), ("charge", recording(), None), ("discharge", discharge(end=3.4), 0.0), *cycles(1.7)]
    write(tmp_path, "A", operations)
    found = nasa.read(tmp_path)
    assert [c.operation for c in found.cases] == [1, 3]
    assert np.isnan(found.cases[1].capacity_ah)
    assert any("operation 4" in r and "broken off" in r for r in found.unused)
    assert any("operation 5" in r and "not_full_charge" in r for r in found.unused)


def test_a_second_charge_without_a_discharge_between_is_not_full(tmp_path):
    write(
        tmp_path, "A", [("charge", recording(), None), ("charge", recording(), None), ("discharge", discharge(), 1.6)]
    )
    found = nasa.read(tmp_path)
    assert [(c.operation, c.discharge_operation) for c in found.cases] == [(1, None)]
    assert np.isnan(found.cases[0].capacity_ah)


def test_a_capacity_far_below_its_neighbours_is_not_believed(tmp_path):
    operations = cycles(1.8, 1.8, 1.8, 1.8)
    operations[3] = ("discharge", discharge(), 0.5)
    write(tmp_path, "A", operations)
    found = nasa.read(tmp_path)
    assert np.isnan([c.capacity_ah for c in found.cases]).tolist() == [False, True, False, False]
    assert found.cases[2].held_ah == pytest.approx(1.62)


def test_nothing_that_comes_later_changes_what_a_case_shows(tmp_path):
    (tmp_path / "short").mkdir()
    (tmp_path / "long").mkdir()
    write(tmp_path / "short", "A", cycles(1.8, 1.7))
    write(tmp_path / "long", "A", cycles(1.8, 1.7, 1.2))
    short, long = (nasa.read(tmp_path / name).cases for name in ("short", "long"))
    for one, other in zip(short, long, strict=False):
        assert np.array_equal(one.charge.volt, other.charge.volt)
        assert (*one.before, one.held_ah) == pytest.approx((*other.before, other.held_ah), nan_ok=True)


def test_parquet_is_read_alike(tmp_path):
    write(tmp_path, "A", cycles(1.8), suffix=".parquet")
    assert len(nasa.read(tmp_path).cases) == 1


def test_a_table_may_be_packed_and_the_other_not(tmp_path):
    write(tmp_path, "A", cycles(1.8))
    plain = tmp_path / "A_timeseries.csv"
    (tmp_path / "A_timeseries.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert len(nasa.read(tmp_path).cases) == 1


def test_another_folder_is_refused(tmp_path):
    assert not nasa.looks_like(tmp_path)
    with pytest.raises(UsageError):
        nasa.read(tmp_path)


@pytest.mark.parametrize(
    ("table", "spoil", "word"),
    [
        ("operations", lambda t: t.drop("type"), "no column type"),
        ("operations", lambda t: t.drop("operation"), "no column operation"),
        ("timeseries", lambda t: t.drop("operation"), "no column operation"),
        ("timeseries", lambda t: t.drop("voltage_volt"), "no column voltage_volt"),
        ("timeseries", lambda t: t.with_columns(voltage_volt=None), "no number in voltage_volt"),
        ("timeseries", lambda t: t.head(0), "no row below its heading"),
        ("operations", lambda t: t.with_columns(type=polars.lit("rest")), "no operation whose type is"),
    ],
)
def test_a_cell_whose_table_cannot_be_used_is_named_and_the_others_go_on(tmp_path, table, spoil, word):
    for cell in "AB":
        write(tmp_path, cell, cycles(1.8))
    path = tmp_path / f"A_{table}.csv"
    spoil(polars.read_csv(path)).write_csv(path)
    found = nasa.read(tmp_path)
    assert [c.cell for c in found.cases] == ["B"]
    assert any(reason.startswith(f"A_{table}.csv: {word}") for reason in found.unused)


def test_garbage_in_place_of_a_recording_is_named(tmp_path):
    for cell in "AB":
        write(tmp_path, cell, cycles(1.8))
    (tmp_path / "A_timeseries.csv").write_bytes(b"\x00\xff\n;;")
    (tmp_path / "B_timeseries.csv").write_bytes(b"")
    found = nasa.read(tmp_path)
    assert found.cases == ()
    garbage, empty = found.unused
    assert garbage.startswith("A_timeseries.csv: no column operation")
    assert empty.startswith("B_timeseries.csv: the file is empty")


def test_rows_of_no_operation_and_operations_told_twice_are_named(tmp_path):
    write(tmp_path, "A", cycles(1.8, 1.7))
    series = tmp_path / "A_timeseries.csv"
    lines = len(series.read_text().splitlines())
    order = polars.read_csv(series, n_rows=0).columns
    with series.open("a") as file:
        file.write(",".join("x" if c == "operation" else "1" for c in order) + "\n\n")
    with (tmp_path / "A_operations.csv").open("a") as file:
        file.write("3,discharge,2009,24,1.0\n")
    found = nasa.read(tmp_path)
    assert [c.operation for c in found.cases] == [1, 3]
    assert found.unused == (
        f"A_timeseries.csv, line {lines + 1}: operation is no whole number from 0 to 999999",
        "A_operations.csv, A, operation 3: told more than once, the first row stands",
    )


def test_a_capacity_that_is_not_above_zero_is_no_label(tmp_path):
    write(tmp_path, "A", [("charge", recording(), None), ("discharge", discharge(), -1.0)])
    found = nasa.read(tmp_path)
    assert np.isnan([c.capacity_ah for c in found.cases]).all()
    assert any("operation 2" in reason and "above zero" in reason for reason in found.unused)
