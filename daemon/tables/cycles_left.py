"""Score cycles left until a cell holds 80 % of its nominal capacity.

Charges with the rest after them tell it, each row taken alone. Beside it: where the trajectory crosses the end, or
would if it went on as it fell last, and a line through the cell's past. Ends of charges are asked by `multitask.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from daemon.errors import UsageError
from daemon.tables import cycle_features, multitask, relaxation, trajectory
from daemon.tables.cases import Cases
from daemon.tables.folds import learnable, unseen
from daemon.tables.forms import each
from daemon.tables.relaxation import read
from daemon.tables.unanswered import unanswered
from estimators.imodel.estimate import KNOTS, Known, load
from estimators.imodel.estimate import trajectory as foresee
from estimators.imodel.left import END_SHARE, FURTHEST, HORIZON, Left, crossing, cycles_left
from estimators.imodel.plain import from_past
from estimators.imodel.rows import until_end
from estimators.imodel.train import learn, learn_left
from estimators.regression.regression import NINETY, Answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from daemon.tables.cases import Options
    from daemon.tables.relaxation import Table

LINE_FROM, LINE_TO = 0, 100  # cycles ahead between which a line's slope is read


def evaluate(folder: Path, options: Options) -> list[Cases]:
    """Score ends of charges, and charges with the rest after them. Raises UsageError for none of these."""
    return each(folder, options, ((cycle_features.looks_like, multitask.evaluate), (relaxation.looks_like, _of_rests)))


def _of_rests(folder: Path, options: Options) -> list[Cases]:
    tables = read(folder)
    if not options.folds:
        known = load()
        return [_cases(t, t.kind.name, _answers(t, trajectory.of_kind(known, t), options)) for t in tables]

    def ask(learnt: Table, held: Table, seed: int) -> dict[str, Answer]:
        known = learn(learnt.kind, learnt.rows, ["both"], () if options.alone else KNOTS, seed)
        return _answers(held, learn_left(known, learnt.rows, ["both"], seed), options)

    return [_cases(t, name, said) for t in learnable(tables) for name, said in unseen(t, options, ask)]


def train(_folder: Path, _out: Path | None, _seed: int, _progress: Callable[[str], None]) -> None:
    """Refuse: there is no model of this name. Raises UsageError."""
    raise UsageError("`rul` is whatever is best", where="bmsd train", mend="train imodel or multitask")


def _answers(table: Table, known: Known, options: Options) -> dict[str, Answer]:
    said = {"service": _answer(cycles_left(known, table.events, furthest=FURTHEST))}
    if options.alone:
        return said
    end = END_SHARE * table.kind.nominal_capacity_ah
    drawn = _answer(crossing(foresee(known, table.events, HORIZON), end, FURTHEST))
    return said | {"trajectory": drawn, "line": _line(table, end)}


def _answer(left: Left) -> Answer:
    return Answer(left.cycles, (left.latest - left.soonest) / (2 * NINETY), left.in_domain)


def _line(table: Table, end: float) -> Answer:
    """Go on by the line through a cell's last measured capacities."""
    line = from_past(table.cell, table.cycle, table.capacity_ah, np.array([LINE_FROM, LINE_TO]))["line"]
    slope = (line[:, 1] - line[:, 0]) / (LINE_TO - LINE_FROM)
    falls = slope < 0
    cycles = np.maximum(line[:, 0] - end, 0.0) / np.where(falls, -slope, np.nan)
    return Answer(np.minimum(cycles, FURTHEST), np.full(len(table), np.nan), falls)


def _cases(table: Table, name: str, said: dict[str, Answer]) -> Cases:
    now = np.zeros(len(table), dtype=np.int64)
    reasons = unanswered(table, said["service"].mean)
    truth = until_end(table.rows, END_SHARE * table.kind.nominal_capacity_ah)
    return Cases(name, table.identity, "rul_cycle", now, truth, said, table.unscored + reasons)
