"""The sixteen numbers of a charge's end, from its recording.

The source gives its windows in words: the last 0.2 V of constant current, and the current from 0.5 A down to 0.1 A at
constant voltage. What else it does was told from its numbers: an entropy is of the values as shares of their sum, so
that it counts samples; charge over time is the mean current. Its slopes are steeper than the window's mean where the
change of phase is: here they are of the tenth of the window nearest to it, which the source may do otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from estimators.contract import Float
    from estimators.multitask.configuration import Configuration

WINDOW_VOLT = 0.2  # below the charger's limit
BAND_AMPERE = (0.1, 0.5)  # of constant voltage
SLACK_VOLT = 0.01  # of a charger's limit
SLACK_AMPERE = 0.02
NEAR = 0.1  # share of the window that a slope is of
FEWEST = 8  # points of a window


def of_charge(
    constant_current: tuple[Float, Float, Float], constant_voltage: tuple[Float, Float, Float], kind: Configuration
) -> Float | None:
    """Give `NAMES`' numbers [16] of one full charge; None where a window was not passed from end to end.

    Each phase is (second [n] ascending, voltage_volt [n], current_ampere [n] positive on charge). Of points the last
    one of a window closes it; between points the current is held.
    """
    top = kind.voltage_max_volt
    second, volt, ampere = constant_current
    if not len(volt) or volt[0] > top - WINDOW_VOLT + SLACK_VOLT or volt.max() < top - SLACK_VOLT:
        return None
    first = int(np.argmax(volt >= top - WINDOW_VOLT))
    voltage = _window(second[first:], volt[first:], ampere[first:], kind.voltage_second, at_end=True)

    second, volt, ampere = constant_voltage
    low, high = BAND_AMPERE
    if not len(ampere) or ampere[0] < high - SLACK_AMPERE or ampere.min() > low + SLACK_AMPERE:
        return None
    inside = np.flatnonzero((ampere <= high) & (ampere >= low))
    if len(inside) < FEWEST or voltage is None:
        return None
    rows = slice(int(inside[0]), int(inside[-1]) + 1)
    current = _window(second[rows], ampere[rows], ampere[rows], kind.current_second, at_end=False)
    return None if current is None else np.concatenate([voltage, current])


def _window(second: Float, value: Float, ampere: Float, period_second: float, *, at_end: bool) -> Float | None:
    """Mean, deviation, kurtosis, skewness, charge, time, slope, entropy of one window."""
    if len(second) < FEWEST:
        return None
    length = float(second[-1] - second[0])
    even = np.linspace(second[0], second[-1], max(FEWEST, round(length / period_second)))
    values = np.interp(even, second, value)
    spread = float(values.std())
    if length <= 0.0 or spread <= 0.0:
        return None
    away = (values - values.mean()) / spread
    share = np.clip(values / values.sum(), 1e-12, None)
    near = np.linspace(0.0, NEAR * length, FEWEST)
    near = second[-1] - near[::-1] if at_end else second[0] + near
    return np.array(
        [
            values.mean(),
            spread,
            (away**4).mean() - 3.0,
            (away**3).mean(),
            (ampere[:-1] * np.diff(second)).sum() / 3600.0,
            length,
            np.polyfit(near - near[0], np.interp(near, second, value), 1)[0],
            -(share * np.log(share)).sum(),
        ]
    )
