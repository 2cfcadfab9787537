"""Score SOC estimators on labelled runs, through the very pipeline of the service.

Every run enters one fleet several times: once for each estimator and each case (a right start, a start 30
points wrong, a current sensor off by 0.3 A), each as a cell of its own. `switched_on` cuts runs into short ones that
begin anywhere; they go the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daemon.batch import Batch
from daemon.config import Cells, Config, EstimatorName, PackRule
from daemon.errors import WeightsError
from daemon.fleet import Fleet
from daemon.models import MODELS, label, load
from daemon.rows import Rows
from daemon.runs import Run
from estimators.cell_type import CellType

Float = NDArray[np.float64]
PUSH_SECOND = 300.0
PLACES, SHORTEST_SECOND, LONGEST_SECOND = 8, 1200.0, 1800.0  # of the starts inside a run


class Case(NamedTuple):
    """What is wrong with the start or the sensor."""

    name: str
    start_error: float = 0.0  # points / 100, added to the true SOC at the start below one half, else taken from it
    offset_ampere: float = 0.0


CASES = (
    Case("right start"),
    Case("30 points wrong", start_error=0.3),
    Case("+0.3 A", offset_ampere=0.3),
    Case("-0.3 A", offset_ampere=-0.3),
)
SWITCH_ON = Case("switched on, 30 points wrong", start_error=0.3)


@dataclass(frozen=True, slots=True)
class Trace:
    """What one estimator said of one run in one case; every array is [grid second]."""

    estimator: str
    case: str
    run: Run
    test_time_second: Float
    soc: Float
    soc_std: Float
    soh: Float
    soh_std: Float
    flags: NDArray[np.uint32]
    truth: Float  # SOC; NaN where there is no label

    @property
    def error(self) -> Float:
        """Signed error, in points."""
        return (self.soc - self.truth) * 100.0


def usable(cell_type: CellType) -> dict[EstimatorName, str]:
    """Find the estimators that a cell type can serve, the one that it publishes first; each with its numbers' id."""
    found: dict[EstimatorName, str] = {}
    for name in dict.fromkeys((cell_type.estimator, *reversed(MODELS))):
        try:
            found[name] = label(load(cell_type, name))
        except WeightsError:
            continue
    return found


def switched_on(run: Run, places: int = PLACES) -> list[Run]:
    """Cut a labelled run into short ones that begin evenly spread inside it, 20 minutes before its end at the latest.

    Each is at most half an hour long, and its time starts near 0, so that a fleet steps all of them together.
    """
    known = run.test_time_second[np.isfinite(run.soc_nominal)]
    if not len(known) or known[-1] - known[0] < SHORTEST_SECOND:
        return []
    room = known[-1] - SHORTEST_SECOND - known[0]
    begins = np.floor(known[0] + room * (np.arange(places) + 0.5) / places)
    return [_cut(run, begin, min(begin + LONGEST_SECOND, known[-1])) for begin in begins]


def _cut(run: Run, begin: float, end: float) -> Run:
    low, high = np.searchsorted(run.test_time_second, (begin, end))
    part, name = run[low:high], f"{run.name} from minute {begin / 60:.0f}"
    return replace(part, name=name, test_time_second=part.test_time_second - begin)


def evaluate(
    cell_type: CellType,
    runs: list[Run],
    estimators: Iterable[EstimatorName],
    cases: Iterable[Case],
    progress: Callable[[float], None] = lambda _: None,
    unlabelled_soc: float = np.nan,
    initial_soh: float | None = None,
) -> list[Trace]:
    """Run everything as one fleet. SOC is against the nominal capacity, as the labels are.

    A run without a label starts at `unlabelled_soc`; NaN: the estimators find it from the first voltage. The estimators
    are told `initial_soh`; None: they begin with the cell type's typical one, and know that this is a guess.
    """
    chosen, cases = list(estimators), list(cases)
    rules = [
        PackRule(
            pattern=f"{name}-*",
            cell_type=str(cell_type.folder),
            estimator=name,
            soc_reference="nominal",
            ambient_temperature_celsius=_ambient(runs),
            initial_soh=initial_soh,
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
        rows.soh[mine],
        rows.soh_std[mine],
        rows.flags[mine],
        run.soc_nominal[row],
    )


def _ambient(runs: list[Run]) -> float:
    known = [r.ambient_temperature_celsius for r in runs if np.isfinite(r.ambient_temperature_celsius)]
    return float(np.median(known)) if known else 25.0


def _start(run: Run, case: Case, unlabelled_soc: float) -> float:
    """Say the SOC that the estimator is told: wrong towards the middle, so that it could be true."""
    truth = float(run.soc_nominal[0]) if run.labelled else unlabelled_soc
    return truth + (case.start_error if truth < 0.5 else -case.start_error)


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
