"""What a rest shows: the statistics of its voltage, and its curve at a given period."""

from __future__ import annotations

import numpy as np

from estimators.contract import Float

STATISTICS = ("mean", "skew", "max", "min", "variance", "kurtosis")
FLAT_VOLT = 1e-7  # a spread below is none, but rounding


def rest_statistics(voltage_volt: Float) -> Float:
    """Give mean, skew, maximum, minimum, variance and excess kurtosis [n, 6] of voltages [n, point].

    Moments are those of the population (Zhu et al. 2022 take three of them from the relaxation). NaN points count
    for nothing; a row of NaN alone gives NaN; one without any spread has neither skew nor kurtosis (0).
    """
    known = np.isfinite(voltage_volt)
    count = known.sum(axis=1)
    some = np.where(count > 0, count, 1)
    mean = np.where(known, voltage_volt, 0.0).sum(axis=1) / some
    off = np.where(known, voltage_volt - mean[:, None], 0.0)
    variance, third, fourth = ((off**power).sum(axis=1) / some for power in (2, 3, 4))
    flat = variance < FLAT_VOLT**2
    spread = np.where(flat, 1.0, variance)
    skew = np.where(flat, 0.0, third / spread**1.5)
    kurtosis = np.where(flat, 0.0, fourth / spread**2 - 3.0)
    highest = np.where(known, voltage_volt, -np.inf).max(axis=1)
    lowest = np.where(known, voltage_volt, np.inf).min(axis=1)
    statistics = np.stack([mean, skew, highest, lowest, variance, kurtosis], axis=1)
    return np.where(count[:, None] > 0, statistics, np.nan)


def rest_curve(
    second: Float, voltage_volt: Float, period_second: float, points: int, first_second: float = 0.0
) -> Float:
    """Give the voltage [points] of one rest at `first_second`, and every period after it; NaN beyond its end.

    `second` [n] since the rest began, ascending, and `voltage_volt` [n] at that time; between two points the voltage
    is on the straight line.
    """
    known = np.isfinite(second) & np.isfinite(voltage_volt)
    if not known.any():
        return np.full(points, np.nan)
    wanted = first_second + period_second * np.arange(points)
    curve: Float = np.interp(wanted, second[known], voltage_volt[known], left=np.nan, right=np.nan)
    return curve
