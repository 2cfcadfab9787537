"""Runs for training: measured logs and simulated campaigns, as one recipe asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from daemon.errors import LogError
from daemon.labels import Known
from daemon.runs import Run as LabelledRun
from daemon.runs import log_paths, on_grid, read_run, stem
from estimators.cell_type import CellType
from estimators.circuit import Circuit
from estimators.contract import to_present
from estimators.cross_stitch.recipe import Recipe, Simulated
from estimators.cross_stitch.windows import Run
from estimators.ekf.terms import Choice, inner
from estimators.ekf.terms import Run as CircuitRun
from simulators.recording import Recording, simulate

RESISTANCE_SPREAD, RESISTANCE_GROWTH = 0.08, 1.0  # between cells; per unit of SOH lost
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
            for run in _labelled(data / recipe.data, part, cell_type):
                soh = next((s for name, s in recipe.soh.items() if run.name.startswith(name)), cell_type.typical_soh)
                runs.append(measured(run, cell_type, soh))
    if recipe.simulated is not None:
        seconds = sum(map(len, split.train))
        runs = simulated(recipe.simulated, cell_type, seconds)
        held_out = 0 if seconds else HELD_OUT_SIMULATED
        split.train.extend(runs[held_out:])
        split.validation.extend(runs[:held_out])
    return split


def _labelled(folder: Path, names: list[str], cell_type: CellType) -> Iterator[LabelledRun]:
    """Read the whole cycles among the named files; pulse and slow tests have no label and train nothing here."""
    for path in log_paths(folder):
        if stem(path) in names:
            try:
                run = read_run(path, Known.of(cell_type))
            except LogError:
                continue
            if run.labelled:
                yield run


def measured(run: LabelledRun, cell_type: CellType, soh: float) -> Run:
    """Make a labelled run without holes what the network is trained on; `soh` is that of its cell."""
    voltage, current, temperature, soc = on_grid(run)
    soc = soc if cell_type.soc_reference == "nominal" else to_present(soc, np.full(len(soc), soh))
    c_rate = current / cell_type.nominal_capacity_ah
    single = [x.astype(np.float32) for x in (voltage, c_rate, temperature, soc, np.full(len(soc), soh))]
    return Run(run.name, *single)  # type: ignore[arg-type]


def simulated(what: Simulated, cell_type: CellType, measured_seconds: int) -> list[Run]:
    """Simulate what a recipe asks for; beside so many measured seconds its share counts, without any there is none."""
    random = np.random.default_rng(what.seed)
    ambient_celsius, soh = (random.uniform(*bounds, what.cells) for bounds in (what.temperature_celsius, what.soh))
    seconds = what.cells * what.seconds
    share = what.share / (1.0 - what.share) * measured_seconds / seconds if measured_seconds else 1.0
    nominal = cell_type.soc_reference == "nominal"  # as if every cell had the type's SOH: see CrossStitch
    runs: dict[int, Run] = {}
    for nth, physics in enumerate(what.physics):
        cells = range(nth, what.cells, len(what.physics))
        recording = simulate(
            len(cells),
            what.seconds,
            what.seed,
            chemistry=what.chemistry,
            nominal_capacity_ah=cell_type.nominal_capacity_ah,
            ambient_temperature_celsius=ambient_celsius[cells.start :: cells.step],
            initial_soh=soh[cells.start :: cells.step],
            physics=physics,
        )
        soc = 1.0 - (1.0 - recording.soc) * np.float32(cell_type.typical_soh) if nominal else recording.soc
        c_rate = recording.current_ampere / np.float32(cell_type.nominal_capacity_ah)
        voltage = recording.voltage_volt if what.own_voltage else _voiced(recording, cell_type, random)
        columns = (voltage, c_rate, recording.temperature_celsius, soc, recording.soh)
        rows = zip(*columns, strict=True)
        runs |= {i: Run(f"simulated-{i}", *row, share) for i, row in zip(cells, rows, strict=True)}
    return [runs[i] for i in sorted(runs)]


def _voiced(recording: Recording, cell_type: CellType, random: np.random.Generator) -> NDArray[np.float32]:
    """Make the voltage that the cell type's own tables give for the simulated current, temperature and SOC.

    No two cells are alike: every resistance of a cell is off by some 8 %, and grows as its SOH falls.
    """
    tables = cell_type.tables()
    circuit, choice = Circuit(tables), Choice.of(tables)
    voltage = np.empty_like(recording.voltage_volt)
    spread = random.normal(1.0, RESISTANCE_SPREAD, len(voltage))
    columns = (recording.current_ampere, recording.temperature_celsius, recording.soc, recording.soh)
    for i, row in enumerate(zip(*columns, strict=True)):
        current, celsius, present, soh = (column.astype(np.float64) for column in row)
        soc = 1.0 - (1.0 - present) * circuit.reference_soh
        second = np.arange(len(soc), dtype=np.float64)
        capacity = cell_type.nominal_capacity_ah * soh[0] / circuit.reference_soh
        run = CircuitRun("", second, np.full_like(soc, np.nan), current, celsius, soc, capacity)
        shown = circuit.terminal(circuit.at(soc, celsius), current, *inner(run, choice))
        aged = 1.0 + RESISTANCE_GROWTH * (cell_type.typical_soh - soh)
        voltage[i] = shown.volt + shown.over_volt * (np.clip(spread[i] * aged, 0.6, 2.5) - 1.0)
    return voltage
