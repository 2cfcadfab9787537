"""What is to be learnt of a cell beside its SOH: how many cycles it has left, and how fast it fades.

A `row` is a cycle that the source kept: equivalent full cycles for cells that are cycled whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from estimators.contract import Float

END_OF_LIFE_SOH = 0.8
NEARLY = 0.005  # a record that ends this close above the end of life is drawn on to it
LAST = 20  # rows whose line it is drawn on by
FARTHEST = 100  # rows that it may be drawn on
FADE_ROWS = 50  # rows that the fade rate is measured over
AT_ONCE = 500  # windows whose slopes are held together


def rows_left(row: NDArray[np.int64], soh: Float) -> Float:
    """Give rows until SOH falls under 80 % and stays [row]; NaN afterwards, and for a cell that never does.

    row [row] ascending and soh [row] are of one cell from its first row on. Laboratories stop at the end of life:
    a record that ends less than half a point above it is drawn on by the line of its last rows.
    """
    above = np.flatnonzero(soh >= END_OF_LIFE_SOH)
    last = int(above[-1]) if len(above) else -1
    if last < len(soh) - 1:
        end = float(row[last + 1])
    elif soh[-1] < END_OF_LIFE_SOH + NEARLY and len(soh) >= LAST:
        slope = float(np.polyfit(row[-LAST:], soh[-LAST:], 1)[0])
        room = (soh[-1] - END_OF_LIFE_SOH) / max(-slope, 1e-9)
        end = float(row[-1]) + float(np.clip(room, 1, FARTHEST))
    else:
        return np.full(len(soh), np.nan)
    return np.where(row <= end, end - row, np.nan)


def fade_rate(row: NDArray[np.int64], soh: Float) -> Float:
    """Give the fade in points of SOH per 100 rows [row] over the last 50 rows; NaN before there are so many.

    It is the Theil-Sen slope, the median over all pairs of rows; a fade is above zero.
    """
    rate = np.full(len(soh), np.nan)
    if len(soh) < FADE_ROWS:
        return rate
    early, late = np.triu_indices(FADE_ROWS, 1)
    health = np.lib.stride_tricks.sliding_window_view(soh, FADE_ROWS)
    place = np.lib.stride_tricks.sliding_window_view(row, FADE_ROWS)
    for first in range(0, len(health), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        rise = health[some, late] - health[some, early]
        slope = np.median(rise / (place[some, late] - place[some, early]), axis=1)
        rate[FADE_ROWS - 1 :][some] = -100.0 * 100.0 * slope
    return rate
