"""Folders with one row a cycle: sixteen numbers of a charge's end, and the capacity of that cycle where it is known.

A set is a file, or several whose names begin alike; its nominal capacity is known by that name. `row` counts the
cycles that the source kept, in their order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars

from daemon.tables import reading
from daemon.tables.reading import CELL
from estimators.multitask.configuration import CONFIGURATIONS, Configuration
from estimators.multitask.features import NAMES, shown
from estimators.multitask.labels import fade_rate, rows_left

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from numpy.typing import NDArray

    from estimators.contract import Float

ROW, CAPACITY = "row", "capacity"
IDENTITY = (CELL, ROW)


@dataclass(frozen=True, slots=True)
class Cycles:
    """The rows of one set that can be used, those of a cell together and in order."""

    configuration: Configuration
    identity: polars.DataFrame  # [row] `cell` and `row`
    cell: NDArray[np.str_]  # [row]
    row: NDArray[np.int64]  # [row]
    features: Float  # [row, 16] as in the file
    soh: Float  # [row] NaN: not known

    @property
    def rul_row(self) -> Float:
        """Rows left until SOH is under 80 % [row]; NaN: not known."""
        return _by_cell(rows_left, self)

    @property
    def dccr(self) -> Float:
        """Points of SOH lost in 100 rows [row]; NaN: not known."""
        return _by_cell(fade_rate, self)

    @property
    def protocol(self) -> NDArray[np.str_]:
        """What a cell's name says of how it was used [row]: all before its last number."""
        return np.array([re.sub(r"\d+$", "", name) for name in self.cell.tolist()])

    @property
    def shown(self) -> Float:
        """What a model sees of it [row, input]."""
        return shown(self.features, self.configuration.nominal_capacity_ah)


class Folder(NamedTuple):
    """What was read."""

    sets: tuple[Cycles, ...]
    unusable: dict[str, tuple[str, ...]]  # set or file -> what was left out of it, and why


def fits(columns: Collection[str]) -> bool:
    """Tell a file of the form by its columns."""
    return set(NAMES) | set(IDENTITY) <= set(columns)


def looks_like(folder: Path) -> bool:
    """Tell whether any file of the folder has a charge's sixteen numbers."""
    return reading.holds(folder, fits)


def read(folder: Path) -> Folder:
    """Read every set of a folder. Raises UsageError where no file has rows of this form."""
    tables = reading.tables(folder, fits)
    if not tables.frames:
        raise reading.refused(
            f"no file in {folder} has the columns of a charge's end",
            folder,
            f"files need {', '.join((*IDENTITY, *NAMES[:2]))}, ...",
            tables.unread,
        )
    frames: dict[Configuration, list[polars.DataFrame]] = {}
    unusable: dict[str, tuple[str, ...]] = {str(folder): tables.unread}
    for path, table in tables.frames.items():
        known = configuration(path.name)
        if known is None:
            unusable[path.name] = (f"{path.name}: unknown_configuration (its name says no nominal capacity)",)
        else:
            frame, unusable[path.name] = _frame(known, path.name, table)
            frames.setdefault(known, []).append(frame)
    sets = []
    for known in sorted(frames):
        cycles, left_out = _cycles(known, polars.concat(frames[known]))
        unusable[known.name] = left_out
        if len(cycles.row):
            sets.append(cycles)
    return Folder(tuple(sets), unusable)


def configuration(file_name: str) -> Configuration | None:
    """Find the configuration whose name a file's name holds; the longest, where several do."""
    words = re.sub(r"[^a-z0-9]+", "_", file_name.lower())
    found = [c for c in CONFIGURATIONS if f"_{c.name}_" in f"_{words}_"]
    return max(found, key=lambda c: len(c.name), default=None)


def select(cycles: Cycles, rows: NDArray[np.bool_]) -> Cycles:
    """Keep some rows."""
    return Cycles(
        cycles.configuration,
        cycles.identity.filter(polars.Series(rows)),
        cycles.cell[rows],
        cycles.row[rows],
        cycles.features[rows],
        cycles.soh[rows],
    )


def _frame(known: Configuration, file: str, table: polars.DataFrame) -> tuple[polars.DataFrame, tuple[str, ...]]:
    """Give the columns that are used, numbers as numbers; what is no number, or empty, is NaN."""
    nominal = known.nominal_capacity_ah
    table, unread = reading.keyed(table, file, ROW)
    soh, no_label = reading.labels(table, CAPACITY, nominal)
    unread += reading.named(reading.in_file(table, file), ROW, no_label, reading.no_label(CAPACITY, nominal))
    numbers = [polars.Series(name, reading.column(table, name)) for name in NAMES]
    return table.select(IDENTITY).with_columns(*numbers, polars.Series(CAPACITY, soh)), unread


def _cycles(known: Configuration, frame: polars.DataFrame) -> tuple[Cycles, tuple[str, ...]]:
    frame, again = reading.once(frame.sort(CELL, ROW, maintain_order=True), known.name, ROW)
    features = frame.select(NAMES).to_numpy()
    cell, row = frame[CELL].to_numpy().astype(np.str_), frame[ROW].to_numpy()
    soh = frame[CAPACITY].to_numpy() / known.nominal_capacity_ah
    cycles = Cycles(known, frame.select(IDENTITY), cell, row, features, soh)
    unusable = np.any(~np.isfinite(cycles.shown), axis=1)
    return select(cycles, ~unusable), (*again, *_reasons(known, cycles, unusable))


def _by_cell(label: Callable[[NDArray[np.int64], Float], Float], cycles: Cycles) -> Float:
    """Put labels together that are made of one cell's rows; those without a capacity have none."""
    made = np.full(len(cycles.row), np.nan)
    for rows in np.split(np.arange(len(cycles.row)), np.flatnonzero(cycles.cell[1:] != cycles.cell[:-1]) + 1):
        known = rows[np.isfinite(cycles.soh[rows])]
        if len(known):
            made[known] = label(cycles.row[known], cycles.soh[known])
    return made


def _reasons(known: Configuration, cycles: Cycles, left_out: NDArray[np.bool_]) -> tuple[str, ...]:
    """Say of each cell which rows were left out, and for which feature."""
    said = []
    bad = ~np.isfinite(cycles.shown[:, : len(NAMES)])
    for name in dict.fromkeys(cycles.cell[left_out].tolist()):
        rows = left_out & (cycles.cell == name)
        columns = ", ".join(n for n, b in zip(NAMES, bad[rows].any(axis=0), strict=True) if b)
        said.append(f"{known.name} {name} {ROW} {reading.listed(cycles.row[rows])}: {columns} not finite")
    return tuple(said)
