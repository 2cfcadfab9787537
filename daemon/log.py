"""A recorded battery log -> columns: CSV, CSV.gz or Parquet whose names are the Battery Data Format's.

Both spellings of a name are read, in any order and among any other columns: the machine-readable one
(`test_time_second`, `voltage_volt`) and the label (`Test Time / s`, `Voltage / V`, also `Test Time / h` or
`Current / mA`). Rows stay in the order of the file, duplicates included: the grid decides about them.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from daemon.errors import LogError
from daemon.wire import EARLIEST_SECOND, LATEST_SECOND, Ampere, Celsius, Volt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Float = NDArray[np.float64]


class BrokenRow(NamedTuple):
    """A row that was skipped: its line in a text file (the header is line 1), its row in a Parquet file."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Log:
    """One cell's recording. Every array is [row]; an optional column that the file lacks is None."""

    path: Path
    test_time_second: Float  # from the file, else unix_time_second from its first row on
    voltage_volt: Float
    current_ampere: Float  # positive on charge
    temperature_celsius: Float  # of the cell; NaN where not measured
    broken: list[BrokenRow]  # in the order of the file
    unix_time_second: Float | None = None
    ambient_temperature_celsius: Float | None = None
    net_capacity_ah: Float | None = None
    charging_capacity_ah: Float | None = None
    soc: Float | None = None
    soh: Float | None = None
    step_index: Float | None = None

    def __len__(self) -> int:
        """Count the rows that were taken."""
        return len(self.test_time_second)


class _Wanted(NamedTuple):
    unit: str
    names: tuple[str, ...]  # without the unit; the first that the file has is taken
    low: float = -np.inf
    high: float = np.inf


def _limits(wire_type: object) -> tuple[float, float]:
    bounds = get_args(wire_type)[1]
    return bounds.ge, bounds.le


_MEASURED = ("test_time_second", "voltage_volt", "current_ampere")  # a row lives only where these do
_CELSIUS = _limits(Celsius)
_WANTED = {
    "test_time_second": _Wanted("second", ("test_time",), EARLIEST_SECOND, LATEST_SECOND),
    "voltage_volt": _Wanted("volt", ("voltage",), *_limits(Volt)),
    "current_ampere": _Wanted("ampere", ("current",), *_limits(Ampere)),
    "temperature_celsius": _Wanted(
        "celsius", ("temperature", "surface_temperature", "surface_temperature_t1", "temperature_t1"), *_CELSIUS
    ),
    "unix_time_second": _Wanted("second", ("unix_time",), EARLIEST_SECOND, LATEST_SECOND),
    "ambient_temperature_celsius": _Wanted("celsius", ("ambient_temperature",), *_CELSIUS),
    "net_capacity_ah": _Wanted("ah", ("net_capacity",)),
    "charging_capacity_ah": _Wanted("ah", ("charging_capacity",)),
    "soc": _Wanted("", ("soc", "state_of_charge")),
    "soh": _Wanted("", ("soh", "state_of_health")),
    "step_index": _Wanted("", ("step_index",)),
}
_UNITS = {  # spelling -> the unit we keep, and what to multiply by
    **dict.fromkeys(("s", "second"), ("second", 1.0)),
    **dict.fromkeys(("min", "minute"), ("second", 60.0)),
    **dict.fromkeys(("h", "hour"), ("second", 3600.0)),
    **dict.fromkeys(("v", "volt"), ("volt", 1.0)),
    **dict.fromkeys(("mv", "millivolt"), ("volt", 1e-3)),
    **dict.fromkeys(("a", "ampere"), ("ampere", 1.0)),
    **dict.fromkeys(("ma", "milliampere"), ("ampere", 1e-3)),
    "ah": ("ah", 1.0),
    "mah": ("ah", 1e-3),
    **dict.fromkeys(("degc", "°c", "celsius"), ("celsius", 1.0)),
    **dict.fromkeys(("", "1"), ("", 1.0)),
    **dict.fromkeys(("%", "percent"), ("", 0.01)),
}
_ABSENT = {"", "nan", "null", "none", "na", "n/a", "-"}
_MEND_NAMES = "name the columns as the Battery Data Format does: test_time_second, voltage_volt, current_ampere"


def read_log(path: Path) -> Log:
    """Read one log. A row that is broken is left out and listed in `broken`.

    Raises LogError where the file is not a log: missing, empty, binary, damaged, a column missing, or no row
    that can be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
        columns, line, broken = _read_parquet(path) if head == b"PAR1" else _read_csv(path)
    except OSError as err:
        what = f"cannot read it: {err.strerror or err}"
        raise LogError(what, where=str(path), mend="check the path and its permissions") from err
    if "test_time_second" not in columns and len(line):
        start = columns["unix_time_second"][np.isfinite(columns["unix_time_second"])][:1]
        columns["test_time_second"] = columns["unix_time_second"] - (start if len(start) else np.nan)
    good, found = _check(columns, line)
    broken = sorted(broken + found)
    if not good.any():
        first = f"; the first, line {broken[0].line}: {broken[0].why}" if broken else ""
        raise LogError(f"no row can be read{first}", where=str(path), mend="check that rows stand below the header")
    taken = {name: column[good] for name, column in columns.items()}
    taken.setdefault("temperature_celsius", np.full(int(good.sum()), np.nan))
    return Log(path=path, broken=broken, **taken)


def _check(columns: dict[str, Float], line: NDArray[np.int64]) -> tuple[NDArray[np.bool_], list[BrokenRow]]:
    """Find the rows that may be taken, and say of the others why not."""
    good = np.ones(len(line), dtype=bool)
    broken = []
    for name, column in columns.items():
        wanted = _WANTED[name]
        inside = (column >= wanted.low) & (column <= wanted.high) & np.isfinite(column)
        bad = ~inside if name in _MEASURED else ~inside & ~np.isnan(column)
        for row in np.flatnonzero(bad & good):
            value = column[row]
            range_ = f"outside {wanted.low:g} to {wanted.high:g}" if np.isfinite(value) else "not a measurement"
            broken.append(BrokenRow(int(line[row]), f"{name}: {value:g} is {range_}"))
        good &= ~bad
    return good, broken


def _choose(header: list[str], path: Path) -> dict[str, tuple[int, float]]:
    """Map the columns that we keep to their place in the file and the factor of their unit. Raises LogError."""
    known: dict[str, tuple[int, str]] = {}
    for place, title in enumerate(header):
        name, unit = _split(title)
        known.setdefault(name, (place, unit))
    chosen: dict[str, tuple[int, float]] = {}
    for column, wanted in _WANTED.items():
        place, unit = next((known[n] for n in wanted.names if n in known), (-1, ""))
        if place < 0:
            continue
        base, factor = _UNITS.get(unit, (None, 0.0))
        if base != wanted.unit:
            units = ", ".join(sorted(u for u, (b, _) in _UNITS.items() if b == wanted.unit and u))
            what = f"column `{header[place].strip()}` says no unit that is known"
            raise LogError(what, where=str(path), mend=f"call it `{column}`, or give its unit after a slash: {units}")
        chosen[column] = (place, factor)
    required = ({"voltage_volt", "current_ampere"} - set(chosen)) | (
        {"test_time_second"} if not {"test_time_second", "unix_time_second"} & set(chosen) else set()
    )
    if required:
        missing = ", ".join(sorted(required))
        if "test_time_second" in required and "step_time" in known:
            missing += " (the time of a step begins again with each step and cannot stand in for it)"
        found = ", ".join(h.strip() for h in header[:12]) or "nothing"
        raise LogError(f"it lacks {missing}; its first line has: {found:.200}", where=str(path), mend=_MEND_NAMES)
    return chosen


def _split(title: str) -> tuple[str, str]:
    """Part a column's title into name and unit.

    >>> _split("Surface Temperature T1 / degC"), _split("voltage_volt"), _split("soc")
    (('surface_temperature_t1', 'degc'), ('voltage', 'volt'), ('soc', ''))
    """
    title = title.strip().lower()
    if "/" in title:
        name, _, unit = title.rpartition("/")
        return "_".join(name.split()), unit.strip()
    name, _, unit = title.rpartition("_")
    return (name, unit) if name and unit in _UNITS else (title, "")


def _read_parquet(path: Path) -> tuple[dict[str, Float], NDArray[np.int64], list[BrokenRow]]:
    import polars

    try:
        frame = polars.read_parquet(path)
        columns = {
            name: frame.to_series(place).cast(polars.Float64, strict=False).fill_null(np.nan).to_numpy() * factor
            for name, (place, factor) in _choose(frame.columns, path).items()
        }
    except polars.exceptions.PolarsError as err:
        raise LogError(f"the Parquet file is damaged: {err}", where=str(path), mend="copy or export it again") from err
    return columns, np.arange(1, len(frame) + 1), []


def _read_csv(path: Path) -> tuple[dict[str, Float], NDArray[np.int64], list[BrokenRow]]:
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as err:
        raise LogError(f"the gzip file is damaged: {err}", where=str(path), mend="copy it again") from err
    if b"\0" in raw[:4096]:
        raise LogError("it is binary, not text", where=str(path), mend="export it as CSV or Parquet")
    lines = io.StringIO(raw.decode("utf-8-sig", errors="replace"), newline=None)  # a bad byte costs its row alone
    header = next(lines, "")
    if not header.strip():
        raise LogError("it is empty", where=str(path), mend=_MEND_NAMES)
    separator = max(",;\t", key=header.count)
    titles = _fields(header, separator)
    chosen = _choose(titles, path)
    values, line = array("d"), array("q")
    broken: list[BrokenRow] = []
    for number, row in _parse(lines, separator, len(titles), [place for place, _ in chosen.values()]):
        if isinstance(row, str):
            broken.append(BrokenRow(number, row))
        else:
            values.extend(row)
            line.append(number)
    table = np.array(values).reshape(-1, len(chosen))
    columns = {name: table[:, i] * factor for i, (name, (_, factor)) in enumerate(chosen.items())}
    return columns, np.array(line), broken


def _parse(
    lines: Iterator[str], separator: str, width: int, places: list[int]
) -> Iterator[tuple[int, list[float] | str]]:
    """Give each line's number with its values at `places`, or with what is wrong in words; pass over blank lines."""
    for number, text in enumerate(lines, start=2):
        if not text.strip():
            continue
        fields = _fields(text, separator)
        if len(fields) != width:
            yield number, f"{len(fields)} fields where the header has {width}"
            continue
        try:
            yield number, [_number(fields[place]) for place in places]
        except ValueError as err:
            yield number, str(err)


def _fields(text: str, separator: str) -> list[str]:
    text = text.rstrip("\n")
    return next(csv.reader([text], delimiter=separator)) if '"' in text else text.split(separator)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        if text.strip().lower() in _ABSENT:
            return float("nan")
        raise ValueError(f"{text[:40]!r} is not a number") from None
