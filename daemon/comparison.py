"""Every estimator on logs held out, by two cell types: what was known before and what one's own logs made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from daemon.evaluate import Case, evaluate, usable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from daemon.config import EstimatorName
    from daemon.runs import Run
    from estimators.cell_type import CellType

START_ERROR, OFFSET_C_RATE = 0.3, 0.1
CASES = ("right start", "30 points wrong", "+0.1 C", "-0.1 C")
PUBLISHED: EstimatorName = "fused"
WORTH_POINT = 0.05  # another must be better by so much to be published in its place
WORTH_SHARE = 0.05  # of the error must go by a network, if it is to be stepped each second

Figures = dict["EstimatorName", tuple[float, ...]]  # mean absolute error in points of each of CASES


def figures(
    cell_type: CellType,
    runs: list[Run],
    progress: Callable[[float], None],
    estimators: Sequence[EstimatorName] | None = None,
) -> Figures:
    """Measure estimators (None: all that the cell type can serve) on each case, as the service would run them."""
    offset = OFFSET_C_RATE * cell_type.nominal_capacity_ah
    cases = [
        Case(CASES[0]),
        Case(CASES[1], start_error=START_ERROR),
        Case(CASES[2], offset_ampere=offset),
        Case(CASES[3], offset_ampere=-offset),
    ]
    found: dict[tuple[str, str], list[float]] = {}
    asked = list(usable(cell_type)) if estimators is None else list(estimators)
    for trace in evaluate(cell_type, runs, asked, cases, progress):
        error = np.abs(trace.error[np.isfinite(trace.truth)])
        if len(error):
            found.setdefault((trace.estimator, trace.case), []).append(float(error.mean()))
    return {name: tuple(float(np.mean(found[name, case])) for case in CASES) for name in asked}


def published_point(cell_type: CellType, runs: list[Run], progress: Callable[[float], None]) -> float:
    """Measure what is published by default: its mean over the cases, in points."""
    return float(np.mean(figures(cell_type, runs, progress, [PUBLISHED])[PUBLISHED]))


def worth(with_network: float, without: float) -> bool:
    """Tell from what is published, in points, whether a network earns its place."""
    return with_network < (1.0 - WORTH_SHARE) * without


def best(measured: Figures) -> EstimatorName:
    """Name the estimator of the smallest mean over the cases; the published one unless another is clearly better."""
    mean = {name: float(np.mean(points)) for name, points in measured.items()}
    name = min(mean, key=mean.__getitem__)
    return PUBLISHED if PUBLISHED in mean and mean[PUBLISHED] <= mean[name] + WORTH_POINT else name


def table(before: Figures, after: Figures) -> str:
    """Write the figures below each other, in Markdown."""
    head = f"| estimator | | {' | '.join(CASES)} | mean |\n|---|---|{'---|' * (len(CASES) + 1)}"
    rows = [
        f"| {name} | {when} | {' | '.join(f'{point:.2f}' for point in (*measured[name], np.mean(measured[name])))} |"
        for name in after
        for when, measured in (("before", before), ("after", after))
        if name in measured
    ]
    return "\n".join([head, *rows])
