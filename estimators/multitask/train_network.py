"""Other ways to learn the targets together, none shipped: weights, a tie, a reversal, dropout, a straight fade.

The networks are of one size with those that may be shipped, and each cell is held out once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from estimators.multitask.labels import END_OF_LIFE_SOH
from estimators.multitask.model import TARGETS, told
from estimators.multitask.network import FADE, LEAST_FADE, RUL, SOH, Settings, train
from estimators.multitask.train import NETWORK_ROWS, Crossed, answer, taught, thinned
from estimators.regression.fit import by_cell
from estimators.regression.inputs import Inputs
from estimators.regression.regression import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from estimators.multitask.train import Lesson

SETTINGS = Settings()
WAYS = {
    "network, weighed": SETTINGS,
    "network, tied": replace(SETTINGS, tied=True),
    "network, reversal": replace(SETTINGS, weighting="reversal"),
}
DROPOUT, CROSSING = "network, dropout's deviation", "network, crossing"


def compare(lessons: Sequence[Lesson], folds: int, seed: int) -> dict[str, dict[str, Answer]]:
    """Give each target's answers by method, of lessons on the same rows in the order of `TARGETS`."""
    y = taught(lessons)
    places = tuple(TARGETS.index(lesson.target) for lesson in lessons)
    truth = y[:, places]
    x, cell = lessons[0].views.history, lessons[0].cell
    usable, fold = np.isfinite(x).all(axis=1), np.zeros(len(cell), int)
    said = {way: np.full(truth.shape, np.nan) for way in WAYS}
    mean, std = np.full((2, *truth.shape), np.nan)
    for n, (learns, held) in enumerate(by_cell(cell, folds, seed, lessons[0].protocol)):
        fold[held] = n
        rows = thinned(cell, learns & usable & np.isfinite(truth).any(axis=1), NETWORK_ROWS)
        asked = np.flatnonzero(held & usable)
        inputs = Inputs.learn(x[rows])
        shown, other = inputs.scale(x[rows]), inputs.scale(x[asked])
        trained = {way: train(shown, y[rows], places, settings, seed) for way, settings in WAYS.items()}
        for way, network in trained.items():
            said[way][asked] = network.each(other).mean(axis=0)
        dropped = next(iter(trained.values())).dropped(other)
        mean[asked], std[asked] = dropped.mean(axis=0), dropped.std(axis=0)
    answers = {}
    for n, lesson in enumerate(lessons):
        crossed = Crossed(lesson.target, truth[:, n], cell, fold, {way: column[:, n] for way, column in said.items()})
        by_way = {way: answer(crossed, ((way,),)) for way in WAYS}
        by_way[DROPOUT] = Answer(mean[:, n], std[:, n], np.isfinite(mean[:, n]))
        answers[lesson.target] = {way: told(lesson.target, a) for way, a in by_way.items()}
    if places == (SOH, RUL, FADE):
        answers[TARGETS[RUL]][CROSSING] = crossing(*(answers[TARGETS[n]][DROPOUT] for n in (SOH, FADE)))
    return answers


def crossing(soh: Answer, fade: Answer) -> Answer:
    """Give the rows after which a straight fade has brought SOH to 80 %, in place of rows left that are learnt."""
    slope = np.maximum(fade.mean, LEAST_FADE)
    left = 1e4 * np.maximum(soh.mean - END_OF_LIFE_SOH, 0.0) / slope
    return Answer(left, np.hypot(1e4 * soh.std, left * fade.std) / slope, soh.in_domain & fade.in_domain)
