"""A bounded search for the settings of a training, by short trainings.

Every trial sees as many seconds of data, whatever its batch. What is compared is the sum of the mean absolute
errors of SOC and SOH over the validation runs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from estimators.cross_stitch.calibrate import errors
from estimators.cross_stitch.network import Network
from estimators.cross_stitch.train import Settings, train
from estimators.cross_stitch.windows import Run
from estimators.search import best_of, report

if TYPE_CHECKING:
    import optuna

LOOKS = 4  # at the validation runs, of each trial
RATES = {  # ends of a log-uniform draw
    "learning_rate": (3e-4, 5e-3),
    "tower_rate_factor": (0.3, 3.0),
    "stitch_rate_factor": (1.0, 30.0),
    "soh_weight": (0.5, 20.0),
}
ROWS = (8, 16, 32)


def search(
    begin: Callable[[], Network],
    training: list[Run],
    validation: list[Run],
    settings: Settings,
    *,
    trials: int,
    initial_soh: float | None = None,
    say: Callable[[str], None],
) -> tuple[dict[str, Any], float]:
    """Try `trials` settings, each from the network that `begin` makes; give the best ones and their error in points.

    A trial is as long as `settings` says for its batch. Raises ModuleNotFoundError where Optuna is not installed.
    """

    def objective(trial: optuna.Trial) -> float:
        return _trial(trial, begin(), training, validation, _short(settings, drawn(trial)), initial_soh)

    return best_of(objective, trials, settings.seed, say, "points")


def drawn(trial: optuna.Trial) -> dict[str, Any]:
    """Let a trial draw its settings."""
    chosen: dict[str, Any] = {name: trial.suggest_float(name, *ends, log=True) for name, ends in RATES.items()}
    return chosen | {"rows": trial.suggest_categorical("rows", ROWS)}


def _short(settings: Settings, chosen: dict[str, Any]) -> Settings:
    steps = max(LOOKS, settings.steps * settings.rows // chosen["rows"])
    return replace(
        settings, **chosen, steps=steps, warm_up_steps=steps // 10, checkpoint_steps=steps // LOOKS, average_decay=0.98
    )


def _trial(
    trial: optuna.Trial,
    network: Network,
    training: list[Run],
    validation: list[Run],
    settings: Settings,
    initial_soh: float | None,
) -> float:
    """Train once and give the last error. Raises TrialPruned where it lags behind the trials before."""
    seen: list[float] = []

    def look(average: Network) -> str:
        found = errors(average, validation, initial_soh)
        seen.append(100.0 * float(np.mean([np.abs(e.soc).mean() + np.abs(e.soh).mean() for e in found])))
        report(trial, seen[-1], len(seen))
        return ""

    with tempfile.TemporaryDirectory() as folder:
        train(network, training, settings, Path(folder), _silent, look)
    return seen[-1]


def _silent(_: str) -> None:
    """Say nothing of the steps of a trial."""
