"""Capacities of many cells, cycle by cycle, at known temperatures: columns as in the set tbsi-sunwoda-capacity."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars
from numpy.typing import NDArray

from daemon.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from estimators.contract import Float

COLUMNS = ("cell", "ambient_temperature_celsius", "cycle")
CAPACITY = "capacity_ah"
SUFFIXES = (".csv", ".csv.gz", ".parquet")


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


def read(folder: Path) -> list[Life]:
    """Read every table of the folder that has the columns. Raises UsageError where there is none."""
    frames = [f for path in sorted(folder.iterdir()) if path.name.endswith(SUFFIXES) if (f := _table(path)) is not None]
    if not frames:
        raise UsageError(
            "no table of capacities",
            where=str(folder),
            mend=f"put a CSV or Parquet file there with the columns {', '.join((*COLUMNS, CAPACITY))}",
        )
    table = polars.concat(frames).unique(["cell", "cycle"], keep="first").sort("cell", "cycle")
    return [
        Life(str(cell), float(one[COLUMNS[1]][0]), one["cycle"].to_numpy(), one[CAPACITY].to_numpy())
        for (cell,), one in table.group_by("cell", maintain_order=True)
    ]


def _table(path: Path) -> polars.DataFrame | None:
    """Read one file's columns; None where they are others."""
    found = polars.read_parquet(path) if path.suffix == ".parquet" else polars.read_csv(path, infer_schema_length=None)
    if not set(COLUMNS) <= set(found.columns):
        return None
    if CAPACITY not in found.columns:
        found = found.with_columns(polars.lit(None).alias(CAPACITY))
    kinds = {"cell": polars.String, COLUMNS[1]: polars.Float64, "cycle": polars.Int64, CAPACITY: polars.Float64}
    made = found.select(polars.col(name).cast(kind) for name, kind in kinds.items())
    return made.with_columns(polars.col(CAPACITY).fill_null(float("nan"))).drop_nulls()
