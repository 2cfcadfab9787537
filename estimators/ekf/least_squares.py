"""Runs of known SOC -> the equations of the circuit's tables, and their solution: one regularised least squares.

Each row of a run is one equation in the four nodes around its SOC and temperature. Second differences over SOC and
temperature are pressed towards zero, which also carries the tables on where no log has been; those of resistances
after division by exp(E/T), for a resistance falls with temperature as Arrhenius says. Unknowns in order of SOC make
the normal equations banded, so that one solution takes a tenth of a second.

Each run weighs as much as the charge that it moved, however densely it was logged: an hour of rest counts hardly at
all. A test much slower than use shows a relaxation that no two RC pairs have together with that of driving: it weighs
less. So do rows near empty, where the OCV falls steeply and a label half a point wrong costs tens of millivolt.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import linalg, sparse

from estimators.circuit import bracket, stacked
from estimators.ekf.terms import Choice, terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from estimators.cell_type import Tables
    from estimators.contract import Float
    from estimators.ekf.terms import Run

SOC_NODES = np.linspace(-0.1, 1.05, 47)  # a little beyond empty and full: counters and capacities disagree
TEMPERATURE_STEP_CELSIUS = 5.0
REST_C_RATE, USUAL_C_RATE = 0.02, 0.2  # a run of smaller current than usual weighs less
ROWS_PER_TURNOVER = 4000.0  # weight of a run that moved one nominal capacity, in rows
# Smoothness, against a row of weight 1 and 1 V: second differences over SOC, over temperature, first ones over it
SMOOTH_OCV = (1.0, 300.0, 0.1)
SMOOTH = (10.0, 10.0, 0.1)
ACTIVATION_KELVIN = 4500.0  # of every resistance
KELVIN, REFERENCE_CELSIUS = 273.15, 25.0
LABEL_SOC, CIRCUIT_VOLT = 0.005, 0.01  # usual errors: a steep OCV makes those of the labels seen
RIDGE, RIDGE_LIKE = 1e-6, 0.1  # towards zero, and towards a similar cell
EXPECTED_OHM_AH = 0.15  # resistance times capacity of a usual cell: puts ohm and volt on one scale
NEGATIVE_PENALTY = 1e6
TERMS, OCV, HYSTERESIS = 6, 0, 5  # tables in the order of `stacked`, and the places of two of them
USUAL_TERM_VOLT = {OCV: 1.0, HYSTERESIS: 0.05}
CHARGE_TRANSFER_C_RATE = 0.03  # i0 over the nominal capacity
ROUGH_RC_SECOND = (10.0, 150.0)  # near enough where only the OCV is wanted


class Normal(NamedTuple):
    """Normal equations of some rows; those of several sets of rows add up."""

    matrix: sparse.csr_matrix
    right: Float

    @classmethod
    def of(cls, equations: sparse.csr_matrix, voltage_volt: Float, weight: Float) -> Normal:
        """Make them of `equations` [row, unknown]."""
        weighted = sparse.diags_array(weight) @ equations
        return cls((equations.T @ weighted).tocsr(), weighted.T @ voltage_volt)


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows of all runs, stacked, with all that does not depend on the choice. Unknowns are (soc, celsius, term)."""

    runs: Sequence[Run]
    keep: slice  # of the stacked rows
    corners: sparse.csr_matrix  # [row, node] bilinear weights
    voltage_volt: Float  # [row]
    weight: Float  # [row]
    temperature_celsius: Float  # [row]
    nodes_soc: Float
    nodes_celsius: Float
    capacity_ah: float
    like: Tables | None

    @classmethod
    def of(cls, runs: Sequence[Run], capacity_ah: float, like: Tables | None, most: int | None = None) -> Rows:
        """Stack all rows, or about `most` of them, evenly spread. Raises ValueError where no run has two rows."""
        runs = [run for run in runs if len(run.test_time_second) > 1]
        if not runs:
            raise ValueError("no run with two rows or more")
        temperature = np.concatenate([run.temperature_celsius for run in runs])
        nodes = like.temperature_celsius if like is not None else _temperature_nodes(temperature)
        soc_nodes = like.soc if like is not None else SOC_NODES
        voltage = np.concatenate([run.voltage_volt for run in runs])
        step = max(1, len(voltage) // most) if most else 1
        keep = slice(None, None, step)
        soc = np.concatenate([run.soc for run in runs])[keep]
        weight = np.concatenate([_weight(run, capacity_ah) for run in runs])
        rows = cls(
            runs,
            keep,
            _corners(soc, temperature[keep], soc_nodes, nodes),
            voltage[keep],
            weight[keep] * step,
            temperature[keep],
            soc_nodes,
            nodes,
            capacity_ah,
            like,
        )
        return replace(rows, weight=rows.weight / (1.0 + (rows.steepness() * LABEL_SOC / CIRCUIT_VOLT) ** 2))

    def steepness(self) -> Float:
        """[row] slope of the OCV, in volt per unit of SOC."""
        choice = Choice(ROUGH_RC_SECOND, CHARGE_TRANSFER_C_RATE * self.capacity_ah)
        theta = self.solution([Normal.of(self.design(choice), self.voltage_volt, self.weight)])
        ocv = theta.reshape(-1, len(self.nodes_celsius), TERMS)[..., OCV]
        return np.asarray(self.corners @ np.abs(np.gradient(ocv, self.nodes_soc, axis=0)).ravel())

    def design(self, choice: Choice) -> sparse.csr_matrix:
        """[row, unknown] what each unknown adds to each row's voltage."""
        by_run = [terms(run, choice) for run in self.runs]
        by_row = np.stack([np.concatenate(parts)[self.keep] for parts in zip(*by_run, strict=True)], axis=1)
        rows, corners = len(by_row), 4
        values = self.corners.data.reshape(rows, corners, 1) * by_row[:, None, :]
        columns = self.corners.indices.reshape(rows, corners, 1) * TERMS + np.arange(TERMS)
        starts = np.arange(rows + 1) * corners * TERMS
        return sparse.csr_matrix(
            (values.ravel(), columns.ravel(), starts), shape=(rows, self.corners.shape[1] * TERMS)
        )  # fmt: skip

    def solution(self, normals: Iterable[Normal]) -> Float:
        """Solve for the unknowns; no resistance, and no hysteresis, below zero."""
        parts = list(normals)
        matrix = sum((n.matrix for n in parts[1:]), parts[0].matrix)
        right = np.sum([n.right for n in parts], axis=0)
        penalty = self._penalty()
        if self.like is not None:
            right = right + penalty @ stacked(self.like).transpose(1, 2, 0).ravel()
        lowest = np.zeros(len(right))
        lowest[OCV::TERMS] = -np.inf
        return _solve_above(_banded(matrix + penalty, 3 * len(self.nodes_celsius) * TERMS), right, lowest)

    def _penalty(self) -> sparse.csr_matrix:
        ridge = RIDGE if self.like is None else RIDGE_LIKE
        over_s, over_t = len(self.nodes_soc), len(self.nodes_celsius)
        each = sparse.eye_array
        soc = sparse.kron(_difference(over_s, 2), each(over_t), format="csr")
        slope = sparse.kron(each(over_s), _difference(over_t, 1), format="csr")
        curve = sparse.kron(each(over_s), _difference(over_t, 2), format="csr") if over_t > 2 else slope * 0.0
        parts = []
        for term in range(TERMS):
            smooth = SMOOTH_OCV if term == OCV else SMOOTH
            rough = sum(s * d.T @ d for s, d in zip(smooth, (soc, curve, slope), strict=True))
            per_unit = sparse.diags_array(1.0 / self._usual(term))
            parts.append(sparse.kron(per_unit @ (rough + ridge * each(over_s * over_t)) @ per_unit, _only(term)))
        return sum(parts[1:], parts[0]).tocsr()

    def _usual(self, term: int) -> Float:
        """[node] size of a usual entry of a table, in its own unit."""
        if term in USUAL_TERM_VOLT:
            return np.full(self.corners.shape[1], USUAL_TERM_VOLT[term])
        coldness = 1.0 / (self.nodes_celsius + KELVIN) - 1.0 / (REFERENCE_CELSIUS + KELVIN)
        ohm = EXPECTED_OHM_AH / self.capacity_ah * np.exp(ACTIVATION_KELVIN * coldness)
        return np.tile(ohm, len(self.nodes_soc))


def _only(term: int) -> sparse.csr_array:
    return sparse.csr_array(([1.0], ([term], [term])), shape=(TERMS, TERMS))


def _temperature_nodes(temperature_celsius: Float) -> Float:
    """Nodes at whole multiples of the step, so that tables of different logs share them."""
    step = TEMPERATURE_STEP_CELSIUS
    low, high = np.floor(temperature_celsius.min() / step), np.ceil(temperature_celsius.max() / step)
    return np.arange(low, max(high, low + 1) + 1) * step


def _corners(soc: Float, temperature_celsius: Float, soc_nodes: Float, nodes_celsius: Float) -> sparse.csr_matrix:
    """Bilinear weights [row, node] of the four nodes around each row; node = (soc, temperature), clamped."""
    i, a = bracket(soc, soc_nodes)
    j, b = bracket(temperature_celsius, nodes_celsius)
    width = len(nodes_celsius)
    columns = np.stack([i * width + j, i * width + j + 1, (i + 1) * width + j, (i + 1) * width + j + 1], axis=1)
    values = np.stack([(1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b], axis=1)
    rows = np.repeat(np.arange(len(soc)), 4)
    return sparse.csr_matrix((values.ravel(), (rows, columns.ravel())), shape=(len(soc), len(soc_nodes) * width))


def _weight(run: Run, capacity_ah: float) -> Float:
    """[row] equal within a run, together the charge it moved in turnovers of the nominal capacity; slow runs less."""
    hold = np.diff(run.test_time_second, append=run.test_time_second[-1])
    size = np.abs(run.current_ampere) / capacity_ah
    turnovers = float(np.sum(size * hold)) / 3600.0
    loaded = size > REST_C_RATE
    haste = min(1.0, float(size[loaded].mean()) / USUAL_C_RATE) ** 2 if loaded.any() else 1.0
    return np.full(len(hold), run.weight * haste * ROWS_PER_TURNOVER * turnovers / len(hold))


def _difference(n: int, order: int) -> sparse.csr_array:
    operator = sparse.eye_array(n, format="csr")
    for _ in range(order):
        operator = operator[1:] - operator[:-1]
    return operator


def _banded(matrix: sparse.csr_matrix, width: int) -> Float:
    """Upper diagonals of a symmetric matrix, as `scipy.linalg.solveh_banded` takes them."""
    entries = sparse.triu(matrix).tocoo()
    banded = np.zeros((width, matrix.shape[0]))
    banded[width - 1 + entries.row - entries.col, entries.col] = entries.data
    return banded


def _solve_above(banded: Float, right: Float, lowest: Float) -> Float:
    """Solve; entries that fall below `lowest` are held there, a few rounds long."""
    held = np.zeros(len(right), dtype=bool)
    for _ in range(6):
        matrix, target = banded.copy(), right.copy()
        matrix[-1] += np.where(held, NEGATIVE_PENALTY, 0.0)
        target[held] += NEGATIVE_PENALTY * lowest[held]
        x = linalg.solveh_banded(matrix, target, overwrite_ab=True, overwrite_b=True)
        below = (x < lowest - 1e-6) & ~held
        if not below.any():
            break
        held |= below
    return np.asarray(x)
