"""Logs whose SOC is known -> equivalent-circuit tables.

With the time constants tau_j, the scale i0 and the hysteresis' g fixed, the circuit of `Tables` is linear in all
of its tables (`estimators.ekf.least_squares`). tau_1 and tau_2, and then g, are chosen from small grids by what is
left unexplained of runs that had no part in the solution: five folds, by whole run. Hysteresis is kept only where
those are clearly better explained with it.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize

from estimators.cell_type import USUAL_HYSTERESIS_PER_SOC, Tables
from estimators.circuit import Circuit
from estimators.ekf.least_squares import CHARGE_TRANSFER_C_RATE, HYSTERESIS, OCV, RIDGE, TERMS, Normal, Rows
from estimators.ekf.terms import Choice, Run, inner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from estimators.contract import Float

__all__ = ["HYSTERESIS_WORTH", "Choice", "Run", "choose", "explain", "identify", "solve"]

TAU_SECOND = ((10.0, 20.0, 40.0), (150.0, 400.0, 1000.0))  # candidates for tau_1 and for tau_2
HYSTERESIS_PER_SOC = (8.0, 20.0, 50.0)  # candidates for g
HYSTERESIS_WORTH = 0.9
FOLDS = 5
CHOICE_ROWS = 40_000  # the candidates are compared on about so many rows
OCV_STEP_VOLT = 1e-4  # smallest rise of the OCV between two nodes of SOC


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
    rows = Rows.of(runs, nominal_capacity_ah, like, CHOICE_ROWS)

    def left(choice: Choice) -> tuple[float, Choice]:
        volt = _left_of_unseen(rows, choice)
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
    rows = Rows.of(runs, nominal_capacity_ah, like)
    equations = rows.design(choice)
    theta = rows.solution([Normal.of(equations, rows.voltage_volt, rows.weight)])
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
    circuit = Circuit(tables)
    point = circuit.at(run.soc, run.temperature_celsius)
    return circuit.terminal(point, run.current_ampere, *inner(run, Choice.of(tables))).volt


def _left_of_unseen(rows: Rows, choice: Choice) -> float:
    """Mean absolute residual, in volt, of the rows of each fold by the tables of the others."""
    equations, of_fold = rows.design(choice), _folds(rows.runs)[rows.keep]
    fold_rows = [np.flatnonzero(of_fold == fold) for fold in np.unique(of_fold)]
    normals = [Normal.of(equations[r], rows.voltage_volt[r], rows.weight[r]) for r in fold_rows]
    left = np.empty_like(rows.voltage_volt)
    for fold, held in enumerate(fold_rows):
        others = [normal for number, normal in enumerate(normals) if number != fold or len(normals) == 1]
        left[held] = rows.voltage_volt[held] - equations[held] @ rows.solution(others)
    return float(np.average(np.abs(left), weights=rows.weight))


def _folds(runs: Sequence[Run]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """[row] the fold of each row: by whole run, or where there are too few, by fifths of each."""
    if len(runs) >= FOLDS - 1:
        return np.concatenate([np.full(len(run.soc), number % FOLDS) for number, run in enumerate(runs)])
    return np.concatenate([np.arange(len(run.soc)) * FOLDS // len(run.soc) for run in runs])


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
