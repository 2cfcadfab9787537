"""Make what the package knows: cells of each source temperature, pooled, and the ridges of the degradation modes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from estimators.early_life.estimate import HOME, save
from estimators.early_life.modes import MODES, WEIGHTS, inputs
from estimators.early_life.transfer import pool
from estimators.regression import regression
from estimators.regression.fit import fit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from estimators.contract import Float
    from estimators.regression.regression import Regression


def train_family(
    capacity_ah: Mapping[float, Sequence[Float]], out: Path | None, progress: Callable[[str], None]
) -> None:
    """Pool capacity_ah: temperature in degrees -> [cycle] of each whole cell; write into `out` (None: the package's).

    Raises ValueError where a temperature has no cell.
    """
    sources = [pool(cells, temperature) for temperature, cells in sorted(capacity_ah.items())]
    folder = out or HOME
    folder.mkdir(parents=True, exist_ok=True)
    path = save(sources, folder)
    for s in sources:
        progress(f"{s.temperature_celsius:g} degrees: {s.cells} cells, {len(s.loss)} cycles, {s.loss[-1]:.1%} lost")
    progress(f"wrote {path}")


def train_modes(
    features: Float, new: Float, temperature_celsius: Float, truth: Float, cell: NDArray[Any], seed: int
) -> dict[str, Regression]:
    """Fit a ridge for each mode: features, new [row, 42], temperature_celsius, cell [row], truth [row, mode]."""
    x = inputs(features, new, temperature_celsius)
    return {mode: fit(x, truth[:, i], cell, ["ridge"], seed) for i, mode in enumerate(MODES)}


def keep_modes(models: Mapping[str, Regression], out: Path | None, seed: int) -> Path:
    """Write the ridges."""
    path = (out or HOME) / WEIGHTS
    regression.save(path, models, {"seed": str(seed), "learnt from": "simulated nine-step charges"})
    return path
