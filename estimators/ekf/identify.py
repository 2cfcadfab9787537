"""Logs whose SOC is known -> equivalent-circuit tables, by one regularised linear least squares.

With the time constants tau_j and the scale i0 fixed, the circuit of `Tables` is linear in all of its tables:
each row of a log is one equation in the four nodes around its SOC and temperature. Second differences over
SOC and temperature are pressed towards zero, which also carries the tables on where no log has been.
tau_1, tau_2 and i0 come from a small grid, by what they leave unexplained.

Each run weighs as much as the charge that it moved, however densely it was logged: a slow discharge of 2,000
rows counts like a drive cycle of 10,000, and an hour of rest hardly at all.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg, sparse

from estimators.cell_type import Tables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from estimators.contract import Float

SOC_NODES = np.linspace(-0.1, 1.05, 47)  # a little beyond empty and full: counters and capacities disagree
TEMPERATURE_STEP_CELSIUS = 5.0
TAU_SECOND = ((10.0, 20.0), (150.0, 400.0))  # candidates for tau_1 and for tau_2
CHARGE_TRANSFER_C_RATE = (0.03, 0.1)  # candidates for i0 over the nominal capacity
THIN = 11  # the candidates are compared on every eleventh row
HOLE_SECOND = 120.0  # a longer pause between rows is a hole: the label says what has flowed in it
ROWS_PER_TURNOVER = 4000.0  # weight of a run that moved one nominal capacity, in rows
SMOOTH_SOC, SMOOTH_TEMPERATURE = 10.0, 1.0  # on second differences, against a row of weight 1 and 1 V
FLAT_TEMPERATURE = 0.1  # on first differences
RIDGE, RIDGE_LIKE = 1e-6, 0.1  # towards zero, and towards a similar cell
EXPECTED_OHM_AH = 0.15  # resistance times capacity of a usual cell: puts ohm and volt on one scale
NEGATIVE_PENALTY = 1e6
OCV_STEP_VOLT = 1e-4  # smallest rise of the OCV between two nodes of SOC


@dataclass(frozen=True, slots=True)
class Run:
    """A recording of one cell whose SOC is known; rows in order of time, each held until the next."""

    name: str
    test_time_second: Float  # [row]
    voltage_volt: Float  # [row]
    current_ampere: Float  # [row] positive on charge
    temperature_celsius: Float  # [row]
    soc: Float  # [row] nominal SOC, as if the cell's SOH were the reference (see `Tables`)
    capacity_ah: float  # what one unit of `soc` holds: the nominal capacity, where the SOH is the reference
    weight: float = 1.0  # less for a test that shall only help where no other run has been


def identify(
    runs: Sequence[Run],
    nominal_capacity_ah: float,
    reference_soh: float = 1.0,
    like: Tables | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Tables:
    """Find the tables that explain the runs best.

    `like` are the tables of a similar cell of the same capacity: what the logs do not tell is taken from it.
    Raises ValueError where no run has two rows.
    """
    runs = [run for run in runs if len(run.test_time_second) > 1]
    if not runs:
        raise ValueError("no run with two rows or more")
    problem = _Problem.build(runs, nominal_capacity_ah, like)
    thin = problem.thinned()
    candidates = (
        list(itertools.product(*TAU_SECOND, np.array(CHARGE_TRANSFER_C_RATE) * nominal_capacity_ah))
        if like is None
        else [(*like.rc_second, like.charge_transfer_ampere[0])]
    )
    found = []
    for tau_1, tau_2, i0 in candidates:
        residual = thin.residual(thin.solve((tau_1, tau_2), i0), (tau_1, tau_2), i0)
        rms = float(np.sqrt(np.average(residual**2, weights=thin.weight)))
        progress(f"tau {tau_1:g} s, {tau_2:g} s, i0 {i0:.3g} A: {1000 * rms:.2f} mV")
        found.append((rms, (float(tau_1), float(tau_2)), float(i0)))
    _, taus, i0 = min(found)
    theta = problem.solve(taus, i0)
    tables = problem.tables(theta, taus, i0, reference_soh)
    progress(f"taken: tau {taus[0]:g} s, {taus[1]:g} s, i0 {i0:.3g} A")
    return tables


def explain(tables: Tables, run: Run) -> Float:
    """Give the voltage that the tables expect in each row of a run."""
    corners = _corners(run.soc, run.temperature_celsius, tables.soc, tables.temperature_celsius)
    terms = _terms(run, tuple(tables.rc_second), float(tables.charge_transfer_ampere[0]))
    theta = np.stack([tables.ocv_volt, tables.ohmic_ohm, tables.charge_transfer_volt, *tables.rc_ohm])
    return np.asarray(sum((corners @ table.ravel()) * term for table, term in zip(theta, terms, strict=True)))


@dataclass(frozen=True, slots=True)
class _Problem:
    """All rows of all runs, stacked, with all that does not depend on the candidates."""

    runs: Sequence[Run]
    keep: slice  # of the stacked rows
    corners: sparse.csr_matrix  # [row, node] bilinear weights
    voltage_volt: Float  # [row] less what `like` explains
    weight: Float  # [row]
    temperature_celsius: Float  # [row]
    nodes_celsius: Float
    capacity_ah: float
    like: Tables | None

    @classmethod
    def build(cls, runs: Sequence[Run], capacity_ah: float, like: Tables | None) -> _Problem:
        temperature = np.concatenate([run.temperature_celsius for run in runs])
        nodes = like.temperature_celsius if like is not None else _temperature_nodes(temperature)
        soc_nodes = like.soc if like is not None else SOC_NODES
        corners = _corners(np.concatenate([run.soc for run in runs]), temperature, soc_nodes, nodes)
        voltage = np.concatenate([run.voltage_volt for run in runs])
        if like is not None:
            voltage = voltage - np.concatenate([explain(like, run) for run in runs])
        weight = np.concatenate([_weight(run, capacity_ah) for run in runs])
        return cls(runs, slice(None), corners, voltage, weight, temperature, nodes, capacity_ah, like)

    def thinned(self) -> _Problem:
        keep = slice(None, None, THIN)
        return _Problem(
            self.runs, keep, self.corners[keep], self.voltage_volt[keep], self.weight[keep] * THIN,
            self.temperature_celsius[keep], self.nodes_celsius, self.capacity_ah, self.like,
        )  # fmt: skip

    def terms(self, taus: tuple[float, float], i0: float) -> list[Float]:
        """[term][row] what each of the five tables is multiplied by."""
        by_run = [_terms(run, taus, i0) for run in self.runs]
        return [np.concatenate(parts)[self.keep] for parts in zip(*by_run, strict=True)]

    def solve(self, taus: tuple[float, float], i0: float) -> Float:
        """Solve the normal equations; no resistance below zero. Gives [term, node]."""
        terms, nodes = self.terms(taus, i0), self.corners.shape[1]
        normal = np.zeros((5 * nodes, 5 * nodes))
        right = np.zeros(5 * nodes)
        for a, b in itertools.combinations_with_replacement(range(5), 2):
            weighted = sparse.diags_array(self.weight * terms[a] * terms[b])
            block = (self.corners.T @ weighted @ self.corners).toarray()
            normal[a * nodes : (a + 1) * nodes, b * nodes : (b + 1) * nodes] = block
            normal[b * nodes : (b + 1) * nodes, a * nodes : (a + 1) * nodes] = block
        for a in range(5):
            right[a * nodes : (a + 1) * nodes] = self.corners.T @ (self.weight * terms[a] * self.voltage_volt)
            here = slice(a * nodes, (a + 1) * nodes)
            normal[here, here] += self._smoothness() / self._scale(a) ** 2
        lowest = np.zeros(5 * nodes) if self.like is None else -_stack(self.like).ravel()
        lowest[:nodes] = -np.inf
        return _solve_above(normal, right, lowest).reshape(5, nodes)

    def residual(self, theta: Float, taus: tuple[float, float], i0: float) -> Float:
        explained = sum((self.corners @ t) * term for t, term in zip(theta, self.terms(taus, i0), strict=True))
        return np.asarray(self.voltage_volt - explained)

    def tables(self, theta: Float, taus: tuple[float, float], i0: float, reference_soh: float) -> Tables:
        soc = SOC_NODES if self.like is None else self.like.soc
        residual = self.residual(theta, taus, i0)
        theta = theta.reshape(5, len(soc), -1)
        if self.like is not None:
            theta = theta + _stack(self.like)
        return Tables(
            soc=np.array(soc),
            temperature_celsius=np.array(self.nodes_celsius),
            ocv_volt=_rising(theta[0]),
            ohmic_ohm=np.maximum(theta[1], 0.0),
            charge_transfer_volt=np.maximum(theta[2], 0.0),
            charge_transfer_ampere=np.array([i0]),
            rc_ohm=np.maximum(theta[3:], 0.0),
            rc_second=np.array(taus),
            reference_soh=np.array([reference_soh]),
            residual_volt=_by_temperature(residual, self.temperature_celsius, self.weight, self.nodes_celsius),
        )

    def _scale(self, term: int) -> float:
        """Size of a usual entry of a table, in its own unit."""
        return 1.0 if term == 0 else EXPECTED_OHM_AH / self.capacity_ah

    def _smoothness(self) -> Float:
        over_t = len(self.nodes_celsius)
        over_s = self.corners.shape[1] // over_t
        soc = sparse.kron(_difference(over_s, 2), sparse.eye_array(over_t))
        curve = sparse.kron(sparse.eye_array(over_s), _difference(over_t, 2))
        slope = sparse.kron(sparse.eye_array(over_s), _difference(over_t, 1))
        penalty = SMOOTH_SOC * soc.T @ soc + FLAT_TEMPERATURE * slope.T @ slope
        penalty = penalty + SMOOTH_TEMPERATURE * curve.T @ curve if over_t > 2 else penalty
        ridge = RIDGE if self.like is None else RIDGE_LIKE
        return np.asarray(penalty.toarray() + ridge * np.eye(over_s * over_t))


def _stack(tables: Tables) -> Float:
    return np.stack([tables.ocv_volt, tables.ohmic_ohm, tables.charge_transfer_volt, *tables.rc_ohm])


def _temperature_nodes(temperature_celsius: Float) -> Float:
    """Nodes at whole multiples of the step, so that tables of different logs share them."""
    step = TEMPERATURE_STEP_CELSIUS
    low, high = np.floor(temperature_celsius.min() / step), np.ceil(temperature_celsius.max() / step)
    return np.arange(low, max(high, low + 1) + 1) * step


def _corners(soc: Float, temperature_celsius: Float, soc_nodes: Float, nodes_celsius: Float) -> sparse.csr_matrix:
    """Bilinear weights [row, node] of the four nodes around each row; node = (soc, temperature), clamped."""
    i, a = _bracket(soc, soc_nodes)
    j, b = _bracket(temperature_celsius, nodes_celsius)
    width = len(nodes_celsius)
    columns = np.stack([i * width + j, i * width + j + 1, (i + 1) * width + j, (i + 1) * width + j + 1], axis=1)
    values = np.stack([(1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b], axis=1)
    rows = np.repeat(np.arange(len(soc)), 4)
    return sparse.csr_matrix((values.ravel(), (rows, columns.ravel())), shape=(len(soc), len(soc_nodes) * width))


def _bracket(value: Float, nodes: Float) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], Float]:
    low = np.clip(np.searchsorted(nodes, value, side="right") - 1, 0, len(nodes) - 2)
    return low, np.clip((value - nodes[low]) / (nodes[low + 1] - nodes[low]), 0.0, 1.0)


def _terms(run: Run, taus: tuple[float, ...], i0: float) -> list[Float]:
    """What the tables of OCV, R0, b, R1, R2 are multiplied by in each row."""
    current = run.current_ampere
    filtered = [_filtered(run, tau) for tau in taus]
    return [np.ones_like(current), current, np.arcsinh(current / i0), *filtered]


def _filtered(run: Run, tau: float) -> Float:
    """Filter the current by dx/dt = (I - x) / tau; x one second into each row's hold, when its voltage is taken."""
    hold = np.diff(run.test_time_second, append=run.test_time_second[-1] + 1.0)
    rest_of_hold = run.current_ampere.copy()
    hole = hold > HOLE_SECOND
    hole[-1] = False
    charge_ah = np.diff(run.soc, append=run.soc[-1]) * run.capacity_ah
    rest_of_hold[hole] = charge_ah[hole] * 3600.0 / hold[hole]
    first = -np.expm1(-np.minimum(hold, 1.0) / tau)
    later = -np.expm1(-np.maximum(hold - 1.0, 0.0) / tau)
    filtered, x = np.empty_like(run.current_ampere), 0.0
    steps = zip(run.current_ampere.tolist(), rest_of_hold.tolist(), first.tolist(), later.tolist(), strict=True)
    for row, (begin, rest, share, share_later) in enumerate(steps):
        x += share * (begin - x)
        filtered[row] = x
        x += share_later * (rest - x)
    return filtered


def _weight(run: Run, capacity_ah: float) -> Float:
    """[row] equal within a run, together the charge it moved in turnovers of the nominal capacity."""
    hold = np.diff(run.test_time_second, append=run.test_time_second[-1])
    moved = float(np.sum(np.abs(run.current_ampere) * hold)) / 3600.0 / capacity_ah
    return np.full(len(hold), run.weight * ROWS_PER_TURNOVER * moved / len(hold))


def _difference(n: int, order: int) -> sparse.csr_array:
    operator = sparse.eye_array(n, format="csr")
    for _ in range(order):
        operator = operator[1:] - operator[:-1]
    return operator


def _solve_above(normal: Float, right: Float, lowest: Float) -> Float:
    """Solve `normal @ x = right`; entries that fall below `lowest` are held there, a few rounds long."""
    held = np.zeros(len(right), dtype=bool)
    for _ in range(6):
        matrix, target = normal.copy(), right.copy()
        matrix[np.diag_indices_from(matrix)] += np.where(held, NEGATIVE_PENALTY, 0.0)
        target[held] += NEGATIVE_PENALTY * lowest[held]
        x = linalg.cho_solve(linalg.cho_factor(matrix, overwrite_a=True), target)
        below = (x < lowest - 1e-6) & ~held
        if not below.any():
            break
        held |= below
    return np.asarray(x)


def _rising(ocv_volt: Float) -> Float:
    """Make the OCV rise with SOC everywhere: the mean of its running maximum from below and minimum from above."""
    up = np.maximum.accumulate(ocv_volt, axis=0)
    down = np.minimum.accumulate(ocv_volt[::-1], axis=0)[::-1]
    ramp = OCV_STEP_VOLT * np.arange(len(ocv_volt))[:, None]
    return np.asarray((up + down) / 2 + ramp - ramp.mean())


def _by_temperature(residual_volt: Float, temperature_celsius: Float, weight: Float, nodes_celsius: Float) -> Float:
    """RMS of the residual around each node; a node without rows takes that of the nearest with rows."""
    nearest = np.abs(temperature_celsius[:, None] - nodes_celsius).argmin(axis=1)
    total = np.bincount(nearest, weights=weight, minlength=len(nodes_celsius))
    square = np.bincount(nearest, weights=weight * residual_volt**2, minlength=len(nodes_celsius))
    known = np.flatnonzero(total > 0)
    rms = np.sqrt(square[known] / total[known])
    return np.array([rms[np.abs(known - node).argmin()] for node in range(len(nodes_celsius))])
