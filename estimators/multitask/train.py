"""Fit models of each target, and choose on cells left out which of them are asked together.

crossed = cross(lessons, {"rul_cycle": MEMBERS}, folds=5, seed=0)          # what they say of cells left out
model, names = ship(lessons, crossed, {"default": DEFAULT}, seed=0)["rul_cycle", "default"]
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.stats import t as student

from estimators.multitask import network
from estimators.multitask.model import ROOTED, TARGETS, Model, learnt
from estimators.multitask.network import Settings
from estimators.regression.fit import FITS, by_cell, measure
from estimators.regression.forms import Kernel, Layers
from estimators.regression.inputs import Inputs
from estimators.regression.regression import NINETY, Answer, Noise, Regression

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from estimators.contract import Bool, Float
    from estimators.multitask.features import Views
    from estimators.regression.forms import Form

ROWS = 1000  # that a plain member is fitted on, evenly of each cell
NETWORK_ROWS = 10_000  # that a network draws its steps from
FEW_CELLS = 10  # or more are taken for all there are when intervals are measured
HARDEST_HELD = 75  # percent of a cell's truths that intervals hold, whichever cell it is; of unseen cells less
MOST_HELD = 95  # percent of all truths, beyond which intervals are no longer widened for the sake of one cell
ALONE, TOGETHER = NETWORKS = ("network", "network together")


class Member(NamedTuple):
    """A kind of model and what it is shown."""

    view: str  # of `Views`
    kind: str  # of `FITS` or `NETWORKS`
    options: Mapping[str, Any]


SVR = {"penalty": 10.0, "width": 0.1}
BOOSTING = {"trees": 80, "leaves": 12, "rate": 0.1}
LAYERS = {"units": 24, "penalty": 0.3}
FOREST = {"trees": 40, "leaf": 6, "inputs": 0.5}
MEMBERS = {
    "ridge": Member("own", "ridge", {}),
    "svr": Member("own", "svr", SVR),
    "boosting": Member("own", "boosting", BOOSTING),
    "forest": Member("own", "forest", FOREST),
    "layers": Member("own", "layers", LAYERS),
    "network": Member("own", ALONE, {}),
    "svr age": Member("age", "svr", SVR),
    "layers age": Member("age", "layers", LAYERS),
    "ridge history": Member("history", "ridge", {}),
    "boosting history": Member("history", "boosting", BOOSTING),
    "layers history": Member("history", "layers", LAYERS),
    "network history": Member("history", ALONE, {}),
    "network together history": Member("history", TOGETHER, {"weighting": "pcgrad"}),
}
Mean = tuple[str, ...]  # members with equal say
_NETWORKS: Mean = ("network history", "network together history")
_ALIKE: Mean = ("svr age", "boosting history", "layers history", *_NETWORKS)
# few to choose from: the nearest of any three members was so by chance, and farther on other cells
DEFAULT: tuple[Mean, ...] = (
    _ALIKE,
    (*_ALIKE, "ridge history"),
    ("svr", "svr age", "ridge history"),
    _NETWORKS,
)
ONE_CHARGE: tuple[Mean, ...] = (("svr", "network"), ("network",))


@dataclass(frozen=True, slots=True)
class Crossed:
    """What members say of rows whose cell they did not see."""

    target: str
    truth: Float  # [row] as learnt; NaN: not known
    cell: NDArray[Any]  # [row]
    fold: NDArray[np.int64]  # [row] in which the cell was held out
    said: Mapping[str, Float]  # member -> [row]


class Lesson(NamedTuple):
    """Rows to learn one target from."""

    target: str  # of `TARGETS`
    views: Views
    value: Float  # [row] of the target; NaN: not known, learnt from by nobody
    cell: NDArray[Any]  # [row]
    protocol: NDArray[Any]  # [row] how the cell was used: each fold learns from all of them

    def pick(self, rows: NDArray[np.int64]) -> Lesson:
        """Keep some rows."""
        views = type(self.views)(*(v[rows] for v in self.views))
        return Lesson(self.target, views, self.value[rows], self.cell[rows], self.protocol[rows])


def cross(
    lessons: Sequence[Lesson], wanted: Mapping[str, Collection[str]], folds: int, seed: int
) -> dict[str, Crossed]:
    """Fit members without some of the cells, each cell being held out once, and let them speak of those.

    The lessons are of the same rows; `wanted` are the members' names by target. Raises ValueError where fewer than
    two cells teach anything.
    """
    views, cell, protocol = lessons[0].views, lessons[0].cell, lessons[0].protocol
    teaches = np.isfinite(views.history).all(axis=1) & np.isfinite(taught(lessons)).any(axis=1)
    fold = np.zeros(len(cell), int)
    said = {target: {name: np.full(len(cell), np.nan) for name in names} for target, names in wanted.items()}
    for n, (_, held_known) in enumerate(by_cell(cell[teaches], folds, seed, protocol[teaches])):
        held = np.isin(cell, np.unique(cell[teaches][held_known]))
        # a cell that teaches nothing is told by the first fold's models
        held |= (n == 0) & ~np.isin(cell, np.unique(cell[teaches]))
        fold[held] = n
        held_views = type(views)(*(v[held] for v in views))
        for target, fitted in fit_members(lessons, teaches & ~held, wanted, seed).items():
            for name, part in fitted.items():
                said[target][name][held] = Model({MEMBERS[name].view: part}, part.noise).each(held_views)[0]
    truth = {lesson.target: learnt(lesson.target, lesson.value) for lesson in lessons}
    return {target: Crossed(target, truth[target], cell, fold, by_name) for target, by_name in said.items()}


def fit_members(
    lessons: Sequence[Lesson], rows: Bool, wanted: Mapping[str, Collection[str]], seed: int
) -> dict[str, dict[str, Regression]]:
    """Fit the members wanted of each target on some of the rows; none where no row of them is known."""
    inputs = {view: Inputs.learn(x[rows]) for view, x in lessons[0].views._asdict().items()}
    fitted: dict[str, dict[str, Regression]] = {}
    for lesson in lessons:
        known = rows & np.isfinite(lesson.value)
        names = [name for name in wanted.get(lesson.target, ()) if MEMBERS[name].kind in FITS]
        fitted[lesson.target] = _plain(lesson, known, inputs, names, seed) if known.any() else {}
    for name, member in MEMBERS.items():
        targets = [target for target, names in wanted.items() if name in names]
        if member.kind in NETWORKS and targets:
            for target, part in _networks(lessons, rows, inputs, member, targets, seed).items():
                fitted[target][name] = part
    return fitted


def _plain(
    lesson: Lesson, rows: Bool, inputs: Mapping[str, Inputs], names: Sequence[str], seed: int
) -> dict[str, Regression]:
    chosen = thinned(lesson.cell, rows)
    truth = learnt(lesson.target, lesson.value)[chosen]
    fitted = {}
    for name in names:
        view, kind, options = MEMBERS[name]
        x = inputs[view].scale(getattr(lesson.views, view)[chosen])
        fitted[name] = Regression(inputs[view], (_light(FITS[kind](x, truth, seed, **options)),), Noise(1.0, 1.0))
    return fitted


def _networks(
    lessons: Sequence[Lesson],
    rows: Bool,
    inputs: Mapping[str, Inputs],
    member: Member,
    targets: Sequence[str],
    seed: int,
) -> dict[str, Regression]:
    """Train one network for each target, or one for all, whoever is wanted of it."""
    places = [TARGETS.index(lesson.target) for lesson in lessons]
    y = taught(lessons)
    settings = Settings(**member.options)
    places = [n for n in places if np.isfinite(y[rows, n]).any()]
    runs = [places] if member.kind == TOGETHER else [[n] for n in places if TARGETS[n] in targets]
    fitted = {}
    for run in runs:
        known = rows & np.isfinite(y[:, run]).any(axis=1)
        chosen = thinned(lessons[0].cell, known, NETWORK_ROWS)
        x = inputs[member.view].scale(getattr(lessons[0].views, member.view)[chosen])
        trained = network.train(x, y[chosen], tuple(run), settings, seed)
        for place, n in enumerate(run):
            fitted[TARGETS[n]] = Regression(inputs[member.view], (trained.form(place),), Noise(1.0, 1.0))
    return {target: part for target, part in fitted.items() if target in targets}


def taught(lessons: Sequence[Lesson]) -> Float:
    """Give what is learnt of each of `TARGETS` [row, target]; NaN: not known, or of no lesson."""
    y = np.full((len(lessons[0].value), len(TARGETS)), np.nan)
    for lesson in lessons:
        y[:, TARGETS.index(lesson.target)] = learnt(lesson.target, lesson.value)
    return y


def _light(form: Form) -> Form:
    """Keep what has many numbers in half the room; seven digits are more than the data has."""
    if not isinstance(form, Kernel | Layers):
        return form
    arrays = {f.name: getattr(form, f.name).astype(np.float32) for f in fields(form)}
    return replace(form, **arrays)


def thinned(cell: NDArray[Any], rows: Bool, most: int = ROWS) -> NDArray[np.int64]:
    """Take every n-th of some rows of each cell, so that about `most` are left in all."""
    step = max(1, -(-int(rows.sum()) // most))
    place = np.flatnonzero(rows)
    return np.concatenate([place[cell[place] == name][::step] for name in np.unique(cell[place])])


def choose(crossed: Crossed, means: Sequence[Mean], rows: Bool) -> Mean:
    """Find the mean of members that errs least on some rows."""
    if len(means) == 1:
        return means[0]
    known = rows & np.isfinite(crossed.truth)
    for name in {name for names in means for name in names}:
        known &= np.isfinite(crossed.said[name])
    truth, said = crossed.truth[known], {name: said[known] for name, said in crossed.said.items()}
    return min(means, key=lambda names: _loss(crossed.target, np.mean([said[n] for n in names], axis=0), truth))


def _loss(target: str, said: Float, truth: Float) -> float:
    if target == ROOTED:  # rows left are read as a mean absolute error
        return float(np.abs(np.maximum(said, 0.0) ** 2 - truth**2).mean())
    return float(((said - truth) ** 2).mean())


def noise(crossed: Crossed, names: Sequence[str], rows: Bool) -> Noise:
    """Measure how sure the mean of some members is, on some rows; few cells are taken for a sample by Student's t.

    The intervals of 90 % are widened until they hold three in four truths of the cell that is hardest to tell, as far
    as they do not hold more than 95 % of all: conformal by cell.
    """
    said = np.stack([crossed.said[name] for name in names])
    known = np.flatnonzero(rows & np.isfinite(crossed.truth) & np.isfinite(said).all(axis=0))
    known = thinned(crossed.cell, np.isin(np.arange(len(rows)), known), 4 * ROWS)
    error, disagreement = crossed.truth[known] - said[:, known].mean(axis=0), said[:, known].std(axis=0)
    found = measure(error, disagreement, crossed.cell[known])
    ratio = np.abs(error) / (NINETY * found.std(disagreement))
    names_of, cell = np.unique(crossed.cell[known], return_inverse=True)
    hardest = max(float(np.percentile(ratio[cell == n], HARDEST_HELD)) for n in range(len(names_of)))
    wider = float(np.clip(hardest, 1.0, max(1.0, np.percentile(ratio, MOST_HELD))))
    if 1 < len(names_of) < FEW_CELLS:
        wider = max(wider, float(student.ppf(0.95, len(names_of) - 1)) / NINETY)
    return Noise(wider * found.base, wider * found.share)


def answer(crossed: Crossed, means: Sequence[Mean]) -> Answer:
    """Say what the best of some means says of every row; which, and how sure it is, other folds' cells settle."""
    mean, std = np.full((2, len(crossed.truth)), np.nan)
    for n in np.unique(crossed.fold):
        here = crossed.fold == n
        names = choose(crossed, means, ~here)
        said = np.stack([crossed.said[name][here] for name in names])
        mean[here] = said.mean(axis=0)
        std[here] = noise(crossed, names, ~here).std(said.std(axis=0))
    return Answer(mean, std, np.isfinite(mean))


def ship(
    lessons: Sequence[Lesson], crossed: Mapping[str, Crossed], menus: Mapping[str, Sequence[Mean]], seed: int
) -> dict[tuple[str, str], tuple[Model, Mean]]:
    """Fit the best mean of each menu on every cell. Gives models and their members by target and menu."""
    every: Bool = np.all(np.isfinite(lessons[0].views.history), axis=1)
    chosen = {
        (target, menu): choose(one, means, every) for target, one in crossed.items() for menu, means in menus.items()
    }
    wanted = {target: {name for at, names in chosen.items() if at[0] == target for name in names} for target in crossed}
    fitted = fit_members(lessons, every, wanted, seed)
    return {
        (target, menu): (_joined(fitted[target], names, noise(crossed[target], names, every)), names)
        for (target, menu), names in chosen.items()
    }


def _joined(fitted: Mapping[str, Regression], names: Sequence[str], sure: Noise) -> Model:
    parts: dict[str, Regression] = {}
    for name in names:
        one, view = fitted[name], MEMBERS[name].view
        before = parts[view].members if view in parts else ()
        parts[view] = Regression(one.inputs, (*before, *one.members), one.noise)
    return Model(parts, sure)
