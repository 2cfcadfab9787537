"""A bounded search for settings by Optuna's sampler, the poor trials ended early."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import optuna

TRIALS_BEFORE_PRUNING = 3


def best_of(
    objective: Callable[[optuna.Trial], float], trials: int, seed: int, say: Callable[[str], None], unit: str
) -> tuple[dict[str, Any], float]:
    """Try so many settings; give the best ones and their error. Raises ModuleNotFoundError where Optuna is missing."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=TRIALS_BEFORE_PRUNING),
    )

    def tell(_: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        error = "ended early" if trial.value is None or trial.state.name == "PRUNED" else f"{trial.value:.3f} {unit}"
        say(f"trial {trial.number + 1}/{trials}: {error}  {trial.params}")

    study.optimize(objective, n_trials=trials, callbacks=[tell])
    return study.best_params, study.best_value


def report(trial: optuna.Trial, error: float, step: int) -> None:
    """Tell a trial's error so far. Raises TrialPruned where it lags behind the trials before."""
    import optuna

    trial.report(error, step)
    if trial.should_prune():
        raise optuna.TrialPruned
