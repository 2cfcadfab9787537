"""What stands beside every trajectory: capacity held, and a line or a cubic through a cell's own past.

Each looks at the capacities measured up to a cycle, and at nothing later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from estimators.contract import Float

PAST_CYCLES = 50
FEWEST = 5  # measured capacities that a line is drawn through
FEWEST_FOR_CUBIC = 8


def hold(capacity_ah: Float, horizon: NDArray[np.int64]) -> Float:
    """Leave capacities [n] as they are [n, ahead]."""
    return np.repeat(capacity_ah[:, None], len(horizon), axis=1)


def line(cycle: Float, capacity_ah: Float, horizon: NDArray[np.int64]) -> Float:
    """Go on by the median of all slopes (Theil 1950, Sen 1968) of one past [cycle], from the median line's end [ahead].

    NaN where fewer than `FEWEST` are known.
    """
    if len(cycle) < FEWEST:
        return np.full(len(horizon), np.nan)
    first, second = np.triu_indices(len(cycle), 1)
    slope = np.median((capacity_ah[second] - capacity_ah[first]) / (cycle[second] - cycle[first]))
    level = np.median(capacity_ah - slope * (cycle - cycle[-1]))
    return np.asarray(level + slope * horizon)


def cubic(cycle: Float, capacity_ah: Float, horizon: NDArray[np.int64]) -> Float:
    """Go on by the polynomial of third degree through one past [cycle]; NaN where it is too short."""
    if len(cycle) < FEWEST_FOR_CUBIC:
        return np.full(len(horizon), np.nan)
    far = PAST_CYCLES
    fitted = np.polynomial.polynomial.polyfit((cycle - cycle[-1]) / far, capacity_ah, 3)
    return np.asarray(np.polynomial.polynomial.polyval(horizon / far, fitted))


def from_past(
    cell: NDArray[np.str_], cycle: NDArray[np.int64], capacity_ah: Float, horizon: NDArray[np.int64]
) -> dict[str, Float]:
    """Give line and cubic [n, ahead] of each row from its cell's last cycles; rows [n] ascend by cell and cycle.

    A row whose own capacity (Ah, NaN: not measured) is not known has no past that ends with it, and gets NaN.
    """
    said = {"line": np.full((len(cell), len(horizon)), np.nan), "cubic": np.full((len(cell), len(horizon)), np.nan)}
    known = np.isfinite(capacity_ah)
    for name in dict.fromkeys(cell):
        rows = np.flatnonzero((cell == name) & known)
        cycles, capacities = cycle[rows].astype(float), capacity_ah[rows]
        begins = np.searchsorted(cycles, cycles - PAST_CYCLES)
        for end, (row, begin) in enumerate(zip(rows, begins, strict=True), start=1):
            past = slice(begin, end)
            said["line"][row] = line(cycles[past], capacities[past], horizon)
            said["cubic"][row] = cubic(cycles[past], capacities[past], horizon)
    return said
