"""Score capacity of later cycles, each row taken alone; cells are in the form that `relaxation.py` reads.

`trajectory` is what the service says, `imodel` the mixture of experts. Beside both: one plain method for every number
of cycles, the capacity held, and what a cell's measured past foretells. Training makes all of them, and the SOH now
that `health.py` scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from daemon.errors import UsageError
from daemon.tables.cases import Cases
from daemon.tables.folds import FEWEST_CELLS, learnable, unseen
from daemon.tables.forms import each
from daemon.tables.relaxation import looks_like, read
from daemon.tables.relaxation_card import written
from daemon.tables.unanswered import unanswered
from estimators.imodel.estimate import KNOTS, WEIGHTS, Known, load, save, trajectory
from estimators.imodel.mixture import Mixture, load_mixture, save_mixture
from estimators.imodel.plain import from_past, hold
from estimators.imodel.rows import ahead
from estimators.imodel.train import Found, learn, learn_left, plain
from estimators.imodel.train_network import fit_mixture
from estimators.regression.regression import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from daemon.tables.cases import Float, Options
    from daemon.tables.relaxation import Table

    Horizon = NDArray[np.int64]

HORIZONS = tuple(range(5, 151, 5))
SETS = ("zhu2022-voltage-relaxation", "imodel-lsd-relaxation")  # what the shipped weights are learnt from
IMODEL = "imodel"
FURTHER = f"no answer beyond {KNOTS[-1]} cycles ahead"


def evaluate(folder: Path, options: Options) -> list[Cases]:
    """Score on every kind of cell in the folder. Raises UsageError where it holds none, or one that is not known."""
    return each(folder, options, ((looks_like, _of_rests),))


def _of_rests(folder: Path, options: Options) -> list[Cases]:
    horizon = np.array(options.horizons or HORIZONS, dtype=np.int64)
    if horizon.min() > KNOTS[-1]:
        raise UsageError(FURTHER, where="--horizons", mend="such as 5:150:5")
    tables = read(folder)
    if not options.folds:
        known = load()
        shipped = {t.kind.name: of_kind(known, t) for t in tables}
        return [
            _cases(t, t.kind.name, horizon, _answers(t, shipped[t.kind.name], load_mixture(t.kind), horizon, options))
            for t in tables
        ]

    def ask(learnt: Table, held: Table, seed: int) -> dict[str, Answer]:
        known = learn(learnt.kind, learnt.rows, ["both"], seed=seed)
        wanted = options.model == IMODEL or not options.alone
        mixture = fit_mixture(learnt.kind, learnt.rows, seed) if wanted else None
        said = _answers(held, known, mixture, horizon, options)
        for name, one in {} if options.alone else plain(learnt.kind, learnt.rows, "both", seed, KNOTS).items():
            later = trajectory(one, held.events, horizon)
            said[name] = _flat(later.mean_ah, later.std_ah, later.in_domain)
        return said

    return [_cases(t, name, horizon, said) for t in learnable(tables) for name, said in unseen(t, options, ask)]


def train(folder: Path, out: Path | None, seed: int, progress: Callable[[str], None]) -> None:
    """Learn every kind of cell of the sets under `folder`, and write what was learnt."""
    tables = [t for name in SETS if (folder / name).is_dir() for t in read(folder / name)]
    if not tables:
        raise UsageError("no set to learn from", where=str(folder), mend=f"it should hold {' or '.join(SETS)}")
    home = out or WEIGHTS.parent
    known: dict[str, Known] = {}
    found: list[Found] = []

    def told(one: Found) -> None:
        found.append(one)
        progress(str(one))

    for table in tables:
        rows = table.pick(np.isfinite(table.capacity_ah)).rows
        cells = len(np.unique(rows.cell))
        if cells > 1:
            capacities = learn(table.kind, rows, seed=seed, told=told)
            known[table.kind.name] = learn_left(capacities, rows, seed=seed, told=told)
        if cells >= FEWEST_CELLS:
            save_mixture(fit_mixture(table.kind, rows, seed), home)
            progress(f"{table.kind.name}: mixture of experts")
    save(home / WEIGHTS.name, known, {"seed": str(seed)})
    card = (home if out else home.parent) / "CARD.md"
    card.write_text(written(found, seed), encoding="utf-8")
    progress(f"wrote {home / WEIGHTS.name} and {card}")


def of_kind(known: Mapping[str, Known], table: Table) -> Known:
    """Find what was learnt of a table's cells. Raises UsageError where nothing was."""
    if table.kind.name not in known:
        raise UsageError(f"nothing is known of {table.kind.name} cells", mend="bmsd train imodel, or --folds 5")
    return known[table.kind.name]


def _answers(
    table: Table, known: Known, mixture: Mixture | None, horizon: Horizon, options: Options
) -> dict[str, Answer]:
    """Ask every method of each row and horizon, rows first: [row * ahead]."""
    later = trajectory(known, table.events, horizon)
    said = {"service": _flat(later.mean_ah, later.std_ah, later.in_domain)}
    if mixture is not None:
        by_experts = mixture.trajectory(known, table.events, horizon)
        said["mixture of experts"] = _flat(by_experts.mean_ah, by_experts.std_ah, by_experts.in_domain)
        if not options.alone:
            lost = mixture.trajectory(known, table.events, horizon, shuffle=0)
            said["its gate shown another row"] = _flat(lost.mean_ah, lost.std_ah, lost.in_domain)
    if options.model == IMODEL and mixture is not None:
        said = {"mixture of experts": said.pop("mixture of experts"), **said}
    if options.alone:
        return dict(list(said.items())[:1])
    past = from_past(table.cell, table.cycle, table.capacity_ah, horizon)
    past["hold, capacity measured"] = hold(table.capacity_ah, horizon)
    past["hold, capacity estimated"] = hold(trajectory(known, table.events, np.array([0])).mean_ah[:, 0], horizon)
    nothing = np.full((len(table), len(horizon)), np.nan)
    return said | {name: _flat(mean, nothing, np.any(np.isfinite(mean), axis=1)) for name, mean in past.items()}


def _flat(mean: Float, std: Float, in_domain: NDArray[np.bool_]) -> Answer:
    return Answer(mean.ravel(), std.ravel(), np.repeat(in_domain, mean.shape[1]))


def _cases(table: Table, name: str, horizon: Horizon, said: Mapping[str, Answer]) -> Cases:
    count = len(horizon)
    identity = table.identity[np.repeat(np.arange(len(table)), count)]
    truth = np.stack([ahead(table.rows, int(h)) for h in horizon], axis=1).ravel()
    answered = np.fmax.reduce(next(iter(said.values())).mean.reshape(len(table), count), axis=1)  # any of its horizons
    further = (FURTHER,) if horizon.max() > KNOTS[-1] else ()
    unscored = table.unscored + further + unanswered(table, answered)
    return Cases(name, identity, "capacity_ah", np.tile(horizon, len(table)), truth, said, unscored)
