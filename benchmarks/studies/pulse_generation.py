"""How near to measured pulse voltages each generator comes, and what became of the VAE's latent variables.

    python benchmarks/studies/pulse_generation.py $BMSD_DATA/pulsebat-retired-pulse

Voltages are made for levels of SOC that the generator was not shown, and compared with the measured ones: mean
absolute error in mV. Lines and curves continue each training cell; the VAE is asked for the SOH of the cells held
out, one draw each. `KL` is its divergence from the prior in nat, `rows` the error of its own training rows in mV.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from daemon.tables.pulse_generation import LEVELS, TASKS, Grid, Task, grid
from daemon.tables.pulse_tests import read_folder
from estimators.pulse.generate import BEYOND, monotone, straight
from estimators.pulse.network import KEPT_OPEN, PUBLISHED, generate, train
from estimators.regression.fit import by_cell

WIDTH_MS = 5000


def main(folder: Path) -> None:
    """Print a line for each table, task and generator."""
    for tests in read_folder(folder):
        if tests.configuration.width_ms == WIDTH_MS:
            whole = grid(tests)
            for task in TASKS:
                for method, figures in study(whole, task).items():
                    print(f"{tests.name:28s} {task.name:24s} {method:18s} {figures}", flush=True)


def study(whole: Grid, task: Task) -> dict[str, str]:
    """Measure each generator on one fold by cell."""
    shown, hidden = next(by_cell(whole.cell, 4))
    level, asked = LEVELS[task.known], LEVELS[task.asked]
    known, truth = whole.volt[shown][:, task.known], whole.volt[shown][:, task.asked]
    generators = BEYOND if task.beyond else {"straight line": straight, "monotone": monotone}
    found = {n: f"{1e3 * np.abs(g(known, level, asked) - truth).mean():6.1f} mV" for n, g in generators.items()}
    cells = len(known)
    for name, settings in (("vae as published", PUBLISHED), ("vae kept open", KEPT_OPEN)):
        rows = known.reshape(-1, known.shape[-1])
        learnt = train(rows, np.tile(level, cells) / 100, np.repeat(whole.soh[shown], len(level)), settings)
        others = whole.volt[hidden][:, task.asked]
        made = generate(learnt, np.tile(asked, len(others)) / 100, np.repeat(whole.soh[hidden], len(asked)))
        off = 1e3 * np.abs(made - others.reshape(made.shape)).mean()
        within = 1e3 * learnt.reconstruction_volt
        found[name] = f"{off:6.1f} mV   KL {learnt.divergence_nat:.3f} nat   rows {within:.1f} mV"
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
