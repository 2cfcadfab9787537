"""Learn capacity, now and later, from rows with one charge, one rest and the capacity found after them.

Members are fitted on some cells and judged on the others; the mean of those members that is nearest on cells left
out is kept. Wants scikit-learn (the `train` extra).
"""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from estimators.imodel.estimate import KNOTS, Known, settle
from estimators.imodel.features import VARIANTS, Kind, Variant, inputs
from estimators.imodel.left import END_SHARE, root
from estimators.imodel.rows import ahead, until_end
from estimators.regression.fit import boosting, by_cell, forest, measure, ridge, svr
from estimators.regression.forms import Kernel
from estimators.regression.inputs import Inputs
from estimators.regression.regression import Noise, Regression

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from estimators.contract import Bool, Float
    from estimators.imodel.rows import Rows
    from estimators.regression.forms import Form


class Candidate(NamedTuple):
    """A method, and how many rows of each cell it learns from: rows of one cell say much the same."""

    fit: Callable[..., Form]
    rows_a_cell: int


class Menu(NamedTuple):
    """Methods, and which means of them may be chosen: few, since the nearest of many is so by chance."""

    candidates: Mapping[str, Candidate]
    means: tuple[tuple[str, ...], ...]
    earned: float  # a mean is larger by a member only where that takes so much of the error away


_COARSE, _FINE = partial(svr, penalty=3.0, width=0.1), partial(svr, penalty=10.0, width=0.02)
_FINEST = partial(svr, penalty=30.0, width=0.02)
NOW = Menu(
    {
        "soft svr 120": Candidate(partial(svr, penalty=3.0, width=0.02), 120),
        "fine svr 120": Candidate(_FINE, 120),
        "svr": Candidate(_COARSE, 40),
        "fine svr": Candidate(_FINE, 40),
        "finest svr": Candidate(_FINEST, 40),
        "boosting": Candidate(partial(boosting, trees=120, rate=0.1, leaves=8), 200),
        "extra trees": Candidate(partial(forest, trees=16, leaf=5, inputs=1.0), 40),
    },
    (("soft svr 120", "fine svr 120"), ("svr", "fine svr", "finest svr", "boosting", "extra trees")),
    earned=0.002,
)
NOW_BY_REST = Menu({n: NOW.candidates[n] for n in ("svr", "boosting")}, (("svr",), ("svr", "boosting")), 0.002)
LATER = Menu(
    {
        "svr": Candidate(_COARSE, 25),
        "finest svr": Candidate(_FINEST, 40),
        "boosting": Candidate(partial(boosting, trees=80, rate=0.1, leaves=8), 200),
    },
    (
        ("boosting",),
        ("finest svr",),
        ("svr", "boosting"),
        ("svr", "finest svr"),
        ("svr", "finest svr", "boosting"),
    ),
    earned=0.01,  # there are many models of later cycles, and their weights are carried about
)
LATER_BY_REST = Menu(
    {n: LATER.candidates[n] for n in ("svr", "boosting")}, (("svr",), ("boosting",), ("svr", "boosting")), 0.01
)
LEFT = Menu(
    {
        "fine svr": Candidate(_FINE, 40),
        "finest svr": Candidate(_FINEST, 40),
        "boosting": LATER.candidates["boosting"],
    },
    (("fine svr", "finest svr"), ("finest svr", "boosting")),
    earned=0.01,
)
FEW = Menu(
    {
        "ridge": Candidate(ridge, 200),
        "svr": Candidate(_COARSE, 25),
        "boosting": Candidate(partial(boosting, trees=40, rate=0.1, leaves=8), 200),
    },
    (("ridge",), ("svr",), ("boosting",), ("ridge", "boosting")),
    earned=0.01,
)
PLAIN = {"ridge": Candidate(ridge, 200), "boosting": Candidate(boosting, 200)}
INNER_FOLDS = 4
FEWEST_CELLS = 4  # of fewer, smaller models are learnt
USE_WEIGHS = 4.0  # rows of other temperatures and rates are so many times farther away than by their bare numbers
CAUTION_NOW = 1.15  # cells differ: an interval that holds nine of ten rows of all holds fewer of the oddest
CAUTION_LATER = 1.05
CAUTION_LEFT = 1.2
PRIOR_CELLS = 3.0  # a condition's deviation counts as if it had so many more cells like all others


def learn(
    kind: Kind,
    rows: Rows,
    variants: Sequence[Variant] = VARIANTS,
    horizons: Sequence[int] = KNOTS,
    seed: int = 0,
    told: Callable[[Found], None] | None = None,
) -> Known:
    """Learn one kind of cell. Raises ValueError for fewer than two cells."""
    use = rows.events.use[:, : kind.conditions]
    conditions = np.unique(use[np.isfinite(use).all(axis=1)], axis=0)
    _, condition = settle(use, conditions)
    models: dict[tuple[Variant, int], Regression] = {}
    spread: dict[str, Float] = {}
    for variant in variants:
        x = inputs(rows.events, kind, variant)
        for horizon in (0, *horizons):
            y = ahead(rows, horizon) / kind.nominal_capacity_ah
            usable = np.isfinite(x).all(axis=1) & np.isfinite(y)
            if horizon and len(np.unique(rows.cell[usable])) < 2:
                continue  # no two cells live so long
            group = condition[usable]
            enough = len(np.unique(rows.cell[usable])) >= FEWEST_CELLS
            menu = _menu(variant, horizon) if enough else FEW
            found = choose(x[usable], y[usable], rows.cell[usable], group, menu, seed, kind.conditions)
            models[variant, horizon] = found.model
            factor = by_condition(found.surprise, rows.cell[usable], group, len(conditions))
            spread[f"{variant}/{horizon}"] = factor * (CAUTION_LATER if horizon else CAUTION_NOW)
            if told:
                cells = len(np.unique(rows.cell[usable]))
                told(Found(kind.name, variant, horizon, found.chosen, found.rmse, cells, int(usable.sum())))
    return Known(
        kind,
        conditions,
        {v: models[v, 0] for v in variants},
        {v: {h: models[v, h] for h in horizons if (v, h) in models} for v in variants},
        spread,
    )


def learn_left(
    known: Known,
    rows: Rows,
    variants: Sequence[Variant] = VARIANTS,
    seed: int = 0,
    told: Callable[[Found], None] | None = None,
) -> Known:
    """Add models of the cycles left, from cells that were seen to reach their end; nothing where these are too few."""
    kind = known.kind
    _, condition = settle(rows.events.use[:, : kind.conditions], known.conditions)
    cycles = until_end(rows, END_SHARE * kind.nominal_capacity_ah)
    models: dict[Variant, Regression] = {}
    spread = dict(known.spread)
    for variant in variants:
        x = inputs(rows.events, kind, variant)
        usable = np.isfinite(x).all(axis=1) & np.isfinite(cycles)
        cell, group = rows.cell[usable], condition[usable]
        cells = len(np.unique(cell))
        if cells < FEWEST_CELLS:
            return known
        menu = LATER_BY_REST if variant == "rest" else LEFT
        found = choose(x[usable], root(cycles[usable]), cell, group, menu, seed, kind.conditions)
        models[variant] = found.model
        spread[f"{variant}/left"] = by_condition(found.surprise, cell, group, len(known.conditions)) * CAUTION_LEFT
        if told:
            told(Found(kind.name, variant, None, found.chosen, found.rmse, cells, int(usable.sum())))
    return replace(known, spread=spread, left=models)


def _menu(variant: Variant, horizon: int) -> Menu:
    if variant == "rest":
        return LATER_BY_REST if horizon else NOW_BY_REST
    return LATER if horizon else NOW


class Found(NamedTuple):
    """One model that was learnt."""

    kind: str
    variant: Variant
    horizon: int | None  # cycles ahead; None: it says how many are left
    members: tuple[str, ...]
    rmse: float  # on cells left out, a share of the nominal capacity; of cycles left, in their root
    cells: int
    rows: int

    def __str__(self) -> str:
        about, off = "cycles left", f"{self.rmse:.2f} roots of a cycle"
        if self.horizon is not None:
            about, off = f"{self.horizon} cycles ahead", f"{100 * self.rmse:.2f} points"
        return f"{self.kind} from {self.variant}, {about}: {' + '.join(self.members)}, {off} off on cells left out"


class Choice(NamedTuple):
    """The mean of those candidates that is nearest on cells left out."""

    model: Regression
    chosen: tuple[str, ...]
    rmse: float  # on cells left out
    surprise: Float  # [row] errors there, in stated deviations


def choose(
    x: Float,
    y: Float,
    cell: NDArray[np.str_],
    group: NDArray[np.int64],
    menu: Menu,
    seed: int = 0,
    conditions: int = 0,
) -> Choice:
    """Fit each candidate on some cells and ask it of the others; keep the best mean, and its deviation there.

    The first `conditions` inputs tell how cells are used.
    """
    candidates = menu.candidates
    said = {name: np.empty(len(y)) for name in candidates}
    for train, held in by_cell(cell, INNER_FOLDS, seed, group):
        scale, members = _members(x[train], y[train], cell[train], candidates, seed, conditions)
        for name, member in members.items():
            said[name][held] = member.predict(scale.scale(x[held]))

    def cost(names: tuple[str, ...]) -> float:
        error = np.mean([said[n] for n in names], axis=0) - y
        return _cell_rms(error, cell) * (1.0 + menu.earned * len(names))

    chosen = min(menu.means, key=cost)
    each = np.stack([said[name] for name in chosen])
    error, disagreement = y - each.mean(axis=0), each.std(axis=0)
    noise = measure(error, disagreement, cell)
    scale, members = _members(x, y, cell, {name: candidates[name] for name in chosen}, seed, conditions)
    model = Regression(scale, tuple(slim(m) for m in members.values()), noise)
    return Choice(model, chosen, _rms(error), error / noise.std(disagreement))


def by_condition(surprise: Float, cell: NDArray[np.str_], group: NDArray[np.int64], groups: int) -> Float:
    """Say by which factor [group] deviations are to be taken wider, every cell of a condition counting the same."""
    _, first, index = np.unique(cell, return_index=True, return_inverse=True)
    squared = np.bincount(index, surprise**2) / np.bincount(index)
    usual = squared.mean()
    total = np.bincount(group[first], squared, groups) + PRIOR_CELLS * usual
    count = np.bincount(group[first], minlength=groups) + PRIOR_CELLS
    return np.asarray(np.sqrt(total / count / usual))


def plain(kind: Kind, rows: Rows, variant: Variant, seed: int = 0, horizons: Sequence[int] = ()) -> dict[str, Known]:
    """Learn capacity by one method each, nothing chosen and no deviation known: what stands beside a default."""
    x = inputs(rows.events, kind, variant)
    seen = np.isfinite(x).all(axis=1)
    use = np.unique(rows.events.use[seen & np.isfinite(rows.capacity_ah), : kind.conditions], axis=0)
    fitted: dict[str, dict[int, Regression]] = {name: {} for name in PLAIN}
    for horizon in (0, *horizons):
        y = ahead(rows, horizon) / kind.nominal_capacity_ah
        usable = seen & np.isfinite(y)
        if not usable.any():
            continue
        scale, members = _members(x[usable], y[usable], rows.cell[usable], PLAIN, seed)
        for name, member in members.items():
            fitted[name][horizon] = Regression(scale, (member,), Noise(np.nan, np.nan))
    return {n: Known(kind, use, {variant: models.pop(0)}, {variant: models}) for n, models in fitted.items()}


def thin(cell: NDArray[np.str_], most: int) -> Bool:
    """Pick at most so many rows [row] of each cell, evenly over its life."""
    kept = np.zeros(len(cell), bool)
    for name in np.unique(cell):
        rows = np.flatnonzero(cell == name)
        kept[rows[np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int))]] = True
    return kept


def slim(form: Form) -> Form:
    """Keep a form's numbers in fewer bits, the many points of a kernel in half precision: a third of the file."""
    arrays = {f.name: getattr(form, f.name) for f in fields(form)}
    kept = {n: a.astype(np.float32 if a.dtype.kind == "f" else _narrow(a)) for n, a in arrays.items()}
    return replace(form, **kept | ({"points": form.points.astype(np.float16)} if isinstance(form, Kernel) else {}))


def _narrow(whole: NDArray[np.integer]) -> type[np.signedinteger]:
    """Give the smallest type that holds these numbers and -1."""
    return next(t for t in (np.int8, np.int16, np.int32, np.int64) if whole.max(initial=0) <= np.iinfo(t).max)


def _members(
    x: Float, y: Float, cell: NDArray[np.str_], candidates: Mapping[str, Candidate], seed: int, conditions: int = 0
) -> tuple[Inputs, dict[str, Form]]:
    scale = Inputs.learn(x)
    scale = replace(scale, spread=scale.spread / np.where(np.arange(x.shape[1]) < conditions, USE_WEIGHS, 1.0))
    shown = scale.scale(x)
    members = {}
    for name, candidate in candidates.items():
        few = thin(cell, candidate.rows_a_cell)
        members[name] = candidate.fit(shown[few], y[few], seed)
    return scale, members


def _cell_rms(error: Float, cell: NDArray[np.str_]) -> float:
    """Give the error with every cell counting the same: a short life in a hard condition is a life too."""
    _, index = np.unique(cell, return_inverse=True)
    return float(np.sqrt((np.bincount(index, error**2) / np.bincount(index)).mean()))


def _rms(error: Float) -> float:
    return float(np.sqrt(np.mean(error**2)))
