"""What SRSE is shown of a charge: a full one as five channels of 1000 points, or a part of one as Q(V).

A full charge begins with a cell that was just emptied and ends with the charger's current gone small. Where it is
not full, charge and time mean something else, and the model would be wrong without a warning: `why_not` tells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from estimators.contract import Float

CHANNELS = ("voltage_volt", "current_c_rate", "charge_of_nominal", "dq_dv_per_volt", "hour")
CODE_CHANNELS = (4, 0, 1, 2)  # what the authors' published code is shown of them: time, V, I, Q
DQ_DV = CHANNELS.index("dq_dv_per_volt")
POINTS = 1000
CHARGING = 0.01  # of nominal in an hour: less is rest, and the end of charge
TAPERED = 0.1  # of nominal in an hour: a charge that ended above it was broken off
FEW = 60  # points
SHORT_SECOND = 1800.0
STRIDE = 10  # points: consecutive ones are 1 mV apart or less, which is the sensor's own noise
STEP_VOLT = 1e-3  # less is no step to divide by
CC_SHARE = 0.95  # of the largest current: above it the charge is at constant current
SETTLED_SECOND = 30.0  # the first points may show what was before

STATISTICS = (
    "charge_of_nominal",
    "cc_charge_of_nominal",
    "cc_hour",
    "begun_volt",
    "cc_middle_volt",
    "half_hour",
    "fifth_hour",
    "temperature_celsius",
)


@dataclass(frozen=True, slots=True)
class Charge:
    """One charge, from its first point with current to its last."""

    second: Float  # [point] since its beginning
    volt: Float  # [point]
    ampere: Float  # [point] positive
    celsius: Float  # [point]
    nominal_capacity_ah: float

    @property
    def charge_ah(self) -> Float:
        """Charge [point] taken up since the beginning, by trapezoids."""
        moved = np.diff(self.second) * (self.ampere[1:] + self.ampere[:-1]) / 7200.0
        return np.concatenate([[0.0], np.cumsum(moved)])

    @property
    def begun_volt(self) -> float:
        """Voltage when the current has settled: the lower, the emptier the cell was."""
        return float(np.interp(SETTLED_SECOND, self.second, self.volt))

    @property
    def temperature_celsius(self) -> float:
        """The median."""
        return float(np.median(self.celsius))


def charge(second: Float, volt: Float, ampere: Float, celsius: Float, nominal_capacity_ah: float) -> Charge:
    """Cut the charge out of a recording [point]: rests around it and points that are not finite are left out.

    The charge is empty (no points) where no current charges.
    """
    known = np.isfinite(second) & np.isfinite(volt) & np.isfinite(ampere) & np.isfinite(celsius)
    columns = [c[known] for c in (second, volt, ampere, celsius)]
    charging = np.flatnonzero(columns[2] > CHARGING * nominal_capacity_ah)
    inside = slice(charging[0], charging[-1] + 1) if len(charging) else slice(0, 0)
    second, volt, ampere, celsius = (c[inside] for c in columns)
    return Charge(second - (second[0] if len(second) else 0.0), volt, ampere, celsius, nominal_capacity_ah)


def why_not(one: Charge, full_volt: float, begun_volt: float) -> str | None:
    """Say why a charge is not a full one: `too_short` or `not_full_charge`; None where it is.

    `full_volt`: it has to get there; `begun_volt`: it has to begin below. Both are the configuration's.
    """
    if len(one.second) < FEW or one.second[-1] < SHORT_SECOND:
        return "too_short"
    full = one.volt.max() >= full_volt and one.ampere[-1] <= TAPERED * one.nominal_capacity_ah
    return None if full and one.begun_volt <= begun_volt else "not_full_charge"


def curves(one: Charge) -> Float:
    """Give the five channels [5, 1000] of a full charge, at points equally far in time.

    Wu et al. 2025, with dQ/dV over ten points (about 100 s) and 0 where the voltage moved by less than 1 mV or the
    current is not constant any more: the paper's consecutive differences divide noise by noise.
    """
    at = np.linspace(0.0, one.second[-1], POINTS)
    volt, ampere, charged = (np.interp(at, one.second, c) for c in (one.volt, one.ampere, one.charge_ah))
    share = charged / one.nominal_capacity_ah
    step = volt[STRIDE:] - volt[:-STRIDE]
    usable = (np.abs(step) >= STEP_VOLT) & (ampere[STRIDE:] >= CC_SHARE * ampere.max())
    slope = np.where(usable, (share[STRIDE:] - share[:-STRIDE]) / np.where(usable, step, 1.0), 0.0)
    slope = np.concatenate([np.full(STRIDE, slope[0]), slope])
    return np.stack([volt, ampere / one.nominal_capacity_ah, share, slope, at / 3600.0])


def statistics(one: Charge) -> Float:
    """Give what plain models are shown of a full charge, [8] as `STATISTICS` names them.

    `half_hour`, `fifth_hour`: from the end of constant current until the current is a half, a fifth of it.
    """
    charged = one.charge_ah / one.nominal_capacity_ah
    largest = float(np.median(one.ampere[one.ampere > 0.8 * one.ampere.max()]))
    constant = np.flatnonzero(one.ampere >= CC_SHARE * largest)[-1]
    falling = np.minimum.accumulate(one.ampere[constant:])

    def until(share: float) -> float:
        below = np.flatnonzero(falling <= share * largest)
        at = one.second[constant + below[0]] if len(below) else one.second[-1]
        return float(at - one.second[constant]) / 3600.0

    middle = np.interp(0.5 * one.second[constant], one.second, one.volt)
    return np.array(
        [
            charged[-1],
            charged[constant],
            one.second[constant] / 3600.0,
            one.begun_volt,
            middle,
            until(0.5),
            until(0.2),
            one.temperature_celsius,
        ]
    )


def partial(charge_of_nominal: Float, volt: Float) -> Float:
    """Give two channels [row, 2, point] of Q(V) [row, point] on equally spaced voltages [point]: Q and dQ/dV."""
    slope = np.diff(charge_of_nominal, axis=1) / np.diff(volt)
    return np.stack([charge_of_nominal, np.concatenate([slope[:, :1], slope], axis=1)], axis=1)
