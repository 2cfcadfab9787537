"""`pulse`: SOH of retired cells from pulse tests; shipped weights scored, or learnt anew by whole cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import polars

from daemon.errors import UsageError, WeightsError
from daemon.tables.cases import Cases
from daemon.tables.pulse_tests import PulseTests, read_folder
from estimators.pulse.estimate import OURS, RIDGE, PulseModels, shipped
from estimators.pulse.features import Soc, inputs, view_of
from estimators.pulse.train import fit, fit_all
from estimators.regression.fit import by_cell
from estimators.regression.regression import Answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from daemon.tables.cases import Options
    from estimators.regression.regression import Regression

MEAN_OF = ("svr", "trees", "gaussian process + line")


def evaluate(folder: Path, options: Options) -> list[Cases]:
    """Score the shipped weights on a folder of pulse tests, or what is learnt from its other cells."""
    from daemon.tables.pulse_generation import generation

    tests = read_folder(folder)
    if options.folds:
        return [*(_anew(t, options) for t in tests), *(c for t in tests for c in generation(t, options))]
    try:
        models = shipped()
    except (FileNotFoundError, ValueError) as err:
        raise WeightsError(str(err), where="estimators/pulse/weights", mend="bmsd train pulse --data DIR") from err
    return [_by_weights(t, models, options) for t in tests]


def train(folder: Path, out: Path | None, seed: int, progress: Callable[[str], None]) -> None:
    """Learn every configuration found under `folder` (or in its `pulsebat-retired-pulse`); write weights and card."""
    from daemon.tables.pulse_training import train_all

    inner = folder / "pulsebat-retired-pulse"
    train_all(inner if inner.is_dir() else folder, out, seed, progress)


def _by_weights(tests: PulseTests, models: PulseModels, options: Options) -> Cases:
    soc = cast("Soc", options.soc)
    name = f"{tests.name}, SOC {soc}, shipped weights"
    view = models.view(tests.configuration, tests.voltage_volt.shape[1], soc)
    if view is None:
        known = ", ".join(map(str, models.known()))
        reason = f"{tests.name}: unknown_configuration {tests.configuration} with SOC {soc}; known: {known}"
        nothing = np.full(len(tests), np.nan)
        said = {OURS: Answer(nothing, nothing, np.zeros(len(tests), bool))}
        return _cases(name, tests, said, (*tests.unread, reason))
    told, untold = _told(tests, soc)
    methods = (OURS,) if options.alone else (OURS, RIDGE)
    said = {m: models.say(tests.voltage_volt, tests.configuration, view, told, m) for m in methods}
    return _cases(name, tests, said, (*tests.unread, *untold))


def _told(tests: PulseTests, soc: Soc) -> tuple[NDArray[np.float64] | None, tuple[str, ...]]:
    """Give the SOC as far as it may be known, and the rows that lack it."""
    if soc == "unknown":
        return None, ()
    missing = np.flatnonzero(~np.isfinite(tests.soc_percent))
    reason = (f"{tests.name}: {len(missing)} rows have no nominal_soc_percent",) if len(missing) else ()
    return tests.soc_percent, reason


def _anew(tests: PulseTests, options: Options) -> Cases:
    """Learn from some cells and score on the others, for each draw of the cells."""
    soc = cast("Soc", options.soc)
    told, untold = _told(tests, soc)
    known = np.isfinite(tests.soh) & (True if told is None else np.isfinite(told))
    if len(np.unique(tests.cell[known])) < 2:
        raise UsageError(f"{tests.name} has fewer than two labelled cells", where="--folds", mend="leave --folds out")
    view = view_of(tests.voltage_volt)
    assert view is not None
    x = inputs(tests.voltage_volt, view, told)[known]
    y, cell = tests.soh[known], tests.cell[known]
    draws = [_out_of_fold(x, y, cell, options.folds, seed, options.alone) for seed in range(options.seeds)]
    said = {
        method: Answer(*(np.concatenate([draw[method][part] for draw in draws]) for part in range(3)))
        for method in draws[0]
    }
    mape = [100 * float(np.mean(np.abs(draw[OURS].mean - y) / y)) for draw in draws]
    name = (
        f"{tests.name}, SOC {soc}, {options.folds} folds by cell, {options.seeds} draws: "
        f"MAPE of {OURS} {np.mean(mape):.2f} ± {np.std(mape):.2f}"
    )
    identity = tests.identity.filter(polars.Series(known))
    repeated = polars.concat([identity.with_columns(draw=polars.lit(seed)) for seed in range(options.seeds)])
    return Cases(
        name, repeated, "soh", np.zeros(len(repeated), int), np.tile(y, options.seeds), said, (*tests.unread, *untold)
    )


def _out_of_fold(
    x: NDArray[np.float64], y: NDArray[np.float64], cell: NDArray[np.str_], folds: int, seed: int, alone: bool
) -> dict[str, Answer]:
    found: dict[str, Answer] = {}
    for train_rows, held in by_cell(cell, folds, seed):
        shown = x[train_rows], y[train_rows], cell[train_rows]
        models: dict[str, Regression] = {OURS: fit(*shown)} if alone else fit_all(*shown, seed=seed)
        answers = {method: model.predict(x[held]) for method, model in models.items()}
        if not alone:
            parts = [answers[m] for m in MEAN_OF]
            mean, std = (np.mean([p[i] for p in parts], axis=0) for i in (0, 1))
            answers["mean of svr, trees, gaussian process"] = Answer(mean, std, parts[0].in_domain)
        for method, answer in answers.items():
            whole = found.setdefault(method, Answer(np.empty(len(y)), np.empty(len(y)), np.empty(len(y), bool)))
            for part, values in zip(whole, answer, strict=True):
                part[held] = values
    return found


def _cases(name: str, tests: PulseTests, said: dict[str, Answer], unscored: tuple[str, ...]) -> Cases:
    return Cases(name, tests.identity, "soh", np.zeros(len(tests), int), tests.soh, said, unscored)
