"""The equivalent circuit of `Tables`, looked up for many cells at once, forwards and backwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from estimators.cell_type import Tables
    from estimators.contract import Float


class Point(NamedTuple):
    """The tables and their slopes over SOC at one point per cell; every array is [cell]."""

    ocv_volt: Float
    ohmic_ohm: Float
    charge_transfer_volt: Float
    rc_1_ohm: Float
    rc_2_ohm: Float
    hysteresis_volt: Float
    ocv_slope: Float  # each slope per unit of SOC
    ohmic_slope: Float
    charge_transfer_slope: Float
    rc_1_slope: Float
    rc_2_slope: Float
    hysteresis_slope: Float


class Terminal(NamedTuple):
    """What a cell shows at its terminals, and how that changes; every array is [cell]."""

    volt: Float
    over_volt: Float  # the part of it that falls over the resistances
    over_soc: Float  # its slope per unit of the tables' SOC
    over_ampere: Float  # its slope over the current, those through the RC pairs held


class Circuit:
    """Tables made ready for lookup. What a row gives does not depend on the other rows."""

    def __init__(self, tables: Tables) -> None:
        values = stacked(tables)
        # central differences: the slope within one step between nodes is noise, and a filter that believes it strays
        slopes = np.gradient(values, tables.soc, axis=1)
        self.soc, self.temperature_celsius = tables.soc, tables.temperature_celsius
        self.charge_transfer_ampere = float(tables.charge_transfer_ampere[0])
        self.reference_soh = float(tables.reference_soh[0])
        self.hysteresis_per_soc = float(tables.hysteresis_per_soc[0])
        self.residual_volt = tables.residual_volt
        self.rc_second = tables.rc_second
        self._packed = np.ascontiguousarray(np.concatenate([values, slopes]).reshape(2 * len(values), -1))

    def at(self, soc: Float, temperature_celsius: Float) -> Point:
        """Interpolate all tables bilinearly, clamped to their edges."""
        i, a = bracket(soc, self.soc)
        j, b = bracket(temperature_celsius, self.temperature_celsius)
        low = i * len(self.temperature_celsius) + j
        high = low + len(self.temperature_celsius)
        below = self._packed.take(low, axis=1) * (1.0 - b) + self._packed.take(low + 1, axis=1) * b
        above = self._packed.take(high, axis=1) * (1.0 - b) + self._packed.take(high + 1, axis=1) * b
        return Point(*(below * (1.0 - a) + above * a))

    def terminal(
        self, at: Point, current_ampere: Float, rc_1_ampere: Float, rc_2_ampere: Float, hysteresis: Float
    ) -> Terminal:
        """Give the voltage under a current, those through the RC pairs, and a place between the branches (-1 to 1)."""
        i0 = self.charge_transfer_ampere
        transfer = np.arcsinh(current_ampere / i0)
        over = at.ohmic_ohm * current_ampere + at.charge_transfer_volt * transfer
        over = over + at.rc_1_ohm * rc_1_ampere + at.rc_2_ohm * rc_2_ampere
        over_soc = at.ocv_slope + at.ohmic_slope * current_ampere + at.charge_transfer_slope * transfer
        over_soc = over_soc + at.rc_1_slope * rc_1_ampere + at.rc_2_slope * rc_2_ampere
        return Terminal(
            volt=at.ocv_volt + over + at.hysteresis_volt * hysteresis,
            over_volt=over,
            over_soc=over_soc + at.hysteresis_slope * hysteresis,
            over_ampere=at.ohmic_ohm + at.charge_transfer_volt / np.hypot(i0, current_ampere),
        )

    def residual(self, temperature_celsius: Float) -> Float:
        """Give the RMS of what the tables leave unexplained, in volt."""
        return np.interp(temperature_celsius, self.temperature_celsius, self.residual_volt)

    def soc_at(
        self,
        voltage_volt: Float,
        current_ampere: Float,
        temperature_celsius: Float,
        rc_ampere: Float | None = None,
    ) -> Float:
        """Find the SOC at which a cell shows this voltage; the nearest edge beyond.

        `rc_ampere` flows through its RC pairs; None: it has only now been loaded.
        """
        columns = np.repeat(np.arange(len(voltage_volt)), len(self.soc))
        point = self.at(np.tile(self.soc, len(voltage_volt)), temperature_celsius[columns])
        none = np.zeros(len(columns))
        rc = none if rc_ampere is None else rc_ampere[columns]
        curve = self.terminal(point, current_ampere[columns], rc, rc, none).volt.reshape(len(voltage_volt), -1)
        curve = np.maximum.accumulate(curve, axis=1)  # under load a resistance may fall faster than the OCV rises
        i = np.clip((curve < voltage_volt[:, None]).sum(axis=1) - 1, 0, len(self.soc) - 2)
        rows = np.arange(len(i))
        step = np.maximum(curve[rows, i + 1] - curve[rows, i], 1e-9)
        share = np.clip((voltage_volt - curve[rows, i]) / step, 0.0, 1.0)
        return np.asarray(self.soc[i] + share * (self.soc[i + 1] - self.soc[i]))


def stacked(tables: Tables) -> Float:
    """Give the tables as [table, S, T], in the order of `Point`."""
    over_current = (tables.ohmic_ohm, tables.charge_transfer_volt, *tables.rc_ohm)
    return np.stack([tables.ocv_volt, *over_current, tables.hysteresis_volt])


def bracket(value: Float, nodes: Float) -> tuple[NDArray[np.int64], Float]:
    """Find the node below each value, and the value's share of the way to the next, clamped to [0, 1]."""
    low = np.clip(np.searchsorted(nodes, value, side="right") - 1, 0, len(nodes) - 2)
    return low, np.clip((value - nodes[low]) / (nodes[low + 1] - nodes[low]), 0.0, 1.0)
