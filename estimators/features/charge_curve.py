"""Q(V): how much charge a cell takes up from voltage to voltage while it is charged at constant current.

Charge is counted from the first voltage of the window that was reached, so that it does not matter where the
charge began or what the SOC was; the part of the window that was not passed is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from estimators.contract import Float


@dataclass(frozen=True, slots=True)
class Window:
    """Equally spaced voltages."""

    low_volt: float
    high_volt: float
    points: int = 50

    @property
    def voltage_volt(self) -> Float:
        """The voltages [point]."""
        return np.linspace(self.low_volt, self.high_volt, self.points)


def charge_curve(voltage_volt: Float, charge_ah: Float, window: Window) -> Float:
    """Give the charge (Ah) [window point] taken up from the first voltage reached to each; NaN where not reached.

    `voltage_volt` [n] and `charge_ah` [n] (counted from anywhere) are of one charge at constant current, in order
    of time. Noise makes a voltage pass a level several times: the charge is then half way between its first passing
    and its last. What was reached: `np.isfinite` of the answer.
    """
    wanted = window.voltage_volt
    finite = np.isfinite(voltage_volt) & np.isfinite(charge_ah)
    volt, charge = voltage_volt[finite], charge_ah[finite]
    if len(volt) < 2:
        return np.full(window.points, np.nan)
    first = np.maximum.accumulate(volt)
    last = np.minimum.accumulate(volt[::-1])[::-1]
    passed = (_crossing(first, charge, wanted, "left") + _crossing(last, charge, wanted, "right")) / 2.0
    reached = (wanted >= volt[0]) & (wanted <= first[-1])
    if not reached.any():
        return np.full(window.points, np.nan)
    return np.where(reached, passed - passed[np.argmax(reached)], np.nan)


def _crossing(rising: Float, charge: Float, wanted: Float, side: Literal["left", "right"]) -> Float:
    """Interpolate the charge at which a rising voltage passes each level; level ends stand for what lies beyond."""
    after = np.clip(np.searchsorted(rising, wanted, side=side), 1, len(rising) - 1)
    low, high = rising[after - 1], rising[after]
    share = np.clip((wanted - low) / np.where(high > low, high - low, 1.0), 0.0, 1.0)
    passed: Float = charge[after - 1] + share * (charge[after] - charge[after - 1])
    return passed


def on_window(charge_ah: Float, own: Window, wanted: Window) -> Float:
    """Lay Q(V) curves [n, own point] on another window [n, wanted point]; NaN where theirs do not reach."""
    volt = wanted.voltage_volt
    laid = np.array([_laid(row, own.voltage_volt, volt) for row in np.atleast_2d(charge_ah)])
    return laid.reshape(*charge_ah.shape[:-1], wanted.points)


def _laid(charge_ah: Float, own_volt: Float, volt: Float) -> Float:
    known = np.isfinite(charge_ah)
    if not known.any():
        return np.full(len(volt), np.nan)
    laid = np.interp(volt, own_volt[known], charge_ah[known], left=np.nan, right=np.nan)
    finite = np.isfinite(laid)
    return laid - laid[np.argmax(finite)] if finite.any() else laid
