"""A similar type's network, tuned to one's own logs: briefly, and as it was where logs held out say that was better."""

from __future__ import annotations

import itertools
import math
import time
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from daemon.labels import LONGEST_HOLD_SECOND
from daemon.runs import Run as LabelledRun
from daemon.runs import load_begin
from daemon.training_runs import measured, simulated
from estimators.contract import to_nominal, to_present
from estimators.cross_stitch.calibrate import calibrate, errors
from estimators.cross_stitch.network import Network
from estimators.cross_stitch.recipe import Simulated
from estimators.cross_stitch.train import Settings, fit_range, train

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from estimators.cell_type import CellType
    from estimators.cross_stitch.weights import Weights
    from estimators.cross_stitch.windows import Run
    from estimators.ekf.identify import Run as CircuitRun

SETTINGS = Settings(rows=16, learning_rate=5e-4, warm_up_steps=20, brief=0.7, ramp_second=60.0)
MOST_STEPS, PROBE_STEPS = 1500, 20
SIMULATED_CELLS, SIMULATED_SECOND, SIMULATED_SHARE = 24, 21_600, 0.2
SIMULATED_SOH, ROOM_CELSIUS = (0.8, 1.0), 5.0  # simulated cells are a little colder and warmer than the logs
SHORTEST_SECOND = 2 * SETTINGS.seconds  # of what trains
LONGEST_HELD_OUT_SECOND, MOST_HELD_OUT = 3 * 3600.0, 8  # what measures, lest it take longer than the training


class TooLittleError(ValueError):
    """The logs have no stretch without holes that is long enough."""


class Errors(NamedTuple):
    """Mean and largest absolute error of a network's SOC on the runs held out, in points, from no known start."""

    mean_point: float
    max_point: float


@dataclass(frozen=True, slots=True)
class Tuned:
    """The network for the new cell type, and how it came about."""

    weights: Weights
    steps: int
    before: Errors  # of the similar type's network
    after: Errors  # of the tuned one

    @property
    def kept(self) -> bool:
        """Tell whether the tuned network is the one in `weights`."""
        return self.after.mean_point < self.before.mean_point


def fine_tune(
    cell_type: CellType,
    begun: Network,
    train_runs: Sequence[CircuitRun],
    held_out: Sequence[LabelledRun],
    minutes: float,
    say: Callable[[str], None],
) -> Tuned:
    """Train `begun` on the logs, and on simulated cells that speak with the type's own tables, for some minutes.

    `held_out` chooses between the two networks and sets how sure it is. Raises TooLittleError.
    """
    logs = [piece for run in train_runs for piece in _trainable(run, cell_type)]
    measuring = [measured(run, cell_type, run.soh) for run in held_out]
    if not logs or not measuring:
        raise TooLittleError(f"no stretch of {SHORTEST_SECOND} s without a hole to train or to measure a network on")
    celsius = np.concatenate([run.temperature_celsius for run in logs])
    around = (float(celsius.min()) - ROOM_CELSIUS, float(celsius.max()) + ROOM_CELSIUS)
    what = Simulated(
        cell_type.chemistry, SIMULATED_CELLS, SIMULATED_SECOND, 2, around, SIMULATED_SOH, False, SIMULATED_SHARE
    )
    runs = [*logs, *simulated(what, cell_type, sum(map(len, logs)))]
    network = deepcopy(begun).requires_grad_(True).train()
    fit_range(network, runs, learnt=True)
    steps = _affordable_steps(network, runs, minutes)
    say(f"network: {sum(map(len, logs)) / 3600:.1f} h of logs, {steps} steps, about {minutes:g} min")
    with TemporaryDirectory() as work:
        tuned = train(network, runs, _of(steps), Path(work), say)
    before, after = (measure(n, measuring, cell_type.typical_soh) for n in (begun, tuned))
    say(f"network: {before.mean_point:.2f} points before, {after.mean_point:.2f} after; calibrating")
    reference_soh = cell_type.typical_soh if cell_type.soc_reference == "nominal" else math.nan
    best = tuned if after.mean_point < before.mean_point else deepcopy(begun)
    settings = _of(steps)
    weights = calibrate(best, measuring, reference_soh, cell_type.typical_soh, training=runs, settings=settings)
    return Tuned(weights, steps, before, after)


def measure(network: Network, runs: list[Run], initial_soh: float) -> Errors:
    """Measure a network on runs that did not train it."""
    found = [np.abs(e.soc) * 100.0 for e in errors(network, runs, initial_soh)]
    return Errors(float(np.mean([e.mean() for e in found])), float(max(e.max() for e in found)))


def labelled(run: CircuitRun, cell_type: CellType) -> LabelledRun:
    """Give a run of the circuit's back the label that it came with."""
    soh = cell_type.typical_soh * run.capacity_ah / cell_type.nominal_capacity_ah
    present = to_present(run.soc, np.full(len(run.soc), cell_type.typical_soh))
    return LabelledRun(
        run.name,
        run.test_time_second,
        run.voltage_volt,
        run.current_ampere,
        run.temperature_celsius,
        float(np.median(run.temperature_celsius)),
        to_nominal(present, np.full(len(present), soh)),
        soh,
        run.hysteresis,
    )


def to_measure(runs: Sequence[CircuitRun], cell_type: CellType) -> list[LabelledRun]:
    """Take the longest piece without holes of some runs, time from 0, cut where it would take long."""
    some = runs[:: -(-len(runs) // MOST_HELD_OUT) or 1]
    found = [pieces_of(labelled(run, cell_type), cell_type) for run in some]
    pieces = [max(of_run, key=_seconds) for of_run in found if of_run]
    starts = [piece.test_time_second[0] for piece in pieces]
    moved = [replace(p, test_time_second=p.test_time_second - t) for p, t in zip(pieces, starts, strict=True)]
    return [p[: int(np.searchsorted(p.test_time_second, LONGEST_HELD_OUT_SECOND))] for p in moved]


def pieces_of(run: LabelledRun, cell_type: CellType) -> list[LabelledRun]:
    """Cut a run at its holes; each piece begins a minute before its first load. Short ones are left out."""
    holes = np.flatnonzero(np.diff(run.test_time_second) > 2.0 * LONGEST_HOLD_SECOND + 2.0) + 1
    bounds = [0, *holes.tolist(), len(run.test_time_second)]
    parts = [run[low:high] for low, high in itertools.pairwise(bounds)]
    begins = [load_begin(p.test_time_second, p.current_ampere, cell_type.nominal_capacity_ah) for p in parts]
    cut = [p[int(np.searchsorted(p.test_time_second, t)) :] for p, t in zip(parts, begins, strict=True)]
    return [p for p in cut if _seconds(p) >= SHORTEST_SECOND]


def _trainable(run: CircuitRun, cell_type: CellType) -> list[Run]:
    whole = labelled(run, cell_type)
    return [replace(measured(p, cell_type, whole.soh), weight=run.weight) for p in pieces_of(whole, cell_type)]


def _affordable_steps(network: Network, runs: list[Run], minutes: float) -> int:
    """Say how many steps the time allows, by trying some on a copy."""
    tries = min(PROBE_STEPS, max(1, round(PROBE_STEPS * minutes)))
    began = time.monotonic()
    with TemporaryDirectory() as work:
        train(deepcopy(network), runs, _of(tries), Path(work), lambda _: None)
    each = (time.monotonic() - began) / tries
    return int(np.clip(minutes * 60.0 / each, 1, MOST_STEPS))


def _of(steps: int) -> Settings:
    return replace(SETTINGS, steps=steps, warm_up_steps=min(SETTINGS.warm_up_steps, steps // 5 + 1))


def _seconds(run: LabelledRun) -> float:
    return float(run.test_time_second[-1] - run.test_time_second[0]) if len(run.test_time_second) else 0.0
