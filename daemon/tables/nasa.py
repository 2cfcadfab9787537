"""Folders of the form of NASA's ageing set: a `*_timeseries` and a `*_operations` table a cell.

A case is a charge, and the capacity that the next discharge will show. What the folder does not tell (labels may be
empty or absent) stays NaN; what cannot be used is named with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars

from daemon.errors import LogError, UsageError
from daemon.tables import reading
from daemon.tables.reading import CELL, column
from estimators.srse import features
from estimators.srse.features import Charge

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Float = NDArray[np.float64]

NOMINAL_CAPACITY_AH = 2.0
SERIES, OPERATIONS = "_timeseries", "_operations"
NUMBER = "operation"
EMPTY_VOLT = 2.85  # cells are emptied to 2.0 to 2.7 V; a discharge that ends above was broken off
FULL_VOLT = 4.15
REPORTED_VOLT = 2.7
FAR_OFF = 0.15  # below the median of its neighbours: rows of that discharge were lost
NEIGHBOURS = 2  # to either side
LABEL, AMBIENT = "reported_discharge_capacity_ah", "ambient_temperature_celsius"
CHARGE, DISCHARGE = "charge", "discharge"
COLUMNS = ("test_time_second", "voltage_volt", "current_ampere", "temperature_celsius")


class Given(NamedTuple):
    """What a discharge gave."""

    all_ah: float
    reported_ah: float  # until its voltage fell below 2.7 V: that is what the set calls capacity


NOTHING = Given(np.nan, np.nan)


@dataclass(frozen=True, slots=True)
class Case:
    """A full charge."""

    cell: str
    operation: int  # of the charge
    discharge_operation: int | None  # of the discharge that follows; None: none does
    cycle: int  # which discharge of the cell follows, the first being 1
    configuration: str  # its ambient temperature: "24 C"
    charge: Charge
    before: Given  # by the discharge before, counted; NaN: none was seen
    held_ah: float  # the label that was known before; NaN: none was
    capacity_ah: float  # the label; NaN: not known


@dataclass(frozen=True, slots=True)
class Operation:
    """What a cell went through at one time."""

    number: int
    kind: str
    ambient_celsius: float
    reported_ah: float  # NaN: not told
    second: Float  # [point] since its beginning
    volt: Float
    ampere: Float
    celsius: Float

    @property
    def emptied(self) -> bool:
        """Whether its voltage fell as low as that of an empty cell."""
        return bool(np.any(self.volt <= EMPTY_VOLT))

    def given(self) -> Given:
        """Count the charge that left the cell, by trapezoids over its rows."""
        known = np.isfinite(self.second) & np.isfinite(self.ampere) & np.isfinite(self.volt)
        second, volt, ampere = self.second[known], self.volt[known], self.ampere[known]
        if len(second) < 2:
            return NOTHING
        given = -np.cumsum(np.diff(second) * (ampere[1:] + ampere[:-1]) / 7200.0)
        low = np.flatnonzero(volt[1:] < REPORTED_VOLT)
        return Given(float(given[-1]), float(given[low[0]] if len(low) else given[-1]))


@dataclass(frozen=True, slots=True)
class Folder:
    """What was found."""

    cases: tuple[Case, ...]
    unused: tuple[str, ...]  # operations left out, each with its reason


def looks_like(folder: Path) -> bool:
    """Tell whether a folder has the form."""
    return bool(_pairs(folder))


def part(file: str) -> bool:
    """Tell by its name whether a file is one of a cell's two tables."""
    return SERIES in file or OPERATIONS in file


def read(folder: Path) -> Folder:
    """Read every cell of a folder; one whose tables cannot be read is named. Raises UsageError where there is none."""
    pairs = _pairs(folder)
    if not pairs:
        raise UsageError(
            "no cell with a _timeseries and an _operations table",
            where=str(folder),
            mend="see the data set's README for the form",
        )
    found = []
    for name, paths in pairs.items():
        try:
            found.append(_cell(name, *paths))
        except LogError as err:
            found.append(Folder((), (reading.told(err),)))
    return Folder(tuple(c for one in found for c in one.cases), tuple(r for one in found for r in one.unused))


def unpaired(folder: Path) -> list[str]:
    """Name the tables of cells that lack the other one."""
    paired = {path for paths in _pairs(folder).values() for path in paths}
    return [
        f"{path.name}: a cell takes two tables, NAME{SERIES} and NAME{OPERATIONS}"
        for path in reading.files(folder)
        if part(path.name) and path not in paired
    ]


def _pairs(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Find the two tables of each cell, by name."""
    files = {p.name: p for p in reading.files(folder)}
    found: dict[str, tuple[Path, Path]] = {}
    for name, path in files.items():
        cell, series, suffix = name.partition(SERIES)
        told = next((files[f] for s in reading.SUFFIXES if (f := f"{cell}{OPERATIONS}{s}") in files), None)
        if series and suffix in reading.SUFFIXES and told is not None:
            found.setdefault(cell, (path, told))
    return found


def _cell(name: str, series: Path, told_path: Path) -> Folder:
    rows, unread = _table(name, series, COLUMNS)
    if unsaid := [c for c in COLUMNS if not np.isfinite(column(rows, c)).any()]:
        raise LogError(f"no number in {', '.join(unsaid)}", where=series.name, mend="see the README of the data set")
    told, more = _table(name, told_path, ("type",))
    recorded = {key[0]: _columns(some) for key, some in rows.group_by(NUMBER, maintain_order=True)}
    none = _columns(rows.clear())
    told, again = reading.once(told.sort(NUMBER, maintain_order=True), told_path.name, NUMBER)
    operations = [
        Operation(number, kind, ambient, label, *recorded.get(number, none))
        for number, kind, ambient, label in zip(
            told[NUMBER], told["type"], column(told, AMBIENT), column(told, LABEL), strict=True
        )
        if kind in (CHARGE, DISCHARGE)
    ]
    labels, broken = _labels(operations)
    reasons = [*unread, *more, *again, *(f"{name} {reason}" for reason in broken)]
    if not operations:
        reasons.append(f"{told_path.name}: no operation whose type is {CHARGE} or {DISCHARGE}")
    return _cases(name, operations, labels, reasons)


def _table(name: str, path: Path, wanted: Sequence[str]) -> tuple[polars.DataFrame, tuple[str, ...]]:
    """Read one of a cell's tables: rows that say their operation. Raises LogError where a column is not there."""
    frame, unread = reading.table(path)
    if missing := [c for c in (NUMBER, *wanted) if c not in frame.columns]:
        raise LogError(f"no column {', '.join(missing)}", where=path.name, mend="see the README of the data set")
    blank = polars.all_horizontal(polars.all().is_null())
    whose = frame.with_columns(polars.when(~blank).then(polars.lit(name)).alias(CELL))
    frame, nameless = reading.keyed(whose, path.name, NUMBER)
    return frame, (*unread, *nameless)


def _cases(name: str, operations: list[Operation], labels: Float, unused: list[str]) -> Folder:
    """Go through a cell's operations in order; nothing that comes after a charge makes or unmakes its case."""
    cases: list[Case] = []
    before, held = NOTHING, np.nan
    emptied, cycle = True, 0  # of a cell's first charge nobody knows better
    for i, one in enumerate(operations):
        if one.kind == DISCHARGE:
            emptied, before, cycle = one.emptied, one.given(), cycle + 1
            held = float(labels[i]) if np.isfinite(labels[i]) else held
            continue
        charge = features.charge(one.second, one.volt, one.ampere, one.celsius, NOMINAL_CAPACITY_AH)
        reason = features.why_not(charge, FULL_VOLT, np.inf)
        if reason or not emptied:
            unused.append(f"{name} operation {one.number}: {reason or 'not_full_charge'}")
        else:
            after = i + 1 if i + 1 < len(operations) and operations[i + 1].kind == DISCHARGE else None
            follows, truth = (None, np.nan) if after is None else (operations[after].number, float(labels[after]))
            at = f"{one.ambient_celsius:.0f} C"
            cases.append(Case(name, one.number, follows, cycle + 1, at, charge, before, held, truth))
        emptied, before = False, NOTHING
    return Folder(tuple(cases), tuple(unused))


def _labels(operations: list[Operation]) -> tuple[Float, list[str]]:
    """Give the capacities [operation] that can be believed, and why others cannot."""
    labels = np.array([o.reported_ah if o.kind == DISCHARGE else np.nan for o in operations])
    broken = []
    for i in np.flatnonzero(~np.isnan(labels)):
        if not operations[i].emptied:
            broken.append(f"operation {operations[i].number}: a discharge that was broken off shows no capacity")
            labels[i] = np.nan
        elif not 0 < labels[i] <= reading.MOST_OF_NOMINAL * NOMINAL_CAPACITY_AH:
            broken.append(f"operation {operations[i].number}: {reading.no_label(LABEL, NOMINAL_CAPACITY_AH)}")
            labels[i] = np.nan
    told = np.flatnonzero(np.isfinite(labels))
    whole = labels.copy()
    for k, i in enumerate(told):
        usual = np.median(whole[told[max(k - NEIGHBOURS, 0) : k + NEIGHBOURS + 1]])
        if whole[i] < (1.0 - FAR_OFF) * usual:
            broken.append(f"operation {operations[i].number}: capacity {whole[i]:.2f} Ah among ones of {usual:.2f}")
            labels[i] = np.nan
    return labels, broken


def _columns(rows: polars.DataFrame) -> tuple[Float, Float, Float, Float]:
    second, volt, ampere, celsius = (column(rows, c) for c in COLUMNS)
    return second, volt, ampere, celsius
