"""Turning points of a pulse train, and what they say of a cell.

The train (S. Tao et al., Nature Communications 15, 10154, 2024): rest, then for each amplitude (0.5, 1, 1.5, 2,
2.5 C) a charge pulse, a rest of 15 times its width, a discharge pulse, a rest. U1 is the voltage at rest; then
each step gives its start and its end, eight voltages an amplitude: U2 to U41, or to U21 where the train ends
with the rest after the charge pulse of 1.5 C.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from estimators.contract import Bool, Float

Soc = Literal["unknown", "known"]
AMPLITUDES_C_RATE = (0.5, 1.0, 1.5, 2.0, 2.5)
REST_WIDTHS = 15.0  # each rest lasts so many times the pulse
PER_AMPLITUDE = 8
SHORT, WHOLE = 21, 41  # voltages of a train
PLAUSIBLE_VOLT = (0.5, 5.5)


class Configuration(NamedTuple):
    """What a model was made for; another pulse width is another model."""

    chemistry: str
    nominal_capacity_ah: float
    width_ms: int

    def __str__(self) -> str:
        """Say it as a file's name does: lfp_35ah_5000ms."""
        return f"{self.chemistry}_{self.nominal_capacity_ah:g}ah_{self.width_ms}ms"


ENDS = np.array([0, *range(2, SHORT, 2)])  # U1, U3, U5, ... U21: what a log of 1 Hz can tell
VIEWS = {  # which voltages a model is shown
    "whole": np.arange(WHOLE),
    "short": np.arange(SHORT),
    "ends": ENDS,
}


def view_of(voltage_volt: Float) -> str | None:
    """Name the widest view that every row [row, point] of a table can have at all; None: too few columns."""
    return next((name for name in ("whole", "short") if voltage_volt.shape[1] >= len(VIEWS[name])), None)


def differences(voltage_volt: Float) -> Float:
    """Give U1 and U_k - U1 of U, on the last axis; most of what tells the SOC is in U1 alone."""
    rest = voltage_volt[..., :1]
    return np.concatenate([rest, voltage_volt[..., 1:] - rest], axis=-1)


def inputs(voltage_volt: Float, view: str, soc_percent: Float | None = None) -> Float:
    """Give what a model is shown [row, input] of voltages [row, point]; a SOC that is known [row] comes first."""
    shown = differences(voltage_volt[:, VIEWS[view]])
    return shown if soc_percent is None else np.column_stack([soc_percent, shown])


def absolute(difference_volt: Float) -> Float:
    """Undo `differences`, on the last axis."""
    rest = difference_volt[..., :1]
    return np.concatenate([rest, difference_volt[..., 1:] + rest], axis=-1)


def plausible(voltage_volt: Float) -> Bool:
    """Tell [row] whose voltages are all there and those of one cell."""
    low, high = PLAUSIBLE_VOLT
    with np.errstate(invalid="ignore"):
        good: Bool = np.all((voltage_volt >= low) & (voltage_volt <= high), axis=1)
    return good


class Resistance(NamedTuple):
    """Of one amplitude (ohm); NaN where its voltages are missing."""

    c_rate: float
    charge_ohmic_ohm: float  # the jump at the pulse's start
    charge_polarisation_ohm: float  # what is added until its end
    discharge_ohmic_ohm: float
    discharge_polarisation_ohm: float
    charge_whole_ohm: float  # both together, which a slow log tells, too
    discharge_whole_ohm: float


def resistances(voltage_volt: Float, nominal_capacity_ah: float) -> list[Resistance]:
    """Give the resistances that a train's voltages [point] tell, amplitude by amplitude."""
    volt = np.full(WHOLE, np.nan)
    volt[: len(voltage_volt)] = voltage_volt
    found = []
    for i, c_rate in enumerate(AMPLITUDES_C_RATE):
        rest, start, end, _, again, below, lowest = volt[PER_AMPLITUDE * i : PER_AMPLITUDE * i + 7]
        ampere = c_rate * nominal_capacity_ah
        steps = (start - rest, end - start, again - below, below - lowest, end - rest, again - lowest)
        if np.isfinite(end - rest):
            found.append(Resistance(c_rate, *(float(step / ampere) for step in steps)))
    return found
