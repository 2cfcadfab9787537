"""What a cell has lost, mode by mode, from how its 42 in-cycle features changed since it was new.

A ridge of the changes, of the same at the cell's temperature, and of their squares, for each mode. It was learnt from
simulated cells alone (CARD.md): nobody has looked into the measured ones.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from estimators.check import Refusal, Report
from estimators.early_life.features import NAMES
from estimators.regression.regression import load

if TYPE_CHECKING:
    from estimators.contract import Float
    from estimators.regression.regression import Regression

CHECK = "degradation_modes"
WEIGHTS = "modes.safetensors"
HOME = Path(__file__).parent
MODES = (
    "lithium_lost", "negative_lost", "positive_lost", "resistance_growth",  # shares of new
    "thermodynamic_loss",  # of the capacity that an endlessly slow discharge gives
    "kinetic_loss",  # of capacity at 1C, beyond that
)  # fmt: skip
MIDDLE_CELSIUS, SPAN_CELSIUS = 40.0, 15.0
TYPICAL = np.array(
    [0.02, 0.005, 20.0, 0.02, 0.005, 100.0, *[1e-3] * 9, 0.5, *[0.1] * 9, *[0.02] * 9, *[0.02] * 8]
)  # what a feature changes by in a life, so that its square is about 1


def inputs(features: Float, new: Float, temperature_celsius: Float) -> Float:
    """Make what the ridges are shown, [row, 127]; features and new [row, 42], temperature_celsius [row]."""
    changed = (features - new) / TYPICAL
    warm = (temperature_celsius[:, None] - MIDDLE_CELSIUS) / SPAN_CELSIUS
    return np.concatenate([changed, changed * warm, changed**2, warm], axis=1)


def judge(features: Float | None, new: Float | None, temperature_celsius: float) -> Report:
    """Report the modes of one cell from its features [42] now and when new; None where a charge gave none."""
    models, name = _models()
    if features is None or new is None:
        return Report.refuse(CHECK, name, Refusal.NOTHING_RECORDED)
    x = inputs(features[None], new[None], np.array([temperature_celsius]))
    said = {mode: models[mode].predict(x) for mode in MODES}
    return Report(
        CHECK,
        name,
        values={mode: float(a.mean[0]) for mode, a in said.items()},
        std={mode: float(a.std[0]) for mode, a in said.items()},
        quality={"features": float(len(NAMES))},
        in_domain=all(bool(a.in_domain[0]) for a in said.values()),
    )


@cache
def _models() -> tuple[dict[str, Regression], str]:
    models, about = load(HOME / WEIGHTS)
    return models, f"ridge-{about['seed']}"
