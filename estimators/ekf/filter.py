"""SOC by an extended Kalman filter over the equivalent circuit of `Tables` (Plett, J. Power Sources 134, 2004).

State of a cell: charge missing from full over the nominal capacity (one minus the nominal SOC), the currents
through the two RC pairs, and what must be added to the current sensor's reading. The circuit's error keeps its
sign for minutes, so a second of voltage is worth only 1 / MODEL_ERROR_SECOND of an independent look; while the
SOC is hardly known (above UNSURE_STD: a new cell, or one whose start was found wrong) that first look is taken at once.

A start that the voltage keeps contradicting is given up: the mean innovation, as SOC, is watched, and where it
is both many points and many times the circuit's usual error, the SOC's variance is opened again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from estimators.cell_type import TABLES_FILE, weights_id
from estimators.circuit import Circuit
from estimators.contract import UNSURE_STD, Bool, Estimate, Float, Second, Start, State, to_nominal
from estimators.domain import outside
from estimators.soh.filter import weighed

if TYPE_CHECKING:
    from estimators.cell_type import CellType, Tables

# Currents are in multiples of the nominal capacity over an hour, so that the same figures serve any size of cell.
KNOWN_SOC_STD, UNKNOWN_SOC_STD = 0.01, 0.2
KNOWN_RC_C_RATE, UNKNOWN_RC_C_RATE = 0.35, 1.0  # std of the RC currents at the start: what went on before it
SENSOR_OFFSET_C_RATE = 0.05  # std of the current sensor's offset
SENSOR_MEMORY_SECOND = 3 * 86400.0  # how long the offset stays what it was
SOC_WALK, RC_WALK_C_RATE = 3e-5, 4e-4  # per square root of a second
MODEL_ERROR_SECOND = 300.0  # how long the circuit's error keeps its sign,
HYSTERESIS_SECOND = 3000.0  # and where the OCV is flat and its error mostly hysteresis (LFP)
RESIDUAL_FLOOR_VOLT = 0.012  # no cell is the very one that the tables were made from
DOUBT_SOC, DOUBT_RESIDUALS = 0.1, 2.0  # mean innovation that a believed SOC cannot explain
DOUBT_FROM_SECOND, DOUBT_OVER_SECOND = 10.0, 400.0
REOPEN, REOPEN_MAX_STD = 2.0, 0.3  # deviation after giving up, in mean innovations
SOH_WALK = 1.7e-6  # the SOH is held at its start; half a point in 100 days
OFFSET_KEPT = float(np.exp(-1.0 / SENSOR_MEMORY_SECOND))


class _Covariance(NamedTuple):
    """Upper triangle over SOC (s), RC currents (1, 2) and sensor offset (d); every array is [cell]."""

    ss: Float
    s1: Float
    s2: Float
    sd: Float
    c11: Float
    c12: Float
    c1d: Float
    c22: Float
    c2d: Float
    dd: Float


class Ekf:
    """The filter of one cell type, for any number of its cells."""

    name = "ekf"

    def __init__(self, cell_type: CellType, tables: Tables | None = None) -> None:
        """Take the given tables, or read the type's. Raises FileNotFoundError or ValueError, naming the file."""
        self.cell_type = cell_type
        self.circuit = Circuit(cell_type.tables() if tables is None else tables)
        self.weights_id = weights_id(cell_type.folder / TABLES_FILE) if tables is None else "-"
        self._capacity = cell_type.nominal_capacity_ah
        self._ampere_second = 3600.0 * cell_type.nominal_capacity_ah
        self._kept = np.exp(-1.0 / self.circuit.rc_second)
        self._error_second = HYSTERESIS_SECOND if cell_type.chemistry == "lfp" else MODEL_ERROR_SECOND

    def init(self, start: Start) -> State:
        """Make the state of new cells; an unknown SOC waits for the first sample."""
        cells, known = len(start.soc), np.isfinite(start.soc)
        mean = np.zeros((cells, 4))
        mean[:, 0] = to_nominal(start.soc, start.soh)
        rc = np.where(known, KNOWN_RC_C_RATE, UNKNOWN_RC_C_RATE) * self._capacity
        covariance = np.zeros((cells, 10))
        covariance[:, 0] = np.where(known, KNOWN_SOC_STD, UNKNOWN_SOC_STD) ** 2
        covariance[:, 4] = covariance[:, 7] = rc**2
        covariance[:, 9] = (SENSOR_OFFSET_C_RATE * self._capacity) ** 2
        return {
            "mean": mean,  # [cell, 4] nominal SOC (NaN: not yet known), RC currents, sensor offset in ampere
            "covariance": covariance,  # [cell, 10] as _Covariance
            "hysteresis": np.zeros(cells),  # between the branches: -1 discharge, 1 charge; nobody knows it at first
            "doubt": np.zeros((cells, 3)),  # [cell, 3] means of slope x innovation and of slope^2, seconds in them
            "soh": start.soh.astype(np.float64),
            "soh_variance": np.square(start.soh_std),
        }

    def step(self, state: State, second: Second) -> tuple[State, Estimate]:
        """Advance every cell by one second; a second that is not finite leaves its cell as it was."""
        measured = np.stack([second.voltage_volt, second.current_ampere, second.temperature_celsius])
        good: Bool = np.logical_and.reduce(np.isfinite(measured))
        voltage, current, temperature = np.where(good, measured, 0.0)
        soh = state["soh"]
        scale = self.circuit.reference_soh / soh  # charge missing from full -> the same, as the tables count it
        mean = np.ascontiguousarray(state["mean"].T)
        mean[0] = self._first_look(mean[0], good, scale, voltage, current, temperature)
        s, x1, x2, offset = mean
        current = current + offset
        s = s + current / self._ampere_second
        x1 = x1 + (1.0 - self._kept[0]) * (current - x1)
        x2 = x2 + (1.0 - self._kept[1]) * (current - x2)
        kept = np.exp(-self.circuit.hysteresis_per_soc * np.abs(current) / self._ampere_second)
        hysteresis = kept * state["hysteresis"] + (1.0 - kept) * np.sign(current)
        p = self._predict(_Covariance(*np.ascontiguousarray(state["covariance"].T)))

        point = self.circuit.at(1.0 - (1.0 - s) * scale, temperature)
        shown = self.circuit.terminal(point, current, x1, x2, hysteresis)
        slope = (shown.over_soc * scale, point.rc_1_ohm, point.rc_2_ohm, shown.over_ampere)
        innovation = voltage - shown.volt
        residual = np.maximum(self.circuit.residual(temperature), RESIDUAL_FLOOR_VOLT)
        doubt, given_up, p = _doubt(np.ascontiguousarray(state["doubt"].T), slope[0], innovation, residual, p)
        offset = np.where(given_up, 0.0, offset)
        noise = residual**2 * np.maximum(self._error_second * np.minimum(1.0, UNSURE_STD**2 / p.ss), 1.0)
        gain, p = _update(p, slope, noise)
        mean = np.stack([s, x1, x2, OFFSET_KEPT * offset]) + gain * innovation
        low, high = (1.0 - (1.0 - edge) / scale for edge in (self.circuit.soc[0], self.circuit.soc[-1]))
        mean[0] = np.clip(mean[0], low, high)

        after: State = {
            "mean": np.where(good, mean, state["mean"].T).T.copy(),
            "covariance": np.where(good, np.stack(p), state["covariance"].T).T.copy(),
            "hysteresis": np.where(good, hysteresis, state["hysteresis"]),
            "doubt": np.where(good, doubt, state["doubt"].T).T.copy(),
            "soh": soh.copy(),
            "soh_variance": state["soh_variance"] + SOH_WALK**2,
        }
        return after, self._estimate(after, second)

    def calibrate(self, state: State, soh: Float, soh_std: Float) -> State:
        """Weigh the SOH of a health check against the one that is held."""
        held, std = weighed(state["soh"], np.sqrt(state["soh_variance"]), soh, soh_std)
        return state | {"soh": held, "soh_variance": np.square(std)}

    def _estimate(self, state: State, second: Second) -> Estimate:
        nominal_std, soh_std = np.sqrt(state["covariance"][:, 0]), np.sqrt(state["soh_variance"])
        strange = outside(self.cell_type, second)
        return Estimate.of_nominal(state["mean"][:, 0], nominal_std, state["soh"], soh_std, strange)

    def _first_look(
        self, soc: Float, good: Bool, scale: Float, voltage: Float, current: Float, temperature: Float
    ) -> Float:
        """Put the SOC that the voltage shows where none is known."""
        rows = np.flatnonzero(np.isnan(soc) & good)
        if len(rows):
            soc = soc.copy()
            soc[rows] = 1.0 - (1.0 - self.circuit.soc_at(voltage[rows], current[rows], temperature[rows])) / scale[rows]
        return soc

    def _predict(self, p: _Covariance) -> _Covariance:
        """A P A' + Q for A = [1 0 0 c; 0 a 0 1-a; 0 0 b 1-b; 0 0 0 m]: the offset drives all the others."""
        c, m = 1.0 / self._ampere_second, OFFSET_KEPT
        (a, b), (na, nb) = self._kept, 1.0 - self._kept
        walk = (RC_WALK_C_RATE * self._capacity) ** 2
        return _Covariance(
            ss=p.ss + 2.0 * c * p.sd + c * c * p.dd + SOC_WALK**2,
            s1=a * p.s1 + na * p.sd + c * (a * p.c1d + na * p.dd),
            s2=b * p.s2 + nb * p.sd + c * (b * p.c2d + nb * p.dd),
            sd=m * (p.sd + c * p.dd),
            c11=a * a * p.c11 + 2.0 * a * na * p.c1d + na * na * p.dd + walk,
            c12=a * b * p.c12 + a * nb * p.c1d + na * b * p.c2d + na * nb * p.dd,
            c1d=m * (a * p.c1d + na * p.dd),
            c22=b * b * p.c22 + 2.0 * b * nb * p.c2d + nb * nb * p.dd + walk,
            c2d=m * (b * p.c2d + nb * p.dd),
            dd=m * m * p.dd + (1.0 - m * m) * (SENSOR_OFFSET_C_RATE * self._capacity) ** 2,
        )


def _doubt(
    doubt: Float, slope: Float, innovation: Float, residual: Float, p: _Covariance
) -> tuple[Float, Bool, _Covariance]:
    """Watch the mean innovation; open the SOC's variance where the voltage contradicts it for good."""
    seconds = doubt[2] + 1.0
    share = np.maximum(1.0 / seconds, 1.0 / DOUBT_OVER_SECOND)
    pull = doubt[0] + share * (slope * innovation - doubt[0])
    square = np.maximum(doubt[1] + share * (slope * slope - doubt[1]), 1e-6)
    apart = np.abs(pull) / square
    many_points = apart > DOUBT_SOC
    unusual = apart * np.sqrt(square) > DOUBT_RESIDUALS * residual
    given_up = many_points & unusual & (seconds >= DOUBT_FROM_SECOND)
    reopened = np.minimum(REOPEN * apart, REOPEN_MAX_STD) ** 2
    p = p._replace(
        ss=np.where(given_up, np.maximum(reopened, p.ss), p.ss),
        s1=np.where(given_up, 0.0, p.s1),
        s2=np.where(given_up, 0.0, p.s2),
        sd=np.where(given_up, 0.0, p.sd),
    )
    return np.where(given_up, 0.0, np.stack([pull, square, seconds])), given_up, p


def _update(p: _Covariance, slope: tuple[Float, Float, Float, Float], noise: Float) -> tuple[Float, _Covariance]:
    """Kalman gain [4, cell], and the covariance after the measurement."""
    h, h1, h2, hd = slope
    ps = p.ss * h + p.s1 * h1 + p.s2 * h2 + p.sd * hd
    p1 = p.s1 * h + p.c11 * h1 + p.c12 * h2 + p.c1d * hd
    p2 = p.s2 * h + p.c12 * h1 + p.c22 * h2 + p.c2d * hd
    pd = p.sd * h + p.c1d * h1 + p.c2d * h2 + p.dd * hd
    total = h * ps + h1 * p1 + h2 * p2 + hd * pd + noise
    gs, g1, g2, gd = ps / total, p1 / total, p2 / total, pd / total
    after = _Covariance(
        ss=p.ss - gs * ps,
        s1=p.s1 - gs * p1,
        s2=p.s2 - gs * p2,
        sd=p.sd - gs * pd,
        c11=p.c11 - g1 * p1,
        c12=p.c12 - g1 * p2,
        c1d=p.c1d - g1 * pd,
        c22=p.c22 - g2 * p2,
        c2d=p.c2d - g2 * pd,
        dd=p.dd - gd * pd,
    )
    return np.stack([gs, g1, g2, gd]), after
