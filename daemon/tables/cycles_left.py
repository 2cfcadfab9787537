"""Score cycles left until a cell holds 80 % of its nominal capacity.

Charges with the rest after them tell it by their trajectory, each row taken alone: where it crosses the end, or would
if it went on as it fell last. Ends of charges are asked by `multitask.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from daemon.errors import UsageError
from daemon.tables import cycle_features, multitask, trajectory
from daemon.tables.cases import Cases
from daemon.tables.folds import unseen
from daemon.tables.relaxation import CELL, CYCLE, read
from estimators.imodel.estimate import Known, cycles_left, load
from estimators.imodel.estimate import trajectory as foresee
from estimators.imodel.plain import from_past
from estimators.imodel.train import learn
from estimators.regression.regression import NINETY, Answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from daemon.tables.cases import Float, Options
    from daemon.tables.relaxation import Table

END_SHARE = 0.8  # of the nominal capacity
HORIZON = np.arange(0, 151, 5)
FURTHEST = 650  # cycles: hardly a cell of the sets had more left; a trajectory that is nearly flat says no number
LINE_FROM, LINE_TO = 0, 100  # cycles ahead between which a line's slope is read


def evaluate(folder: Path, options: Options) -> list[Cases]:
    """Score ends of charges, or charges with the rest after them. Raises UsageError for none of these."""
    if cycle_features.looks_like(folder):
        return multitask.evaluate(folder, options)
    tables = read(folder)
    if not options.folds:
        known = load()
        return [_cases(t, t.kind.name, _answers(t, trajectory.of_kind(known, t), options)) for t in tables]

    def ask(learnt: Table, held: Table, seed: int) -> dict[str, Answer]:
        return _answers(held, learn(learnt.kind, learnt.rows, ["both"], seed=seed), options)

    labelled = [t.pick(np.isfinite(t.capacity_ah)) for t in tables]
    return [_cases(t, name, said) for t in labelled for name, said in unseen(t, options, ask)]


def train(_folder: Path, _out: Path | None, _seed: int, _progress: Callable[[str], None]) -> None:
    """Refuse: there is no model of this name. Raises UsageError."""
    raise UsageError("`rul` is whatever is best", where="bmsd train", mend="train imodel or multitask")


def until_end(table: Table) -> Float:
    """Count cycles [row] until a cell's measured capacity first falls to its end, by a line between two measurements.

    NaN: it was not seen to get there, or has been there.
    """
    left = np.full(len(table), np.nan)
    end = END_SHARE * table.kind.nominal_capacity_ah
    cell, cycle = table.cell, table.cycle.astype(float)
    for name in np.unique(cell):
        rows = np.flatnonzero((cell == name) & np.isfinite(table.capacity_ah))
        capacity = table.capacity_ah[rows]
        first = int((capacity <= end).argmax()) if len(rows) else 0
        if first and capacity[first] <= end:
            over, under = rows[first - 1], rows[first]
            share = (capacity[first - 1] - end) / (capacity[first - 1] - capacity[first])
            at = cycle[over] + share * (cycle[under] - cycle[over])
            before = (cell == name) & (cycle <= cycle[over])
            left[before] = at - cycle[before]
    return left


def _answers(table: Table, known: Known, options: Options) -> dict[str, Answer]:
    end = END_SHARE * table.kind.nominal_capacity_ah
    left = cycles_left(foresee(known, table.events, HORIZON), end, FURTHEST)
    said = {"service": Answer(left.cycles, (left.latest - left.soonest) / (2 * NINETY), left.in_domain)}
    return said if options.alone else said | {"line": _line(table, end)}


def _line(table: Table, end: float) -> Answer:
    """Go on by the line through a cell's last measured capacities."""
    line = from_past(table.cell, table.cycle, table.capacity_ah, np.array([LINE_FROM, LINE_TO]))["line"]
    slope = (line[:, 1] - line[:, 0]) / (LINE_TO - LINE_FROM)
    falls = slope < 0
    cycles = np.maximum(line[:, 0] - end, 0.0) / np.where(falls, -slope, np.nan)
    return Answer(np.minimum(cycles, FURTHEST), np.full(len(table), np.nan), falls)


def _cases(table: Table, name: str, said: dict[str, Answer]) -> Cases:
    now = np.zeros(len(table), dtype=np.int64)
    nothing = table.pick(~np.isfinite(said["service"].mean)).identity
    reasons = tuple(
        f"{file}, {cell}, cycle {', '.join(map(str, cycles))}: no trajectory without a whole charge or a rest"
        for file, cell, cycles in nothing.group_by("file", CELL, maintain_order=True).agg(CYCLE).iter_rows()
    )
    return Cases(name, table.identity, "rul_cycle", now, until_end(table), said, table.unscored + reasons)
