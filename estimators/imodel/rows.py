"""What is learnt from: charges and rests of cells, cycle by cycle, and what became of the cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from estimators.imodel.features import Events

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from estimators.contract import Bool, Float


class Rows(NamedTuple):
    """What is learnt from."""

    events: Events
    cell: NDArray[np.str_]  # [row]
    cycle: NDArray[np.int64]  # [row]
    capacity_ah: Float  # [row] NaN: not measured

    def pick(self, rows: Bool) -> Rows:
        """Take some rows."""
        return Rows(self.events.pick(rows), self.cell[rows], self.cycle[rows], self.capacity_ah[rows])


def ahead(rows: Rows, horizon: int) -> Float:
    """Find each row's capacity (Ah) `horizon` cycles later [row]; NaN where it was not measured."""
    if not horizon:
        return rows.capacity_ah
    known = {(c, n): q for c, n, q in zip(rows.cell, rows.cycle, rows.capacity_ah, strict=True)}
    return np.array([known.get((c, n + horizon), np.nan) for c, n in zip(rows.cell, rows.cycle, strict=True)])


def until_end(rows: Rows, end_ah: float) -> Float:
    """Count cycles [row] until a cell's measured capacity first falls to its end, by a line between two measurements.

    NaN: it was not seen to get there, or has been there.
    """
    left = np.full(len(rows.cell), np.nan)
    cycle = rows.cycle.astype(float)
    for name in np.unique(rows.cell):
        known = np.flatnonzero((rows.cell == name) & np.isfinite(rows.capacity_ah))
        capacity = rows.capacity_ah[known]
        first = int((capacity <= end_ah).argmax()) if len(known) else 0
        if first and capacity[first] <= end_ah:
            over, under = known[first - 1], known[first]
            share = (capacity[first - 1] - end_ah) / (capacity[first - 1] - capacity[first])
            at = cycle[over] + share * (cycle[under] - cycle[over])
            before = (rows.cell == name) & (cycle <= cycle[over])
            left[before] = at - cycle[before]
    return left
