"""Score SOH now, from a charge and the rest after it; cells are in the form that `relaxation.py` reads.

Shipped models answer by the best that each row allows. `--folds` learns anew without some of the cells; it asks for
conditions never trained, and for another make of cell, besides. The answer is a capacity: SOH is its share of the
nominal one, in points of which errors are told.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from daemon.tables import trajectory
from daemon.tables.another_make import transferred
from daemon.tables.cases import Cases
from daemon.tables.folds import elsewhere, learnable, unseen
from daemon.tables.relaxation import read
from daemon.tables.unanswered import unanswered
from estimators.imodel.estimate import Known, capacity, load
from estimators.imodel.features import SAID, VARIANTS, inputs
from estimators.imodel.train import learn, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from daemon.tables.cases import Options
    from daemon.tables.relaxation import Table
    from estimators.regression.regression import Answer

SOURCE, TARGET = "nca", "ncm_nca"  # a make of cell that is known, and one that is asked for


def evaluate(folder: Path, options: Options) -> list[Cases]:
    """Score on every kind of cell in the folder. Raises UsageError where it holds none, or one that is not known."""
    tables = read(folder)
    if not options.folds:
        known = load()
        return [_service(t, t.kind.name, _answers(t, trajectory.of_kind(known, t), options.alone)) for t in tables]

    def ask(learnt: Table, held: Table, seed: int) -> dict[str, Answer]:
        said = _answers(held, learn(learnt.kind, learnt.rows, horizons=(), seed=seed), options.alone)
        if not options.alone:
            for variant in VARIANTS:
                for name, known in plain(learnt.kind, learnt.rows, variant, seed).items():
                    said[f"{name}, from {SAID[variant]}"] = capacity(known, held.events, variant)
        return said

    labelled = learnable(tables)
    found = [_service(t, name, said) for t in labelled for name, said in unseen(t, options, ask)]
    if not options.alone:
        found += [_cases(t, name, said) for t in labelled for name, said in elsewhere(t, ask)]
        source = next((t for t in labelled if t.kind.name == SOURCE), None)
        target = next((t.pick(np.isfinite(t.capacity_ah)) for t in tables if t.kind.name == TARGET), None)
        if source and target and len(np.unique(target.cell)) > 1:
            found += [_cases(target, name, said) for name, said in transferred(source, target)]
    return found


def train(folder: Path, out: Path | None, seed: int, progress: Callable[[str], None]) -> None:
    """Learn SOH and trajectories alike: they are kept in one file."""
    trajectory.train(folder, out, seed, progress)


def _answers(table: Table, known: Known, alone: bool) -> dict[str, Answer]:
    """Ask what the service asks, the best variant of each row; and each variant by itself."""
    said = {"service": capacity(known, table.events)}
    if alone:
        return said
    for variant in known.now:
        x = inputs(table.events, table.kind, variant)
        usable = np.isfinite(x).all(axis=1)
        if usable.any():
            said[f"from {SAID[variant]}"] = capacity(known, table.events, variant)
    return said


def _service(table: Table, name: str, said: Mapping[str, Answer]) -> Cases:
    """Lay the answers out, and name the rows that the service says nothing of."""
    return _cases(replace(table, unscored=table.unscored + unanswered(table, said["service"].mean)), name, said)


def _cases(table: Table, name: str, said: Mapping[str, Answer]) -> Cases:
    now = np.zeros(len(table), dtype=np.int64)
    nominal = table.kind.nominal_capacity_ah
    return Cases(name, table.identity, "capacity_ah", now, table.capacity_ah, said, table.unscored, nominal)
