"""Logs whose SOC is known -> equivalent-circuit tables, by one regularised linear least squares.

With the time constants tau_j, the scale i0 and the hysteresis' g fixed, the circuit of `Tables` is linear in all
of its tables: each row of a log is one equation in the four nodes around its SOC and temperature. Second
differences over SOC and temperature are pressed towards zero, which also carries the tables on where no log has
been; those of resistances after division by exp(E/T), for a resistance falls with temperature as Arrhenius says.
Unknowns in order of SOC make the normal equations banded, so that one solution takes a tenth of a second.

tau_1 and tau_2, and then g, are chosen from small grids by what is left unexplained of runs that had no part in the
solution: five folds, by whole run. Hysteresis is kept only where those are clearly better explained with it.

Each run weighs as much as the charge that it moved, however densely it was logged: an hour of rest counts hardly at
all. A test much slower than use shows a relaxation that no two RC pairs have together with that of driving: it weighs
less. So do rows near empty, where the OCV falls steeply and a label half a point wrong costs tens of millivolt.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import linalg, optimize, sparse

from estimators.cell_type import USUAL_HYSTERESIS_PER_SOC, Tables
from estimators.circuit import stacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from estimators.contract import Float

SOC_NODES = np.linspace(-0.1, 1.05, 47)  # a little beyond empty and full: counters and capacities disagree
TEMPERATURE_STEP_CELSIUS = 5.0
TAU_SECOND = ((10.0, 20.0, 40.0), (150.0, 400.0, 1000.0))  # candidates for tau_1 and for tau_2
CHARGE_TRANSFER_C_RATE = 0.03  # i0 over the nominal capacity
HYSTERESIS_PER_SOC = (8.0, 20.0, 50.0)  # candidates for g
HYSTERESIS_WORTH = 0.9
FOLDS = 5
CHOICE_ROWS = 40_000  # the candidates are compared on about so many rows
HOLE_SECOND = 120.0  # a longer pause between rows is a hole: the label says what has flowed in it
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
OCV_STEP_VOLT = 1e-4  # smallest rise of the OCV between two nodes of SOC
TERMS, OCV, HYSTERESIS = 6, 0, 5  # tables in the order of `stacked`, and the places of two of them
USUAL_TERM_VOLT = {OCV: 1.0, HYSTERESIS: 0.05}


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
    hysteresis: float = 0.0  # h before the first row: 1 after a full charge, -1 after a full discharge
    weight: float = 1.0  # less for a test that shall only help where no other run has been


class Choice(NamedTuple):
    """What is chosen before the tables are solved for."""

    rc_second: tuple[float, float]
    charge_transfer_ampere: float
    hysteresis_per_soc: float = 0.0  # 0: no hysteresis

    @classmethod
    def of(cls, tables: Tables) -> Choice:
        """Take it from tables, as far as they tell."""
        tau_1, tau_2 = tables.rc_second.tolist()
        per_soc = float(tables.hysteresis_per_soc[0]) if tables.hysteresis_volt.any() else 0.0
        return cls((tau_1, tau_2), float(tables.charge_transfer_ampere[0]), per_soc)

    def __str__(self) -> str:
        tau_1, tau_2 = self.rc_second
        hysteresis = f"g {self.hysteresis_per_soc:g}" if self.hysteresis_per_soc else "no hysteresis"
        return f"tau {tau_1:g} s, {tau_2:g} s, i0 {self.charge_transfer_ampere:.3g} A, {hysteresis}"


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
    choice = choose(runs, nominal_capacity_ah, like, progress)
    return solve(runs, nominal_capacity_ah, choice, reference_soh, like)


def choose(
    runs: Sequence[Run],
    nominal_capacity_ah: float,
    like: Tables | None = None,
    progress: Callable[[str], None] = lambda _: None,
    hysteresis_worth: float = HYSTERESIS_WORTH,
) -> Choice:
    """Try the candidates by cross-validation.

    Hysteresis is kept where it leaves less than `hysteresis_worth` of what is left without it (infinity: always, for
    a chemistry that is known to have it). Raises ValueError where no run has two rows.
    """
    rows = _Rows.of(runs, nominal_capacity_ah, like, thin=True)

    def left(choice: Choice) -> tuple[float, Choice]:
        volt = rows.left_of_unseen(choice)
        progress(f"{choice}: {1000 * volt:.2f} mV")
        return volt, choice

    i0 = CHARGE_TRANSFER_C_RATE * nominal_capacity_ah
    best = min(left(Choice(taus, i0)) for taus in itertools.product(*TAU_SECOND))
    hysteretic = min(left(best[1]._replace(hysteresis_per_soc=g)) for g in HYSTERESIS_PER_SOC)
    choice = hysteretic[1] if hysteretic[0] < hysteresis_worth * best[0] else best[1]
    progress(f"taken: {choice}")
    return choice


def solve(
    runs: Sequence[Run],
    nominal_capacity_ah: float,
    choice: Choice,
    reference_soh: float = 1.0,
    like: Tables | None = None,
) -> Tables:
    """Find the tables for one choice. Raises ValueError where no run has two rows."""
    rows = _Rows.of(runs, nominal_capacity_ah, like)
    equations = rows.design(choice)
    theta = rows.solution([_Normal.of(equations, rows.voltage_volt, rows.weight)])
    residual = rows.voltage_volt - equations @ theta
    tables = theta.reshape(len(rows.nodes_soc), len(rows.nodes_celsius), TERMS).transpose(2, 0, 1)
    known = rows.corners.T @ rows.weight + RIDGE
    return Tables(
        soc=np.array(rows.nodes_soc),
        temperature_celsius=np.array(rows.nodes_celsius),
        ocv_volt=_rising(tables[OCV], known.reshape(tables[OCV].shape)),
        ohmic_ohm=np.maximum(tables[1], 0.0),
        charge_transfer_volt=np.maximum(tables[2], 0.0),
        charge_transfer_ampere=np.array([choice.charge_transfer_ampere]),
        rc_ohm=np.maximum(tables[3:5], 0.0),
        rc_second=np.array(choice.rc_second),
        reference_soh=np.array([reference_soh]),
        residual_volt=_by_temperature(residual, rows.temperature_celsius, rows.weight, rows.nodes_celsius),
        hysteresis_volt=np.maximum(tables[HYSTERESIS], 0.0),
        hysteresis_per_soc=np.array([choice.hysteresis_per_soc or USUAL_HYSTERESIS_PER_SOC]),
    )


def explain(tables: Tables, run: Run) -> Float:
    """Give the voltage that the tables expect in each row of a run."""
    corners = _corners(run.soc, run.temperature_celsius, tables.soc, tables.temperature_celsius)
    terms = zip(stacked(tables), _terms(run, Choice.of(tables)), strict=True)
    return np.asarray(sum((corners @ table.ravel()) * term for table, term in terms))


class _Normal(NamedTuple):
    """Normal equations of some rows; those of several sets of rows add up."""

    matrix: sparse.csr_matrix
    right: Float

    @classmethod
    def of(cls, equations: sparse.csr_matrix, voltage_volt: Float, weight: Float) -> _Normal:
        weighted = sparse.diags_array(weight) @ equations
        return cls((equations.T @ weighted).tocsr(), weighted.T @ voltage_volt)


@dataclass(frozen=True, slots=True)
class _Rows:
    """All rows of all runs, stacked, with all that does not depend on the choice. Unknowns are (soc, celsius, term)."""

    runs: Sequence[Run]
    keep: slice  # of the stacked rows
    fold: np.ndarray[tuple[int], np.dtype[np.int64]]  # [row]
    corners: sparse.csr_matrix  # [row, node] bilinear weights
    voltage_volt: Float  # [row]
    weight: Float  # [row]
    temperature_celsius: Float  # [row]
    nodes_soc: Float
    nodes_celsius: Float
    capacity_ah: float
    like: Tables | None

    @classmethod
    def of(cls, runs: Sequence[Run], capacity_ah: float, like: Tables | None, thin: bool = False) -> _Rows:
        runs = [run for run in runs if len(run.test_time_second) > 1]
        if not runs:
            raise ValueError("no run with two rows or more")
        temperature = np.concatenate([run.temperature_celsius for run in runs])
        nodes = like.temperature_celsius if like is not None else _temperature_nodes(temperature)
        soc_nodes = like.soc if like is not None else SOC_NODES
        voltage = np.concatenate([run.voltage_volt for run in runs])
        step = max(1, len(voltage) // CHOICE_ROWS) if thin else 1
        keep = slice(None, None, step)
        soc = np.concatenate([run.soc for run in runs])[keep]
        weight = np.concatenate([_weight(run, capacity_ah) for run in runs])
        rows = cls(
            runs,
            keep,
            _folds(runs)[keep],
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
        choice = Choice((TAU_SECOND[0][0], TAU_SECOND[1][0]), CHARGE_TRANSFER_C_RATE * self.capacity_ah)
        theta = self.solution([_Normal.of(self.design(choice), self.voltage_volt, self.weight)])
        ocv = theta.reshape(-1, len(self.nodes_celsius), TERMS)[..., OCV]
        return np.asarray(self.corners @ np.abs(np.gradient(ocv, self.nodes_soc, axis=0)).ravel())

    def design(self, choice: Choice) -> sparse.csr_matrix:
        """[row, unknown] what each unknown adds to each row's voltage."""
        by_run = [_terms(run, choice) for run in self.runs]
        terms = np.stack([np.concatenate(parts)[self.keep] for parts in zip(*by_run, strict=True)], axis=1)
        rows, corners = len(terms), 4
        values = self.corners.data.reshape(rows, corners, 1) * terms[:, None, :]
        columns = self.corners.indices.reshape(rows, corners, 1) * TERMS + np.arange(TERMS)
        starts = np.arange(rows + 1) * corners * TERMS
        return sparse.csr_matrix(
            (values.ravel(), columns.ravel(), starts), shape=(rows, self.corners.shape[1] * TERMS)
        )  # fmt: skip

    def left_of_unseen(self, choice: Choice) -> float:
        """Mean absolute residual, in volt, of the rows of each fold by the tables of the others."""
        equations = self.design(choice)
        fold_rows = [np.flatnonzero(self.fold == fold) for fold in np.unique(self.fold)]
        normals = [_Normal.of(equations[r], self.voltage_volt[r], self.weight[r]) for r in fold_rows]
        left = np.empty_like(self.voltage_volt)
        for fold, rows in enumerate(fold_rows):
            others = [normal for number, normal in enumerate(normals) if number != fold or len(normals) == 1]
            left[rows] = self.voltage_volt[rows] - equations[rows] @ self.solution(others)
        return float(np.average(np.abs(left), weights=self.weight))

    def solution(self, normals: Iterable[_Normal]) -> Float:
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


def _folds(runs: Sequence[Run]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """[row] the fold of each row: by whole run, or where there are too few, by fifths of each."""
    if len(runs) >= FOLDS - 1:
        return np.concatenate([np.full(len(run.soc), number % FOLDS) for number, run in enumerate(runs)])
    return np.concatenate([np.arange(len(run.soc)) * FOLDS // len(run.soc) for run in runs])


def _only(term: int) -> sparse.csr_array:
    return sparse.csr_array(([1.0], ([term], [term])), shape=(TERMS, TERMS))


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


def _terms(run: Run, choice: Choice) -> list[Float]:
    """What the tables of OCV, R0, b, R1, R2, M are multiplied by in each row."""
    current = run.current_ampere
    filtered = [_filtered(run, tau) for tau in choice.rc_second]
    branch = _branch(run, choice.hysteresis_per_soc) if choice.hysteresis_per_soc else np.zeros_like(current)
    return [np.ones_like(current), current, np.arcsinh(current / choice.charge_transfer_ampere), *filtered, branch]


def _holds(run: Run) -> tuple[Float, Float]:
    """Seconds that each row is held, and the current after the first of them: in a hole, what the label says."""
    hold = np.diff(run.test_time_second, append=run.test_time_second[-1] + 1.0)
    rest_of_hold = run.current_ampere.copy()
    hole = hold > HOLE_SECOND
    hole[-1] = False
    charge_ah = np.diff(run.soc, append=run.soc[-1]) * run.capacity_ah
    rest_of_hold[hole] = charge_ah[hole] * 3600.0 / hold[hole]
    return hold, rest_of_hold


def _filtered(run: Run, tau: float) -> Float:
    """Filter the current by dx/dt = (I - x) / tau; x one second into each row's hold, when its voltage is taken."""
    hold, rest_of_hold = _holds(run)
    first = -np.expm1(-np.minimum(hold, 1.0) / tau)
    later = -np.expm1(-np.maximum(hold - 1.0, 0.0) / tau)
    filtered, x = np.empty_like(run.current_ampere), 0.0
    steps = zip(run.current_ampere.tolist(), rest_of_hold.tolist(), first.tolist(), later.tolist(), strict=True)
    for row, (begin, rest, share, share_later) in enumerate(steps):
        x += share * (begin - x)
        filtered[row] = x
        x += share_later * (rest - x)
    return filtered


def _branch(run: Run, per_soc: float) -> Float:
    """Follow h by dh = g (sign(I) - h) |dsoc|; h one second into each row's hold, when its voltage is taken."""
    hold, rest_of_hold = _holds(run)
    moved = np.stack([run.current_ampere * np.minimum(hold, 1.0), rest_of_hold * np.maximum(hold - 1.0, 0.0)], axis=1)
    kept = np.exp(-per_soc / (3600.0 * run.capacity_ah) * np.abs(moved))
    branch, h = np.empty_like(run.current_ampere), run.hysteresis
    steps = zip(np.sign(moved).tolist(), kept.tolist(), strict=True)
    for row, ((begin, rest), (kept_first, kept_later)) in enumerate(steps):
        h = begin + (h - begin) * kept_first
        branch[row] = h
        h = rest + (h - rest) * kept_later
    return branch


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


def _rising(ocv_volt: Float, weight: Float) -> Float:
    """Make the OCV [soc, celsius] rise with SOC: the nearest that does, where `weight` says how well each is known."""
    ramp = OCV_STEP_VOLT * np.arange(len(ocv_volt))
    columns = [
        optimize.isotonic_regression(volt - ramp, weights=known).x + ramp
        for volt, known in zip(ocv_volt.T, weight.T, strict=True)
    ]
    return np.stack(columns, axis=1)


def _by_temperature(residual_volt: Float, temperature_celsius: Float, weight: Float, nodes_celsius: Float) -> Float:
    """RMS of the residual around each node; a node without rows takes that of the nearest with rows."""
    nearest = np.abs(temperature_celsius[:, None] - nodes_celsius).argmin(axis=1)
    total = np.bincount(nearest, weights=weight, minlength=len(nodes_celsius))
    square = np.bincount(nearest, weights=weight * residual_volt**2, minlength=len(nodes_celsius))
    known = np.flatnonzero(total > 0)
    rms = np.sqrt(square[known] / total[known])
    return np.array([rms[np.abs(known - node).argmin()] for node in range(len(nodes_celsius))])
