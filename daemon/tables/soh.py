"""SOH now, by whatever the service asks where cells show what the folder holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.errors import UsageError
from daemon.tables import cycle_features, health, multitask, nasa, relaxation, srse
from daemon.tables.forms import each

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from daemon.tables.cases import Cases, Options


WAYS = (
    (nasa.looks_like, srse.soh_cases),
    (cycle_features.looks_like, multitask.soh_cases),
    (relaxation.looks_like, health.evaluate),
)


def evaluate(folder: Path, options: Options) -> list[Cases]:
    """Score full charges, charges' ends, and charges and the rest after them. Raises UsageError for none of these."""
    return each(folder, options, WAYS)


def train(_folder: Path, _out: Path | None, _seed: int, _progress: Callable[[str], None]) -> None:
    """Refuse: there is no model of this name. Raises UsageError."""
    raise UsageError("`soh` is whatever is best", where="bmsd train", mend="train imodel, multitask or srse")
