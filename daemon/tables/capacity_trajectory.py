"""Capacities of many cells, cycle by cycle, at known temperatures: columns as in the set tbsi-sunwoda-capacity."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars
from numpy.typing import NDArray

from daemon.tables import reading
from daemon.tables.reading import CELL

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from estimators.contract import Float

CYCLE, CELSIUS = "cycle", "ambient_temperature_celsius"
COLUMNS = (CELL, CELSIUS, CYCLE)
CAPACITY = "capacity_ah"


class Life(NamedTuple):
    """One cell's record."""

    cell: str
    temperature_celsius: float
    cycle: NDArray[np.int64]  # [row] ascending
    capacity_ah: Float  # [row] NaN: not told

    def told(self, cycles: int | None = None) -> Float:
        """Give capacity [cycle] from cycle 1 to the last that is told, or `cycles`; gaps are bridged by a line."""
        use = np.isfinite(self.capacity_ah)
        use &= (self.cycle <= cycles) if cycles else True
        if not use.any():
            return np.empty(0)
        every = np.arange(1, self.cycle[use][-1] + 1)
        return np.interp(every, self.cycle[use], self.capacity_ah[use])


class Lives(NamedTuple):
    """What was read of a folder."""

    lives: list[Life]
    unread: tuple[str, ...]  # files and rows, each with its reason


def fits(columns: Collection[str]) -> bool:
    """Tell a file of the form by its columns."""
    return set(COLUMNS) <= set(columns)


def read(folder: Path) -> Lives:
    """Read every table of the folder that has the columns. Raises UsageError where there is no row of one."""
    found = reading.tables(folder, fits)
    parts = [_rows(path.name, frame) for path, frame in found.frames.items()]
    unread = [*found.unread, *(reason for _, reasons in parts for reason in reasons)]
    frames = [frame for frame, _ in parts if len(frame)]
    if not frames:
        raise reading.refused(
            "no table of capacities",
            folder,
            f"put a CSV or Parquet file there with the columns {', '.join((*COLUMNS, CAPACITY))}",
            unread,
        )
    table, again = reading.once(polars.concat(frames), folder.name, CYCLE)
    lives = [
        Life(str(cell), float(one[CELSIUS][0]), one[CYCLE].to_numpy(), one[CAPACITY].to_numpy())
        for (cell,), one in table.sort(CELL, CYCLE).group_by(CELL, maintain_order=True)
    ]
    return Lives(lives, (*unread, *again))


def _rows(file: str, table: polars.DataFrame) -> tuple[polars.DataFrame, tuple[str, ...]]:
    """Give one file's columns, and its rows that cannot be used."""
    table, unread = reading.keyed(table, file, CYCLE)
    capacity, no_label = reading.labels(table, CAPACITY)
    celsius = reading.column(table, CELSIUS)
    cold = ~np.isfinite(celsius)
    made = table.select(CELL, CYCLE).with_columns(polars.Series(CELSIUS, celsius), polars.Series(CAPACITY, capacity))
    here = reading.in_file(made, file)
    unread += reading.named(here, CYCLE, no_label, reading.no_label(CAPACITY))
    unread += reading.named(here, CYCLE, cold, f"no {CELSIUS}")
    return made.filter(polars.Series(~cold)), unread
