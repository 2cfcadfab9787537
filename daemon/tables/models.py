"""The models that are scored on such data sets: one row each, its module loaded when first wanted."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from daemon.tables.cases import Cases, Options


class Home(Protocol):
    """What a model's module in this package has."""

    def evaluate(self, folder: Path, options: Options) -> list[Cases]:
        """Score on a folder that looks like one of the data sets. Raises UsageError where it looks like none."""
        ...

    def train(self, folder: Path, out: Path | None, seed: int, progress: Callable[[str], None]) -> None:
        """Learn from the data sets under `folder`; write weights and card into `out` (None: the package's place)."""
        ...


class Row(NamedTuple):
    """Where a model lives; `published`: it is what the service says by default, of whichever model is best."""

    module: str
    says: str
    published: bool = False


TABLE_MODELS: dict[str, Row] = {
    "soh": Row("soh", "SOH now, by the model that the service uses", published=True),
    "trajectory": Row("trajectory", "capacity of later cycles, by the model that the service uses", published=True),
    "rul": Row("cycles_left", "cycles left, by the model that the service uses", published=True),
    "imodel": Row("trajectory", "partial charge and rest to capacity, now and later"),
    "multitask": Row("multitask", "SOH, cycles left and fade rate from one charge's features"),
    "srse": Row("srse", "SOH of several configurations from one charge"),
    "pulse": Row("pulse", "SOH of a retired cell from a train of pulses"),
    "early-life": Row("early_life", "capacity of later cycles from the first ones and other temperatures"),
}


def home(model: str) -> Home:
    """Load a model's module."""
    return cast("Home", import_module(f"daemon.tables.{TABLE_MODELS[model].module}"))
