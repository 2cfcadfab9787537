"""Logs of one kind of cell -> its tables, and how good they are on logs that had no part in them."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatch
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from daemon.errors import LogError
from daemon.labels import LONGEST_HOLD_SECOND, Known
from daemon.runs import load_begin, read_labelled, stem
from estimators.contract import Second, Start, to_nominal, to_present
from estimators.ekf import Ekf
from estimators.ekf.identify import HYSTERESIS_WORTH, Run, choose, explain, solve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from daemon.log import Float
    from daemon.runs import Run as LabelledRun
    from estimators.cell_type import CellType, Tables

SUPPORTING_WEIGHT = 0.1
HELD_OUT_EVERY = 5
HYSTERETIC = ("lfp",)  # chemistries whose tables always have hysteresis
WRONG_START = -0.3
SHORTEST_SECOND = 3600.0  # of a part without holes, to be worth scoring


class Parts(NamedTuple):
    """Which logs find the tables, which measure them before the last fit, and which measure the last fit."""

    train: list[Run]
    validation: list[Run]
    test: list[Run]


class Score(NamedTuple):
    """How well tables explain one run, and how well the filter over them finds its SOC."""

    run: str
    residual_millivolt: float
    right_start_point: float  # mean absolute error; of its longest part without holes; NaN where that is short
    wrong_start_point: float  # started 30 points too low


class Fitted(NamedTuple):
    """Tables, and their scores beside those of what was known before."""

    tables: Tables
    validation: list[Score]  # of tables from the training runs alone
    test: list[Score]  # of `tables`
    before: list[Score]  # of the similar cell's tables, on the same runs as `unseen`; empty where there are none
    blind: Tables  # those that have not seen the runs of `unseen`

    @property
    def unseen(self) -> list[Score]:
        """Scores of the runs that had least to do with the fit."""
        return self.test or self.validation


def part(
    paths: Sequence[Path],
    split: dict[str, list[str]] | None,
    supporting: Sequence[str],
    known: Known,
    progress: Callable[[str], None] = lambda _: None,
) -> Parts:
    """Read the logs and part them: by whole file as `split` names them, else every fifth file is held out.

    Where there are fewer than five that are not merely supporting, the last fifth of each file's rows is held
    out. A log without a label is left out, and named in `progress`; raises LogError where there is no other.
    """

    def read(chosen: Sequence[Path]) -> list[Run]:
        weak = [any(fnmatch(stem(path), pattern) for pattern in supporting) for path in chosen]
        runs, refused = [], []
        for path, supports in zip(chosen, weak, strict=True):
            try:
                runs.append(of_circuit(read_labelled(path, known), known, SUPPORTING_WEIGHT if supports else 1.0))
            except LogError as err:
                progress(f"left out: {path.name}: {err.what}")
                refused.append(err)
        if refused and not runs:
            raise refused[0]
        return runs

    if split is not None:
        return Parts(*(read([p for p in paths if stem(p) in split.get(name, ())]) for name in Parts._fields))
    runs = read(paths)
    full = [run for run in runs if run.weight == 1.0]
    held_out = {run.name for run in full[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]}
    if held_out:
        return Parts([r for r in runs if r.name not in held_out], [r for r in runs if r.name in held_out], [])
    cuts = [len(run.soc) - len(run.soc) // HELD_OUT_EVERY for run in runs]
    heads = [rows(run, slice(0, cut)) for run, cut in zip(runs, cuts, strict=True)]
    return Parts(heads, [rows(run, slice(cut, None)) for run, cut in zip(runs, cuts, strict=True)], [])


def of_circuit(run: LabelledRun, known: Known, weight: float = 1.0) -> Run:
    """Make a labelled run one whose SOC is as the tables count it."""
    soh = known.reference_soh if np.isnan(run.soh) else run.soh
    return Run(
        name=run.name,
        test_time_second=run.test_time_second,
        voltage_volt=run.voltage_volt,
        current_ampere=run.current_ampere,
        temperature_celsius=run.temperature_celsius,
        soc=1.0 - (1.0 - run.soc_nominal) * known.reference_soh / soh,
        capacity_ah=known.nominal_capacity_ah * soh / known.reference_soh,
        hysteresis=run.hysteresis,
        weight=weight,
    )


def rows(run: Run, which: slice) -> Run:
    """Take some rows of a run."""
    names = ("test_time_second", "voltage_volt", "current_ampere", "temperature_celsius", "soc")
    return replace(run, **{name: getattr(run, name)[which] for name in names})


def fit(
    parts: Parts,
    cell_type: CellType,
    like: Tables | None,
    before: Tables | None,
    progress: Callable[[str], None],
) -> Fitted:
    """Identify on the training runs and measure on the validation runs; then identify on both and measure on the test.

    `like` guides the fit, `before` is measured beside it. Raises ValueError where there is nothing to fit.
    """
    capacity, soh = cell_type.nominal_capacity_ah, cell_type.typical_soh
    if not any(run.current_ampere.any() for run in parts.train):
        raise ValueError("no current flows in any log to fit")
    progress(f"{len(parts.train)} runs to fit, {len(parts.validation)} to validate, {len(parts.test)} to test")
    worth = np.inf if cell_type.chemistry in HYSTERETIC else HYSTERESIS_WORTH
    choice = choose(parts.train, capacity, like, progress, worth)
    trial = solve(parts.train, capacity, choice, soh, like)
    validation = score(trial, cell_type, parts.validation)
    seen_before = score(before, cell_type, parts.test or parts.validation) if before is not None else []
    progress("again, on all but the test runs")
    tables = solve([*parts.train, *parts.validation], capacity, choice, soh, like)
    test = score(tables, cell_type, parts.test)
    return Fitted(tables, validation, test, seen_before, tables if parts.test else trial)


def rescaled(tables: Tables, from_ah: float, to_ah: float) -> Tables:
    """Make a cell's tables those of a larger or smaller cell of its make."""
    return replace(
        tables,
        ohmic_ohm=tables.ohmic_ohm * (from_ah / to_ah),
        rc_ohm=tables.rc_ohm * (from_ah / to_ah),
        charge_transfer_ampere=tables.charge_transfer_ampere * (to_ah / from_ah),
    )


def score(tables: Tables, cell_type: CellType, runs: Sequence[Run]) -> list[Score]:
    """Measure tables on runs."""
    if not runs:
        return []
    ekf = Ekf(cell_type, tables)
    scores = []
    for run in runs:
        residual = run.voltage_volt - explain(tables, run)
        errors = _filter_errors(ekf, run) if len(run.soc) > 1 else (np.nan, np.nan)
        scores.append(Score(run.name, 1000.0 * float(np.sqrt(np.mean(residual**2))), *errors))
    return scores


def _filter_errors(ekf: Ekf, run: Run) -> tuple[float, float]:
    """Mean absolute error in points of the filter started right, and started 30 points too low."""
    time = run.test_time_second
    begin = load_begin(time, run.current_ampere, ekf.cell_type.nominal_capacity_ah)
    begin = time[max(0, int(np.searchsorted(time, begin, side="right")) - 1)]
    holes = np.flatnonzero(np.diff(time) > 2.0 * LONGEST_HOLD_SECOND + 2.0)
    begins = np.concatenate([[begin], time[holes + 1][time[holes + 1] > begin]])
    ends = np.concatenate([time[holes][time[holes + 1] > begin], time[-1:]])
    longest = int(np.argmax(ends - begins))
    begin, end = begins[longest], ends[longest]
    if len(begins) > 1 and end - begin < SHORTEST_SECOND:
        return np.nan, np.nan
    row = np.searchsorted(time, np.arange(np.ceil(begin), np.floor(end) + 1.0), side="right") - 1
    reference = np.full(2, ekf.circuit.reference_soh)
    soh = reference * run.capacity_ah / ekf.cell_type.nominal_capacity_ah
    start = run.soc[row[0]] + np.array([0.0, WRONG_START])
    state = ekf.init(Start.told(to_present(start, reference), soh))
    estimated: list[Float] = []
    for k in row:
        columns = (run.voltage_volt[k], run.current_ampere[k], run.temperature_celsius[k])
        state, estimate = ekf.step(state, Second(*(np.full(2, value) for value in columns)))
        estimated.append(to_nominal(estimate.soc, reference))
    error = np.abs(np.stack(estimated) - run.soc[row][:, None]).mean(axis=0) * 100.0
    return float(error[0]), float(error[1])
