"""Fit the forms with scikit-learn (the `train` extra), by whole cells.

model = fit(x, y, cell, ["svr", "boosting"])          # members, and their deviation from folds by cell
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize

from estimators.regression.forms import LEAF, Form, Kernel, Layers, Linear, Trees
from estimators.regression.inputs import Inputs
from estimators.regression.regression import NINETY, Noise, Regression

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from estimators.contract import Bool, Float

LEAST_STD = 1e-4


def ridge(x: Float, y: Float, seed: int = 0) -> Form:
    """Linear, its penalty by generalised cross-validation."""
    from sklearn.linear_model import RidgeCV

    del seed
    model = RidgeCV(np.logspace(-4, 3, 15)).fit(x, y)
    return Linear(model.coef_, np.array([model.intercept_]))


def svr(x: Float, y: Float, seed: int = 0, penalty: float = 10.0, width: float = 0.05) -> Form:
    """Support vectors on standardised y; `width` of the tube in deviations of y."""
    from sklearn.svm import SVR

    del seed
    gamma = 1.0 / x.shape[1]
    mean, spread = y.mean(), max(y.std(), 1e-12)
    model = SVR(C=penalty, epsilon=width, gamma=gamma).fit(x, (y - mean) / spread)
    length = np.full(x.shape[1], np.sqrt(0.5 / gamma))
    share = model.dual_coef_[0] * spread
    return Kernel(
        model.support_vectors_ / length, length, share, np.zeros(x.shape[1]), model.intercept_ * spread + mean
    )


def gaussian_process(x: Float, y: Float, seed: int = 0, rows: int = 600) -> Form:
    """A Gaussian process with a length for each input over a ridge, on at most `rows` rows drawn by `seed`."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    line = ridge(x, y)
    assert isinstance(line, Linear)
    drawn = np.random.default_rng(seed).permutation(len(x))[:rows]
    rest = (y - line.predict(x))[drawn]
    spread = max(rest.std(), 1e-12)
    start = ConstantKernel(1.0, (1e-3, 1e3)) * RBF(np.full(x.shape[1], 3.0), (0.3, 1e3)) + WhiteKernel(0.1, (1e-5, 10))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a length at its bound says that the input does not matter
        model = GaussianProcessRegressor(start, alpha=1e-8, random_state=seed).fit(x[drawn], rest / spread)
    kernel: Any = model.kernel_
    length = np.broadcast_to(kernel.k1.k2.length_scale, x.shape[1]).astype(float)
    share = model.alpha_ * kernel.k1.k1.constant_value * spread
    return Kernel(x[drawn] / length, length, share, line.weight, line.bias)


def boosting(x: Float, y: Float, seed: int = 0, trees: int = 300, rate: float = 0.05, leaves: int = 15) -> Form:
    """Gradient boosting over histograms."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    model: Any = HistGradientBoostingRegressor(
        max_iter=trees, learning_rate=rate, max_leaf_nodes=leaves, min_samples_leaf=10, random_state=seed
    ).fit(x, y)
    found = [p[0].nodes for p in model._predictors]  # noqa: SLF001 (the only way to its trees)
    columns = [
        (
            np.where(n["is_leaf"], LEAF, n["feature_idx"]),
            n["num_threshold"],
            n["left"],
            n["right"],
            n["value"],
        )
        for n in found
    ]
    return _trees(columns, float(np.ravel(model._baseline_prediction)[0]))  # noqa: SLF001


def forest(
    x: Float, y: Float, seed: int = 0, trees: int = 200, leaf: int = 3, inputs: float = 0.33, extra: bool = True
) -> Form:
    """Extremely randomised trees, or a random forest; `leaf` rows at least in a leaf, `inputs` tried in a split."""
    from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

    kind = ExtraTreesRegressor if extra else RandomForestRegressor
    model = kind(trees, min_samples_leaf=leaf, max_features=inputs, bootstrap=not extra, random_state=seed).fit(x, y)
    columns = []
    for one in model.estimators_:
        tree: Any = one.tree_
        leaves = tree.children_left == LEAF
        columns.append(
            (
                np.where(leaves, LEAF, tree.feature),
                tree.threshold,
                tree.children_left,
                tree.children_right,
                tree.value[:, 0, 0] / trees,
            )
        )
    return _trees(columns, 0.0)


def layers(x: Float, y: Float, seed: int = 0, units: int = 32, penalty: float = 1e-2) -> Form:
    """Two hidden layers on standardised y."""
    from sklearn.neural_network import MLPRegressor

    mean, spread = y.mean(), max(y.std(), 1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may stop at its last iteration
        model = MLPRegressor(hidden_layer_sizes=(units, units), alpha=penalty, max_iter=300, random_state=seed).fit(
            x, (y - mean) / spread
        )
    (w1, w2, w3), (b1, b2, b3) = model.coefs_, model.intercepts_
    return Layers(w1, b1, w2, b2, w3 * spread, b3 * spread + mean)


FITS: dict[str, Callable[..., Form]] = {
    "ridge": ridge,
    "svr": svr,
    "gaussian_process": gaussian_process,
    "boosting": boosting,
    "forest": forest,
    "layers": layers,
}


def fit(x: Float, y: Float, cell: NDArray[Any], kinds: Sequence[str], seed: int = 0, folds: int = 5) -> Regression:
    """Fit one member of each kind, and the deviation of their mean on cells left out.

    x [row, input], y [row], cell [row] names the physical cell. Raises ValueError for fewer than two cells.
    """
    said = np.empty((len(kinds), len(y)))
    for train, held in by_cell(cell, folds, seed):
        said[:, held] = _members(x[train], y[train], kinds, seed).each(x[held])
    noise = measure(y - said.mean(axis=0), said.std(axis=0), cell)
    whole = _members(x, y, kinds, seed)
    return Regression(whole.inputs, whole.members, noise)


def by_cell(
    cell: NDArray[Any], folds: int, seed: int = 0, group: NDArray[Any] | None = None
) -> Iterator[tuple[Bool, Bool]]:
    """Part rows into (train, held) masks so that every cell is held once, whole. Raises ValueError for one cell.

    Cells of one `group` [row] are dealt out over the folds, so that each fold learns from every group that can spare
    one; a cell's group is that of its first row.
    """
    names, first = np.unique(cell, return_index=True)
    if len(names) < 2:
        raise ValueError("one cell alone cannot be both learnt from and held out")
    dealt = np.random.default_rng(seed).permutation(len(names))
    if group is None:
        parts = np.array_split(names[dealt], min(folds, len(names)))
    else:
        dealt = dealt[np.argsort(group[first][dealt], kind="stable")]
        count = min(folds, len(names))
        parts = [names[dealt[i::count]] for i in range(count)]
    for part in parts:
        held = np.isin(cell, part)
        yield ~held, held


def measure(error: Float, disagreement: Float, cell: NDArray[Any]) -> Noise:
    """Find the deviation that explains the errors [row] of cells left out, every cell counting the same."""
    _, index, count = np.unique(cell, return_inverse=True, return_counts=True)
    weight = 1.0 / count[index]
    weight /= weight.sum()

    def surprise(log: Float) -> float:
        variance = np.exp(2 * log[0]) + np.exp(2 * log[1]) * disagreement**2
        return float((weight * (np.log(variance) + error**2 / variance)).sum())

    size = max(float(np.sqrt((weight * error**2).sum())), LEAST_STD)
    base, share = np.exp(minimize(surprise, np.log([size, 0.3]), method="Nelder-Mead").x)
    ratio = np.abs(error) / np.hypot(base, share * disagreement)
    order = np.argsort(ratio)
    ninety = ratio[order][np.searchsorted(np.cumsum(weight[order]), 0.9).clip(max=len(order) - 1)]
    scale = ninety / NINETY
    return Noise(max(float(base * scale), LEAST_STD), float(share * scale))


def _members(x: Float, y: Float, kinds: Sequence[str], seed: int) -> Regression:
    inputs = Inputs.learn(x)
    scaled = inputs.scale(x)
    return Regression(inputs, tuple(FITS[kind](scaled, y, seed) for kind in kinds), Noise(1.0, 1.0))


def _trees(columns: list[tuple[Any, ...]], bias: float) -> Trees:
    """Join trees of (feature, threshold, left, right, value), each counting its nodes from 0."""
    first = np.cumsum([0, *(len(c[0]) for c in columns[:-1])])
    feature, threshold, left, right, value = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    shift = np.repeat(first, [len(c[0]) for c in columns])
    return Trees(
        first.astype(np.int32),
        feature.astype(np.int32),
        threshold.astype(np.float32),
        (left.astype(np.int64) + shift).astype(np.int32),
        (right.astype(np.int64) + shift).astype(np.int32),
        value.astype(np.float32),
        np.array([bias]),
    )
