"""SOH now, by whatever the service asks where cells show what the folder holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.errors import UsageError
from daemon.tables import cycle_features, health, multitask, nasa, srse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from daemon.tables.cases import Cases, Options


def evaluate(folder: Path, options: Options) -> list[Cases]:
    """Score full charges, charges' ends, or charges and the rest after them. Raises UsageError for none of these."""
    if nasa.looks_like(folder):
        return srse.soh_cases(folder, options)
    if cycle_features.looks_like(folder):
        return multitask.soh_cases(folder, options)
    return health.evaluate(folder, options)


def train(_folder: Path, _out: Path | None, _seed: int, _progress: Callable[[str], None]) -> None:
    """Refuse: there is no model of this name. Raises UsageError."""
    raise UsageError("`soh` is whatever is best", where="bmsd train", mend="train imodel, multitask or srse")
