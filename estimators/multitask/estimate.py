"""SOH, cycles left and fade rate of charges whose sixteen numbers are known; what a service asks.

known = load()
answers = known.ask("tju_nca", features, row)      # {"soh": Answer, "rul_cycle": Answer, "dccr": Answer}
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from estimators.cell_type import weights_id
from estimators.multitask.configuration import CONFIGURATIONS
from estimators.multitask.features import FIRST, shown, views
from estimators.multitask.model import TARGETS, Model, kept, told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from estimators.contract import Float
    from estimators.regression.regression import Answer

WEIGHTS = Path(__file__).parent / "weights" / "charge_end.safetensors"
NAMED = {"capacity_ah": "soh", "rul_cycle": "rul_cycle", "dccr": "dccr"}
NOMINAL = {c.name: c.nominal_capacity_ah for c in CONFIGURATIONS}


@dataclass(frozen=True, slots=True)
class Known:
    """The shipped models."""

    models: Mapping[str, Model]
    weights_id: str

    def ask(self, configuration: str, features: Float, row: NDArray[np.int64] | None = None) -> dict[str, Answer]:
        """Answer for charges: SOH (a share), cycles left to 80 %, points of SOH lost in 100 cycles.

        features [charge, 16] in `NAMES`' order and units. `row` [charge] counts one cell's cycles from its first, all
        charges so far in order: then its history is looked at too; without, each charge is taken alone. A charge with
        a number that is not finite gets NaN. Raises KeyError for a configuration that is not known.
        """
        inputs = shown(features, NOMINAL[configuration])
        alone = row is None or not len(row) or row[0] > FIRST
        seen = views(inputs, np.zeros(len(inputs)), np.ones(len(inputs), np.int64) if row is None else row)
        heads = {target: f"{configuration}/{target}/{'one charge' if alone else 'default'}" for target in TARGETS}
        return {NAMED[t]: told(t, self.models[h].predict(seen)) for t, h in heads.items() if h in self.models}


def load(path: Path = WEIGHTS) -> Known:
    """Read the shipped models. Raises FileNotFoundError or ValueError, naming the file."""
    models, _ = kept(path)
    return Known(models, weights_id(path))
