"""Fit a configuration's models by whole cells: ours, a Gaussian process whose slopes vary with U1, and plain ones.

How strong the noise is and how much the bumps may say is chosen by leaving out each cell in turn, which costs no
training: the residuals of a left-out block follow from the inverse of the kernel matrix. A row-wise likelihood
would not do, since all rows of a cell carry one label: it takes each cell for a place of its own.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from estimators.regression.fit import forest, measure, ridge, svr
from estimators.regression.forms import Varying, varying_kernels
from estimators.regression.inputs import Inputs
from estimators.regression.regression import Regression

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from estimators.contract import Float
    from estimators.regression.forms import Form

LENGTH = 1.5  # deviations of U1 (or of the SOC, where it is known) over which slopes change
BUMPS = (0.03, 0.3)  # variance of the bumps against that of the line
NOISES = (0.001, 0.005, 0.02)
BEST = 3  # so many of their combinations are averaged
OFFSET = 10.0  # variance of the constant
OURS = "varying"


class Fitted(NamedTuple):
    """A form, and what it says of its own training rows when their cell is left out."""

    form: Varying
    left_out: Float  # [row]


def fit_varying(x: Float, y: Float, cell: NDArray[Any], length: float = LENGTH) -> Fitted:
    """Fit on scaled x [row, input], of which the first sets the slopes; y [row]; cell [row] names the physical cell."""
    points = x.astype(np.float16)
    x = points.astype(float)  # what will be kept of it
    slopes, bumps = varying_kernels(x, x, length, 1)
    mean, spread = y.mean(), max(float(y.std()), 1e-9)
    target = (y - mean) / spread
    blocks = [np.flatnonzero(cell == c) for c in np.unique(cell)]
    tried = []
    for bump in BUMPS:
        for noise in NOISES:
            inverse: Float = np.asarray(np.linalg.inv(slopes + bump * bumps + noise * np.eye(len(y)) + OFFSET), float)
            share = inverse @ target
            said = mean + spread * _left_out(inverse, share, target, blocks)
            tried.append((float(np.mean(np.abs(said - y) / y)), bump, share, said))
    best = sorted(tried, key=lambda t: t[0])[:BEST]
    line = spread * np.mean([share for _, _, share, _ in best], axis=0)
    form = Varying(
        points=points,
        line=line.astype(np.float32),
        bump=(spread * np.mean([bump * share for _, bump, share, _ in best], axis=0)).astype(np.float32),
        length=np.array([length]),
        leading=np.array([1.0]),
        bias=np.array([mean + OFFSET * line.sum()]),
    )
    return Fitted(form, np.mean([said for *_, said in best], axis=0))


def _left_out(inverse: Float, share: Float, target: Float, blocks: list[NDArray[np.intp]]) -> Float:
    """Say what each block would be told if it had not been seen [row]."""
    said = np.empty(len(target))
    for rows in blocks:
        said[rows] = target[rows] - np.linalg.solve(inverse[np.ix_(rows, rows)], share[rows])
    return said


def fit(x: Float, y: Float, cell: NDArray[Any], length: float = LENGTH) -> Regression:
    """Fit ours, with the deviation that its errors on left-out cells show."""
    scale = Inputs.learn(x)
    form, left_out = fit_varying(scale.scale(x), y, cell, length)
    return Regression(scale, (form,), measure(y - left_out, np.zeros(len(y)), cell))


def fit_plain(
    kind: Callable[..., Form], x: Float, y: Float, cell: NDArray[Any], folds: int = 5, seed: int = 0
) -> Regression:
    """Fit one plain form, its deviation from folds by cell."""
    from estimators.regression.fit import by_cell

    left_out = np.empty(len(y))
    for train, held in by_cell(cell, folds, seed):
        scale = Inputs.learn(x[train])
        left_out[held] = kind(scale.scale(x[train]), y[train], seed).predict(scale.scale(x[held]))
    scale = Inputs.learn(x)
    return Regression(scale, (kind(scale.scale(x), y, seed),), measure(y - left_out, np.zeros(len(y)), cell))


def constant(x: Float, y: Float, seed: int = 0) -> Form:
    """Say the mean of the training rows, whatever is seen."""
    from estimators.regression.forms import Linear

    del seed
    return Linear(np.zeros(x.shape[1]), np.array([y.mean()]))


PLAIN: dict[str, Callable[..., Form]] = {
    "mean": constant,
    "ridge": ridge,
    "svr": svr,
    "trees": partial(forest, trees=100, leaf=2),
}


def fit_all(x: Float, y: Float, cell: NDArray[Any], seed: int = 0) -> dict[str, Regression]:
    """Fit ours and everything plain: ridge, support vectors, extra-trees, a Gaussian process over a line."""
    models = {OURS: fit(x, y, cell)}
    for name, kind in PLAIN.items():
        models[name] = fit_plain(kind, x, y, cell, folds=3, seed=seed)
    models["gaussian process + line"] = fit(x, y, cell, length=np.inf)
    return models


VAES = ("vae as published", "vae kept open")
GRID = 200  # labels drawn evenly over the range that is expected, whatever the cells to be tested are like


def forest_on_drawn(
    kind: str, known: Float, level: Float, soh: Float, asked_volt: Float, asked: Float, beyond: bool
) -> tuple[Float, Float]:
    """Learn the paper's way: a conditional VAE makes voltages for a level, 20 trees of depth 64 learn from those.

    known [cell, level, point] at level [level] (percent) with soh [cell]; says SOH and deviation [row, asked level]
    of voltages asked_volt [row, asked level, point]. Beyond the known levels the paper's code draws at its second
    level and adds the mean step of the voltage.
    """
    from sklearn.ensemble import RandomForestRegressor

    from estimators.pulse.network import KEPT_OPEN, PUBLISHED, generate
    from estimators.pulse.network import train as train_network

    settings = PUBLISHED if kind == "vae as published" else KEPT_OPEN
    cells, levels, points = known.shape
    percent = np.tile(level, cells)
    learnt = train_network(known.reshape(-1, points), percent / 100, np.repeat(soh, levels), settings)
    step = (known[:, -1] - known[:, 0]).mean() / (level[-1] - level[0])
    labels = np.linspace(soh.min() - 0.02, soh.max() + 0.02, GRID)
    mean, std = np.empty(asked_volt.shape[:2]), np.empty(asked_volt.shape[:2])
    for j, wanted in enumerate(asked):
        drawn_at = level[1] if beyond else wanted
        shift = (wanted - drawn_at) * step
        made, other = (generate(learnt, np.full(GRID, drawn_at / 100), labels, seed) + shift for seed in (0, 1))
        model = RandomForestRegressor(20, max_depth=64, bootstrap=False, random_state=0).fit(made, labels)
        mean[:, j] = model.predict(asked_volt[:, j])
        std[:, j] = np.sqrt(np.mean((model.predict(other) - labels) ** 2))
    return mean, std
