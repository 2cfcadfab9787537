"""Say of the rows that a model has no answer for which of its inputs is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from daemon.tables.reading import named
from daemon.tables.relaxation import CELSIUS, CURRENTS, CYCLE, RATES
from estimators.imodel.features import SAID, best_variant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from daemon.tables.relaxation import Float, Table
    from estimators.imodel.features import Variant

USE = (CELSIUS, *(f"{rate} or {current}" for rate, current in zip(RATES, CURRENTS, strict=True)))
SEEN = "whole charge, and not enough of a rest"


def unanswered(table: Table, mean: Float) -> tuple[str, ...]:
    """Name the rows whose answer [row] is not a number, each with what it lacks and what mends it."""
    rows = ~np.isfinite(mean)
    some = table.pick(rows)
    used = np.isfinite(some.events.use[:, : table.kind.conditions])
    variants = best_variant(some.events, table.kind)
    lacks = [_lacks(*of) for of in zip(used, variants, strict=True)]
    return named(some.identity, CYCLE, np.ones(len(some), bool), lacks)


def _lacks(used: NDArray[np.bool_], variant: Variant | None) -> str:
    missing = [f"no {name}" for name, known in zip(USE, used, strict=False) if not known]
    missing += [] if variant else [f"no {SEEN}"]
    if missing or variant is None:
        return f"{' and '.join(missing)}; fill it in"
    return f"{SAID[variant]}, of which the model says nothing"
