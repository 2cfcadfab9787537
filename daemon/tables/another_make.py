"""Ask of one make of cell what was learnt of another: without labels of it, and with a few of its other cells."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from daemon.tables.folds import collect
from estimators.imodel.estimate import Known, capacity
from estimators.imodel.features import SAID, VARIANTS
from estimators.imodel.train import learn, plain
from estimators.regression.fit import by_cell
from estimators.regression.regression import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.tables.relaxation import Float, Table

LABELS = 20
FIRST_ROWS = 5  # of a cell: it is taken to be new there, and to hold its nominal capacity


def transferred(source: Table, target: Table) -> Iterator[tuple[str, dict[str, Answer]]]:
    """Give the answers for `target`'s cells without labels of that make, and with `LABELS` of its other cells."""
    known = learn(source.kind, source.rows, horizons=())
    foreign = replace(known, kind=target.kind)
    name = f"{source.kind.name} to {target.kind.name}"
    bare = {f"its model, from {SAID[v]}": capacity(foreign, target.events, v) for v in VARIANTS}
    yield f"{name}, no labels", {"charge against that of its first cycles": _against_first(target)} | bare
    few: dict[str, Answer] = {}
    for learnt, held in by_cell(target.cell, len(np.unique(target.cell))):
        collect(few, _with_labels(foreign, target.pick(learnt), target.pick(held)), held)
    yield f"{name}, {LABELS} labels of another cell", few


def _against_first(target: Table) -> Answer:
    """Take capacity to fade as the charge does that the window takes up."""
    charge = target.events.charge_ah[:, -1]
    share = np.full(len(target), np.nan)
    for cell in np.unique(target.cell):
        rows = np.flatnonzero(target.cell == cell)
        share[rows] = charge[rows] / np.median(charge[rows[:FIRST_ROWS]])
    return _guess(share * target.kind.nominal_capacity_ah)


def _with_labels(foreign: Known, learnt: Table, held: Table) -> dict[str, Answer]:
    drawn = np.zeros(len(learnt), bool)
    drawn[np.linspace(0, len(learnt) - 1, LABELS).astype(int)] = True
    labels = learnt.pick(drawn)
    said: dict[str, Answer] = {}
    for variant in VARIANTS:
        alone = plain(labels.kind, labels.rows, variant)["ridge"]
        said[f"ridge on the labels, from {SAID[variant]}"] = capacity(alone, held.events, variant)
        off = capacity(foreign, labels.events, variant).mean - labels.capacity_ah
        mend = plain(labels.kind, labels.rows._replace(capacity_ah=off), variant)["ridge"]
        mended = capacity(foreign, held.events, variant).mean - capacity(mend, held.events, variant).mean
        said[f"its model and a ridge, from {SAID[variant]}"] = _guess(mended)
    return said


def _guess(mean: Float) -> Answer:
    """Answer without a deviation, and of no domain."""
    return Answer(mean, np.full(len(mean), np.nan), np.zeros(len(mean), bool))
