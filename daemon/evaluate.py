"""Score SOC estimators on labelled runs, through the very pipeline of the service.

Every run enters one fleet several times: once for each estimator and each case (a right start, a start 30
points wrong, a current sensor off by 0.3 A), each as a cell of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daemon.batch import Batch
from daemon.config import Cells, Config, EstimatorName, PackRule
from daemon.fleet import Fleet
from daemon.rows import Rows
from daemon.runs import Run
from estimators.cell_type import CellType

Float = NDArray[np.float64]
FIRST_MINUTE_SECOND = 60
TWO_SIDED_90 = 1.645  # standard deviations
PUSH_SECOND = 300.0
ESTIMATORS: tuple[EstimatorName, ...] = ("cross_stitch", "ekf", "coulomb")


class Case(NamedTuple):
    """What is wrong with the start or the sensor."""

    name: str
    start_error: float = 0.0  # points / 100 added to the true SOC at the start, or taken from it beyond full
    offset_ampere: float = 0.0


CASES = (
    Case("right start"),
    Case("30 points wrong", start_error=0.3),
    Case("+0.3 A", offset_ampere=0.3),
    Case("-0.3 A", offset_ampere=-0.3),
)


@dataclass(frozen=True, slots=True)
class Trace:
    """What one estimator said of one run in one case; every array is [grid second]."""

    estimator: str
    case: str
    run: Run
    test_time_second: Float
    soc: Float
    soc_std: Float
    flags: NDArray[np.uint32]
    truth: Float

    @property
    def error(self) -> Float:
        """Signed error, in points."""
        return (self.soc - self.truth) * 100.0


class Score(NamedTuple):
    """Errors in points; the maximum leaves the first minute out."""

    mae_point: float
    rmse_point: float
    max_point: float
    inside_90: float  # share of seconds whose 90 % interval holds the truth


class Line(NamedTuple):
    """One estimator in one case: the mean score of the files of each ambient temperature, and the mean of those."""

    estimator: str
    case: str
    files: int
    by_celsius: dict[float, Score]  # highest first; NaN where the ambient is unknown
    mean: Score


def evaluate(
    cell_type: CellType,
    runs: list[Run],
    estimators: Iterable[EstimatorName],
    cases: Iterable[Case],
    progress: Callable[[float], None] = lambda _: None,
    unlabelled_soc: float = np.nan,
) -> list[Trace]:
    """Run everything as one fleet. SOC is against the nominal capacity, as the labels are.

    A run without a label starts at `unlabelled_soc`; NaN: the estimators find it from the first voltage.
    """
    chosen, cases = list(estimators), list(cases)
    rules = [
        PackRule(
            pattern=f"{name}-*",
            cell_type=str(cell_type.folder),
            estimator=name,
            soc_reference="nominal",
            ambient_temperature_celsius=_ambient(runs),
        )
        for name in chosen
    ]
    cells = [(name, case, number) for name in chosen for case in cases for number in range(len(runs))]
    names = [f"{name}-{cases.index(case)}/{number}" for name, case, number in cells]
    start = {n: _start(runs[c[2]], c[1], unlabelled_soc) for n, c in zip(names, cells, strict=True)}
    fleet = Fleet(Config(cells=Cells(packs=rules)), initial_soc={n: s for n, s in start.items() if np.isfinite(s)})
    parts: list[Rows] = []
    last = max(r.test_time_second[-1] for r in runs)
    for begin in np.arange(0.0, last + PUSH_SECOND, PUSH_SECOND):
        parts.append(fleet.push(_slice(runs, cells, names, begin)).rows)
        progress(min(1.0, begin / last))
    slot = {name: i for i, name in enumerate(fleet.names) if name is not None}
    parts.append(fleet.flush().rows)
    rows = Rows.join(parts)
    order = np.argsort(rows.cell, kind="stable")
    bounds = np.searchsorted(rows.cell[order], np.arange(len(fleet.names) + 1))
    traces = []
    for name, (estimator, case, number) in zip(names, cells, strict=True):
        mine = order[bounds[slot[name]] : bounds[slot[name] + 1]]
        traces.append(_trace(estimator, case, runs[number], rows, mine))
    return traces


def _trace(estimator: str, case: Case, run: Run, rows: Rows, mine: NDArray[np.intp]) -> Trace:
    second = rows.second[mine]
    row = np.searchsorted(run.test_time_second, second + 1.0, side="left") - 1  # the last row inside the second
    return Trace(
        estimator,
        case.name,
        run,
        second.astype(np.float64),
        rows.soc[mine],
        rows.soc_std[mine],
        rows.flags[mine],
        run.soc_nominal[row],
    )


def _ambient(runs: list[Run]) -> float:
    known = [r.ambient_temperature_celsius for r in runs if np.isfinite(r.ambient_temperature_celsius)]
    return float(np.median(known)) if known else 25.0


def _start(run: Run, case: Case, unlabelled_soc: float) -> float:
    """Say the SOC that the estimator is told: beyond full the error goes the other way."""
    truth = run.soc_nominal[0] if run.labelled else unlabelled_soc
    return float(truth + case.start_error if truth + case.start_error <= 1.0 else truth - case.start_error)


def _slice(runs: list[Run], cells: list[tuple[EstimatorName, Case, int]], names: list[str], begin: float) -> Batch:
    """Take all samples of `PUSH_SECOND` from `begin` on, of every cell."""
    parts, cell = [], []
    for index, (_, case, number) in enumerate(cells):
        run = runs[number]
        low, high = np.searchsorted(run.test_time_second, (begin, begin + PUSH_SECOND))
        parts.append(
            np.stack(
                [
                    run.test_time_second[low:high],
                    run.voltage_volt[low:high],
                    run.current_ampere[low:high] + case.offset_ampere,
                    run.temperature_celsius[low:high],
                ]
            )
        )
        cell.append(np.full(high - low, index, dtype=np.int32))
    return Batch(tuple(names), np.concatenate(cell), *np.concatenate(parts, axis=1))


def score(trace: Trace) -> Score:
    """Sum one trace up."""
    known = np.isfinite(trace.truth)
    error, std = np.abs(trace.error[known]), trace.soc_std[known] * 100.0
    settled = error[FIRST_MINUTE_SECOND:] if len(error) > FIRST_MINUTE_SECOND else error
    return Score(
        float(error.mean()),
        float(np.sqrt((error**2).mean())),
        float(settled.max()),
        float((error <= TWO_SIDED_90 * std).mean()),
    )


def summarise(traces: list[Trace]) -> list[Line]:
    """Sum the labelled traces up, a line for each estimator and case."""
    grouped: dict[tuple[str, str], dict[float, list[Score]]] = {}
    for trace in traces:
        if trace.run.labelled:
            by_celsius = grouped.setdefault((trace.estimator, trace.case), {})
            by_celsius.setdefault(trace.run.ambient_temperature_celsius, []).append(score(trace))
    lines = []
    for (estimator, case), by_celsius in grouped.items():
        means = {t: _mean(by_celsius[t]) for t in sorted(by_celsius, reverse=True)}
        files = sum(map(len, by_celsius.values()))
        lines.append(Line(estimator, case, files, means, _mean(list(means.values()))))
    return lines


def _mean(scores: list[Score]) -> Score:
    """Mean of all but the maximum, which is the largest."""
    mean = np.mean(scores, axis=0)
    return Score(*map(float, mean))._replace(max_point=max(s.max_point for s in scores))
