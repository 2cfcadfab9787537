"""The shipped weights for pulse tests, and their card."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from daemon.tables.pulse_tests import PulseTests, read_folder
from estimators.pulse.estimate import OURS, RIDGE, WEIGHTS, name
from estimators.pulse.features import VIEWS, Configuration, Soc, inputs, view_of
from estimators.pulse.train import PLAIN, fit, fit_plain
from estimators.regression.regression import save

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from estimators.regression.regression import Regression

LONGEST_MS = 5000  # pulses that are seen in a log of 1 Hz, too
SERVED: dict[str, tuple[Soc, ...]] = {"whole": ("unknown",), "short": ("unknown", "known"), "ends": ("unknown",)}
CARD = """\
# Pulse tests: SOH of a cell at rest

**What** A Gaussian process whose slopes over the voltage differences change with the voltage at rest
(`estimators/pulse/train.py`), one for each chemistry, nominal capacity and pulse width; ridge regression beside it.
Made by `bmsd train pulse --data DIR` from `{source}`, seed {seed}.

**Input** Turning-point voltages of a pulse train after ten minutes of rest: `whole` U1-U41, `short` U1-U21, `ends` U1
and the ends of the steps up to U21 (logs of 1 Hz). 25 °C, SOC 5 % of nominal capacity and above; other temperatures
were never seen. SOC not told, or told against the nominal capacity (`soc known`, which gives part of the answer
away: with the voltage at rest it tells the capacity).

**Output** SOH (1C discharge over nominal capacity) with the deviation that left-out cells showed. Inputs a quarter of
their range beyond the training cells are `out of domain`.

| model | rows | cells | SOH | deviation, points |
|---|---|---|---|---|
{rows}

Errors on unseen cells: docs/checks.md.
"""


def train_all(folder: Path, out: Path | None, seed: int, progress: Callable[[str], None]) -> None:
    """Fit and keep all that is served."""
    models: dict[str, Regression] = {}
    rows = []
    for (configuration, view), tests in _widest(read_folder(folder)).items():
        for soc in SERVED[view]:
            known = np.isfinite(tests.soh) & ((soc == "unknown") | np.isfinite(tests.soc_percent))
            x = inputs(tests.voltage_volt[known], view, tests.soc_percent[known] if soc == "known" else None)
            y, cell = tests.soh[known], tests.cell[known]
            ours = fit(x, y, cell)
            models[name(configuration, view, soc, OURS)] = ours
            models[name(configuration, view, soc, RIDGE)] = fit_plain(PLAIN[RIDGE], x, y, cell, seed=seed)
            said = f"{configuration} {view}, SOC {soc}"
            rows.append(
                f"| {said} | {len(y)} | {len(np.unique(cell))} | {y.min():.2f} to {y.max():.2f} "
                f"| {100 * ours.noise.base:.1f} |"
            )
            progress(said)
    path = out / WEIGHTS.name if out else WEIGHTS
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, models, {"source": folder.name})
    card = path.parent / "CARD.md" if out else WEIGHTS.parents[1] / "CARD.md"
    card.write_text(CARD.format(source=folder.name, seed=seed, rows="\n".join(rows)), encoding="utf-8")
    progress(f"wrote {path.name}: {path.stat().st_size / 1e6:.2f} MB")


def _widest(found: list[PulseTests]) -> dict[tuple[Configuration, str], PulseTests]:
    """Choose for each configuration and view the table with the most rows: one kind of cell may be in two."""
    chosen: dict[tuple[Configuration, str], PulseTests] = {}
    for tests in found:
        if len(np.unique(tests.cell[np.isfinite(tests.soh)])) < 2:
            continue
        widest = view_of(tests.voltage_volt)
        for view in VIEWS:
            if (view == "whole" and widest != "whole") or (
                view == "ends" and tests.configuration.width_ms < LONGEST_MS
            ):
                continue
            key = (tests.configuration, view)
            if key not in chosen or len(chosen[key]) < len(tests):
                chosen[key] = tests
    return chosen
