"""Runs for training: measured logs and simulated campaigns, as one recipe asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from daemon.errors import LogError
from daemon.runs import Run as LabelledRun
from daemon.runs import log_paths, on_grid, read_run, stem
from estimators.cell_type import CellType
from estimators.cross_stitch.recipe import Recipe, Simulated
from estimators.cross_stitch.windows import Run
from simulators.recording import simulate

HELD_OUT_SIMULATED = 16  # simulated cells that train nothing and calibrate the errors


@dataclass(frozen=True, slots=True)
class Split:
    """Runs that train, and runs that only measure while training."""

    train: list[Run]
    validation: list[Run]


def gather(recipe: Recipe, cell_type: CellType, data: Path | None) -> Split:
    """Read and simulate what the recipe names; test files are not touched. Raises LogError, ValueError."""
    split = Split([], [])
    if recipe.data is not None and data is not None:
        names = yaml.safe_load((cell_type.folder / recipe.split).read_text(encoding="utf-8"))
        for part, runs in ((names["train"], split.train), (names["validation"], split.validation)):
            runs += [_measured(run, recipe, cell_type) for run in _labelled(data / recipe.data, part, cell_type)]
    if recipe.simulated is not None:
        simulated = _simulated(recipe.simulated, cell_type, recipe.reference_soh)
        held_out = HELD_OUT_SIMULATED if recipe.data is None else 0
        split.train.extend(simulated[held_out:])
        split.validation.extend(simulated[:held_out])
    return split


def _labelled(folder: Path, names: list[str], cell_type: CellType) -> Iterator[LabelledRun]:
    """Read the whole cycles among the named files; pulse and slow tests have no label and train nothing here."""
    for path in log_paths(folder):
        if stem(path) in names:
            try:
                run = read_run(path, cell_type.nominal_capacity_ah)
            except LogError:
                continue
            if run.labelled:
                yield run


def _measured(run: LabelledRun, recipe: Recipe, cell_type: CellType) -> Run:
    soh = next((s for name, s in recipe.soh.items() if run.name.startswith(name)), recipe.reference_soh)
    voltage, current, temperature, soc = on_grid(run)
    c_rate = current / cell_type.nominal_capacity_ah
    single = [x.astype(np.float32) for x in (voltage, c_rate, temperature, soc, np.full(len(soc), soh))]
    return Run(run.name, *single)  # type: ignore[arg-type]


def _simulated(what: Simulated, cell_type: CellType, reference_soh: float) -> list[Run]:
    random = np.random.default_rng(what.seed)
    recording = simulate(
        what.cells,
        what.seconds,
        what.seed,
        chemistry=what.chemistry,
        nominal_capacity_ah=cell_type.nominal_capacity_ah,
        ambient_temperature_celsius=random.uniform(*what.temperature_celsius, what.cells),
        initial_soh=random.uniform(*what.soh, what.cells),
    )
    soc = 1.0 - (1.0 - recording.soc) * np.float32(reference_soh)
    c_rate = recording.current_ampere / np.float32(cell_type.nominal_capacity_ah)
    return [
        Run(
            f"simulated-{i}",
            recording.voltage_volt[i],
            c_rate[i],
            recording.temperature_celsius[i],
            soc[i],
            recording.soh[i],
            what.weight,
        )
        for i in range(what.cells)
    ]
