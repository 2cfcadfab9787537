"""Learn anew without some of the cells, and ask of those: what every cell's answers are collected from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from daemon.errors import UsageError
from estimators.regression.fit import by_cell
from estimators.regression.regression import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from daemon.tables.cases import Options
    from daemon.tables.relaxation import Table

    Ask = Callable[[Table, Table, int], dict[str, Answer]]
    Bool = NDArray[np.bool_]

FEWEST_CELLS = 5  # to learn from most and ask of the others


def learnable(tables: Sequence[Table]) -> list[Table]:
    """Give the measured rows of every kind whose cells are enough to learn from most and ask of the others.

    The kinds that have too few are named. Raises UsageError where there is no other.
    """
    labelled = [t.pick(np.isfinite(t.capacity_ah)) for t in tables]
    few = {t.kind.name: n for t in labelled if (n := len(np.unique(t.cell))) < FEWEST_CELLS}
    said = tuple(
        f"{name}: {cells} cells with a measured capacity, and it takes {FEWEST_CELLS} to learn from most and ask of "
        "the others (leave --folds out to ask the shipped weights)"
        for name, cells in few.items()
    )
    enough = [t for t in labelled if t.kind.name not in few]
    reasons = (*(reason for t in tables for reason in t.unscored), *said)
    if not enough:
        raise UsageError("too few cells to learn from", where="--folds", mend="; ".join(reasons))
    return [replace(enough[0], unscored=reasons), *enough[1:]]


def unseen(table: Table, options: Options, ask: Ask) -> Iterator[tuple[str, dict[str, Answer]]]:
    """Give, for each draw of the folds, a name of it and each method's answers for all cells, each asked unseen.

    `ask(learnt, held, seed)` learns from one table and gives, of the other, so many answers a row as it likes.
    """
    for draw in range(options.seeds):
        said: dict[str, Answer] = {}
        for learnt, held in by_cell(table.cell, options.folds, draw, table.condition):
            collect(said, ask(table.pick(learnt), table.pick(held), draw), held)
        yield f"{table.kind.name}, unseen cells" + (f", draw {draw + 1}" if options.seeds > 1 else ""), said


def elsewhere(table: Table, ask: Ask) -> Iterator[tuple[str, dict[str, Answer]]]:
    """Do the same with whole conditions of temperature and rates in place of cells; nothing where there is but one."""
    said: dict[str, Answer] = {}
    for condition in np.unique(table.condition):
        held = table.condition == condition
        if len(np.unique(table.cell[~held])) >= FEWEST_CELLS:
            collect(said, ask(table.pick(~held), table.pick(held), 0), held)
    if said:
        yield f"{table.kind.name}, a condition never trained", said


def collect(said: dict[str, Answer], part: dict[str, Answer], rows: Bool) -> None:
    """Put answers of some rows, so many a row as there are, where they belong among all."""
    for name, answer in part.items():
        where = np.repeat(rows, len(answer.mean) // max(int(rows.sum()), 1))
        size = len(where)
        whole = said.setdefault(name, Answer(np.full(size, np.nan), np.full(size, np.nan), np.zeros(size, bool)))
        for to, of in zip(whole, answer, strict=True):
            to[where] = of
