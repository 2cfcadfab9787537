"""A bounded search for the settings of the network that learns all targets, on cells left out whole.

What is compared is the root mean square of the errors of every target, each in deviations of that target.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from estimators.multitask.model import TARGETS
from estimators.multitask.network import train
from estimators.multitask.train import NETWORK_ROWS, taught, thinned
from estimators.regression.fit import by_cell
from estimators.regression.inputs import Inputs
from estimators.search import best_of, report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import optuna

    from estimators.contract import Bool, Float
    from estimators.multitask.network import Settings
    from estimators.multitask.train import Lesson

RATES = {  # ends of a log-uniform draw
    "rate": (1e-3, 2e-2),
    "decay": (1e-4, 0.3),
}
CHOICES = {
    "units": (16, 32, 48, 96),
    "steps": (250, 500, 1000),
    "dropout": (0.0, 0.02, 0.05, 0.1),
    "weighting": ("log_variance", "pcgrad", "reversal", "equal"),
}


def search(
    lessons: Sequence[Lesson], settings: Settings, *, trials: int, folds: int, seed: int, say: Callable[[str], None]
) -> Settings:
    """Find the settings that err least on these lessons' cells, each left out once. Raises ModuleNotFoundError."""

    def objective(trial: optuna.Trial) -> float:
        squared: list[float] = []
        for fold, error in enumerate(left_out(lessons, _drawn(trial, settings), folds, seed)):
            squared.append(error**2)
            report(trial, float(np.sqrt(np.mean(squared))), fold)
        return float(np.sqrt(np.mean(squared)))

    best, _ = best_of(objective, trials, seed, say, "deviations")
    return replace(settings, **best)


def _drawn(trial: optuna.Trial, settings: Settings) -> Settings:
    """Let a trial draw its settings."""
    chosen: dict[str, Any] = {name: trial.suggest_float(name, *ends, log=True) for name, ends in RATES.items()}
    chosen |= {name: trial.suggest_categorical(name, some) for name, some in CHOICES.items()}
    return replace(settings, **chosen)


def left_out(lessons: Sequence[Lesson], settings: Settings, folds: int, seed: int) -> Iterator[float]:
    """Give a network's error on each fold's cells, learnt from all others."""
    first = lessons[0]
    for learns, held in by_cell(first.cell, folds, seed, first.protocol):
        yield asked(lessons, learns, held, settings, seed)


def asked(lessons: Sequence[Lesson], learns: Bool, held: Bool, settings: Settings, seed: int) -> float:
    """Learn from some rows [row] and give the error on others, every known target counting the same."""
    x, cell = lessons[0].views.history, lessons[0].cell
    y = taught(lessons)
    places = tuple(TARGETS.index(lesson.target) for lesson in lessons)
    usable: Bool = np.all(np.isfinite(x), axis=1) & np.any(np.isfinite(y), axis=1)
    rows = thinned(cell, learns & usable, NETWORK_ROWS)
    inputs = Inputs.learn(x[rows])
    network = train(inputs.scale(x[rows]), y[rows], places, settings, seed)
    said = network.each(inputs.scale(x[held & usable])).mean(axis=0)
    off: Float = (said - y[held & usable][:, places]) / np.nanstd(y[rows][:, places], axis=0)
    return float(np.sqrt(np.nanmean(off**2)))
