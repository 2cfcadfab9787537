"""Levels of SOC that nobody measured: voltages made for them, models learnt from those, scored on other cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
import polars

from daemon.tables.cases import Cases
from estimators.pulse.features import SHORT, inputs
from estimators.pulse.generate import (
    BEYOND,
    Model,
    Trust,
    continued,
    forgiving,
    forgiving_nearby,
    middling,
    monotone,
    plain,
    straight,
)
from estimators.pulse.train import LENGTH, VAES, fit, forest_on_drawn
from estimators.regression.fit import by_cell
from estimators.regression.regression import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from daemon.tables.cases import Float, Options
    from daemon.tables.pulse_tests import PulseTests
    from estimators.pulse.features import Soc
    from estimators.pulse.generate import Generator

OURS = "ours"
WIDTH_MS = 5000
LEVELS = np.arange(5.0, 51.0, 5.0)


@dataclass(frozen=True, slots=True)
class Task:
    """Which levels are known of the training cells, and which are asked of the others."""

    name: str
    known: NDArray[np.intp]  # places in LEVELS
    asked: NDArray[np.intp]
    beyond: bool


TASKS = (
    Task("levels 30-50 from 5-25", np.arange(5), np.arange(5, 10), beyond=True),
    Task("levels between", np.arange(0, 10, 2), np.arange(1, 9, 2), beyond=False),
)


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells of a table that were tested at every level."""

    volt: Float  # [cell, level, point]
    soh: Float  # [cell]
    cell: NDArray[np.str_]  # [cell] the physical one; several records may be of one


def grid(tests: PulseTests) -> Grid:
    """Lay a table out by cell and level."""
    frame = tests.identity.with_columns(
        soh=polars.Series(tests.soh), row=polars.int_range(len(tests)), level=polars.Series(tests.soc_percent)
    ).filter(polars.col("soh").is_finite() & polars.col("level").is_in(LEVELS.tolist()))
    record = [c for c in ("cell", "aging_cycles", "soh") if c in frame.columns]
    rows = [
        part.sort("level")["row"].to_numpy()
        for part in frame.partition_by(record, maintain_order=True)
        if len(part) == len(LEVELS)
    ]
    at = np.array(rows, dtype=int).reshape(-1, len(LEVELS))
    return Grid(tests.voltage_volt[at][..., :SHORT], tests.soh[at[:, 0]], tests.cell[at[:, 0]])


def generation(tests: PulseTests, options: Options) -> list[Cases]:
    """Score every way to make up for levels never measured, on cells that were not learnt from."""
    if tests.configuration.width_ms != WIDTH_MS:
        return []
    whole = grid(tests)
    if len(np.unique(whole.cell)) < 2:
        return []
    return [_task(tests.name, whole, task, options) for task in TASKS]


def _task(name: str, whole: Grid, task: Task, options: Options) -> Cases:
    soc = cast("Soc", options.soc)
    methods = _methods(task, soc)
    if options.alone:
        methods = {OURS: methods[OURS]}
    parts: dict[str, list[Answer]] = {m: [] for m in methods}
    identity, truth = [], []
    for seed in range(options.seeds):
        for shown, hidden in by_cell(whole.cell, options.folds, seed):
            learnt = Grid(whole.volt[shown], whole.soh[shown], whole.cell[shown])
            asked = whole.volt[hidden][:, task.asked]
            for method, make in methods.items():
                parts[method].append(make(learnt, asked, seed))
            identity.append(
                polars.DataFrame(
                    {
                        "file": name,
                        "cell": np.repeat(whole.cell[hidden], len(task.asked)),
                        "nominal_soc_percent": np.tile(LEVELS[task.asked], int(hidden.sum())),
                        "levels": task.name,
                        "draw": seed,
                    }
                )
            )
            truth.append(np.repeat(whole.soh[hidden], len(task.asked)))
    said = {m: Answer(*(np.concatenate(p) for p in zip(*answers, strict=True))) for m, answers in parts.items()}
    rows = polars.concat(identity)
    title = f"{name}, {task.name}, SOC {soc}, {options.folds} folds by cell, {options.seeds} draws"
    return Cases(title, rows, "soh", np.zeros(len(rows), int), np.concatenate(truth), said)


def _methods(task: Task, soc: Soc) -> dict[str, Callable[[Grid, Float, int], Answer]]:
    level, asked = LEVELS[task.known], LEVELS[task.asked]

    def by_level(make: Callable[[Grid], list[Model]]) -> Callable[[Grid, Float, int], Answer]:
        def say(learnt: Grid, volt: Float, seed: int) -> Answer:
            del seed
            models = make(learnt)
            mean = np.stack([m.predict(volt[:, j]) for j, m in enumerate(models)], axis=1)
            return _answer(mean, np.broadcast_to([m.std for m in models], mean.shape))

        return say

    def believed(made: Callable[[Float], Float]) -> Callable[[Grid, Float, int], Answer]:
        return by_level(lambda g: [plain(made(g.volt[:, task.known])[:, j], g.soh) for j in range(len(asked))])

    def pooled(made: Callable[[Float], Float] | None, length: float) -> Callable[[Grid, Float, int], Answer]:
        def say(learnt: Grid, volt: Float, seed: int) -> Answer:
            del seed
            known = learnt.volt[:, task.known]
            all_volt = known if made is None else np.concatenate([known, made(known)], axis=1)
            all_level = level if made is None else np.concatenate([level, asked])
            model = fit(
                _rows(all_volt, all_level, soc),
                np.repeat(learnt.soh, len(all_level)),
                np.repeat(learnt.cell, len(all_level)),
                length,
            )
            return model.predict(_rows(volt, asked, soc))

        return say

    def drawn(kind: str) -> Callable[[Grid, Float, int], Answer]:
        return lambda learnt, volt, _seed: _drawn(kind, learnt, volt, task)

    lines: dict[str, Callable[[Float], Float]] = {"straight line": partial(straight, level=level, wanted=asked)}
    if task.beyond:
        lines = {
            f"line of {word}": partial(continued, level=level, wanted=asked, last=last)
            for word, last in (("two", 2), ("three", 3), ("all", 0))
        }
    between = partial(monotone, level=level, wanted=asked)
    nearby = by_level(lambda g: _forgiven_nearby(g, task, level, asked, soc))
    methods: dict[str, Callable[[Grid, Float, int], Answer]] = {}
    if soc == "known":
        if task.beyond:
            bold = pooled(partial(middling, level=level, wanted=asked), np.inf)
            methods[OURS] = _mean_of(nearby, nearby, bold)
        else:
            forgiven = by_level(lambda g: _forgiven(g, task, level, asked))
            methods[OURS] = _mean_of(forgiven, pooled(between, np.inf), pooled(None, LENGTH))
        methods |= {f"{word}, ridge": believed(made) for word, made in lines.items()}
        methods |= {f"{kind}, forest": _first_draw(drawn(kind)) for kind in VAES}
    else:
        methods[OURS] = nearby if task.beyond else pooled(between, np.inf)
    methods |= {f"{word}, gaussian process + line": _first_draw(pooled(made, np.inf)) for word, made in lines.items()}
    methods["nothing generated, varying"] = _first_draw(pooled(None, LENGTH))
    return methods


def _forgiven(learnt: Grid, task: Task, level: Float, asked: Float) -> list[Model]:
    """Fit each level asked by itself."""
    made, moment = _made(monotone, learnt.volt[:, task.known], task, level, asked)
    return [forgiving(made[:, j], learnt.soh, moment[j]) for j in range(len(asked))]


def _forgiven_nearby(learnt: Grid, task: Task, level: Float, asked: Float, soc: Soc) -> list[Model]:
    """Fit each level asked with all others beside it, measured and made ones; SOC unknown: one model for any level.

    Several generators' models are joined: a mean of lines is a line.
    """
    known = learnt.volt[:, task.known]
    levels = np.concatenate([level, asked])
    parts = []
    for generator in [middling] if soc == "known" else BEYOND.values():
        made, moment = _made(generator, known, task, level, asked)
        volt = np.concatenate([known, made], axis=1)
        moments = np.concatenate([np.zeros((len(level), *moment.shape[1:])), moment])
        if soc == "known":
            parts.append([forgiving_nearby(volt, learnt.soh, moments, a) for a in levels - asked[:, None]])
        else:
            parts.append([forgiving_nearby(volt, learnt.soh, moments, np.zeros(len(levels)))] * len(asked))
    return [Model.mean_of(models) for models in zip(*parts, strict=True)]


def _made(generator: Generator, known: Float, task: Task, level: Float, asked: Float) -> tuple[Float, Float]:
    """Make voltages [cell, asked level, point], and the second moment of their mistakes [asked level, input, input]."""
    trust = (Trust.beyond if task.beyond else Trust.between)(generator, known, level)
    growth = (np.arange(len(asked)) + 1.0) ** 2 if task.beyond else np.ones(len(asked))
    return generator(known, level, asked), growth[:, None, None] * trust.moment


def _mean_of(*makes: Callable[[Grid, Float, int], Answer]) -> Callable[[Grid, Float, int], Answer]:
    """Let several speak as one, as sure as all of them together: how far they disagree counts."""

    def say(learnt: Grid, volt: Float, seed: int) -> Answer:
        answers = [make(learnt, volt, seed) for make in makes]
        mean, std = np.array([a.mean for a in answers]), np.array([a.std for a in answers])
        whole = np.sqrt(np.mean(std**2, axis=0) + mean.var(axis=0))
        return Answer(mean.mean(axis=0), whole, np.all([a.in_domain for a in answers], axis=0))

    return say


def _first_draw(make: Callable[[Grid, Float, int], Answer]) -> Callable[[Grid, Float, int], Answer]:
    """Let what takes its time speak for the first draw of the cells only."""

    def say(learnt: Grid, volt: Float, seed: int) -> Answer:
        silent = np.full(volt.shape[:2], np.nan)
        return _answer(silent, silent) if seed else make(learnt, volt, seed)

    return say


def _drawn(kind: str, learnt: Grid, volt: Float, task: Task) -> Answer:
    """Train the network and the forest of the paper."""
    mean, std = forest_on_drawn(
        kind, learnt.volt[:, task.known], LEVELS[task.known], learnt.soh, volt, LEVELS[task.asked], task.beyond
    )
    return _answer(mean, std)


def _rows(volt: Float, level: Float, soc: Soc) -> Float:
    flat = volt.reshape(-1, volt.shape[-1])
    return inputs(flat, "short", np.tile(level, len(volt)) if soc == "known" else None)


def _answer(mean: Float, std: Float) -> Answer:
    return Answer(mean.ravel(), np.ravel(std).astype(float), np.ones(mean.size, bool))
