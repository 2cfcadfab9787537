"""Cycles left until a cell's end, asked of a charge and a rest.

Where enough cells were seen to reach their end, cycles left are regressed as they are; elsewhere they are those until
the trajectory crosses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from estimators.imodel.estimate import Known, Later, as_now, ask, capacity, shown, trajectory
from estimators.regression.regression import NINETY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from estimators.contract import Bool, Float
    from estimators.imodel.features import Events, Variant

END_SHARE = 0.8  # of the nominal capacity: the cell's end
HORIZON = np.arange(0, 151, 5)
FURTHEST = 650  # cycles: hardly a cell of the sets had more left; a trajectory that is nearly flat says no number
SOON = 5.0  # cycles: below, an error is no longer smaller the nearer the end is


class Left(NamedTuple):
    """Cycles until the capacity has fallen to an end; inf: beyond the last horizon; NaN: nothing is known."""

    cycles: Float  # [n]
    soonest: Float  # [n] of the 90 % interval
    latest: Float  # [n]
    in_domain: Bool  # [n]


def root(cycles: Float) -> Float:
    """Put cycles on the scale on which they are learnt: there an error is much the same, be the end near or far."""
    return np.asarray(np.sqrt(cycles + SOON))


def cycles_left(
    known: Known,
    events: Events,
    planned: Float | None = None,
    variant: Variant | None = None,
    furthest: int | None = None,
) -> Left:
    """Give cycles [n] to 80 % of the nominal capacity, with their 90 % interval.

    `planned` as for `trajectory`; `furthest` as for `crossing`, where a kind has no model of cycles left.
    """
    end = END_SHARE * known.kind.nominal_capacity_ah
    if not known.left:
        return crossing(trajectory(known, events, HORIZON, planned, variant), end, furthest)
    said = ask(known, shown(known, events, variant), known.left, "left", planned)
    cycles, soonest, latest = (
        np.clip(np.maximum(said.mean + side * NINETY * said.std, 0.0) ** 2 - SOON, 0.0, FURTHEST)
        for side in (0.0, -1.0, 1.0)
    )
    ended = capacity(known, events, variant).mean <= end
    return Left(
        np.where(ended, 0.0, cycles),
        np.where(ended, 0.0, soonest),
        latest,
        said.in_domain & as_now(events, planned),
    )


def crossing(later: Later, end_ah: float, furthest: int | None = None) -> Left:
    """Find where trajectories, and the edges of their 90 % band, fall to `end_ah`.

    One that does not get there goes on, as far as `furthest` cycles (None: not at all), as it fell over the last two
    thirds of its horizons, and its band goes on to widen.
    """
    band = NINETY * later.std_ah
    slope, wider = np.zeros(len(band)), np.zeros(len(band))
    if furthest is not None:
        last, first = later.horizon[-1], int(np.searchsorted(later.horizon, later.horizon[-1] // 3))
        slope = (later.mean_ah[:, -1] - later.mean_ah[:, first]) / (last - later.horizon[first])
        wider = band[:, -1] / last
    cycles, soonest, latest = (
        _crossed(later.horizon, later.mean_ah + side * band, end_ah, slope + side * wider, furthest)
        for side in (0.0, -1.0, 1.0)
    )
    return Left(cycles, soonest, latest, later.in_domain)


def _crossed(horizon: NDArray[np.int64], curve: Float, end: float, slope: Float, furthest: int | None) -> Float:
    """Say at how many cycles curves [n, ahead] first lie at `end` or below; inf: nowhere.

    Those that do not are drawn on by their slope [n] (Ah a cycle), as far as `furthest`.
    """
    below = curve <= end
    first = below.argmax(axis=1)
    row = np.arange(len(curve))
    after, before = curve[row, first], curve[row, np.maximum(first - 1, 0)]
    share = np.where(after < before, (before - end) / np.where(after < before, before - after, 1.0), 1.0)
    start = np.where(first > 0, horizon[np.maximum(first - 1, 0)], 0)
    crossed = start + np.clip(share, 0.0, 1.0) * (horizon[first] - start)
    crossed = np.where((first == 0) & below[:, 0], 0.0, crossed)
    falls = slope < 0
    on = np.where(falls, horizon[-1] + (end - curve[:, -1]) / np.where(falls, slope, 1.0), np.inf)
    on = np.minimum(on, np.inf if furthest is None else furthest)
    return np.where(np.isnan(curve).any(axis=1), np.nan, np.where(below.any(axis=1), crossed, on))
