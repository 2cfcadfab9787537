"""A log -> a run whose SOC is known in every row, for identification."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from daemon.errors import LogError
from daemon.log import Log, read_log
from daemon.runs import stem
from estimators.ekf.identify import HOLE_SECOND, Run

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.log import Float


class Known(NamedTuple):
    """What is known of the cell beside its logs."""

    nominal_capacity_ah: float
    reference_soh: float  # the cell's SOH where a log has no `soh` column
    initial_soc: float  # of nominal capacity, where a log has no `soc` column
    ambient_temperature_celsius: float  # where a log has no temperature


def labelled(path: Path, known: Known, weight: float = 1.0) -> Run:
    """Read a log with its SOC.

    The SOC is the `soc` column (of present capacity where `soh` stands beside it, else of nominal capacity), or
    else it is counted from `initial_soc` in the first row: by `net_capacity_ah`, or by the current. Counted
    labels end at their lowest: a slow charge after a slow discharge was seen to end 13 points off.
    Raises LogError where there is nothing to count with.
    """
    log = read_log(path)
    order = np.unique(log.test_time_second, return_index=True)[1]
    soc, counted = _soc(log, known)
    temperature = log.temperature_celsius
    if log.ambient_temperature_celsius is not None:
        temperature = np.where(np.isnan(temperature), log.ambient_temperature_celsius, temperature)
    run = Run(
        name=stem(path),
        test_time_second=log.test_time_second[order],
        voltage_volt=log.voltage_volt[order],
        current_ampere=log.current_ampere[order],
        temperature_celsius=np.where(np.isnan(temperature), known.ambient_temperature_celsius, temperature)[order],
        soc=soc[order],
        capacity_ah=known.nominal_capacity_ah * _soh(log, known) / known.reference_soh,
        weight=weight,
    )
    run = rows(run, np.isfinite(run.soc))
    return rows(run, slice(0, int(np.argmin(run.soc)) + 1)) if counted else run


def rows(run: Run, which: slice | np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Run:
    """Take some rows of a run."""
    names = ("test_time_second", "voltage_volt", "current_ampere", "temperature_celsius", "soc")
    return replace(run, **{name: getattr(run, name)[which] for name in names})


def _soh(log: Log, known: Known) -> float:
    if log.soh is None or log.soc is None or not np.isfinite(log.soh).any():
        return known.reference_soh
    return float(np.nanmedian(log.soh))


def _soc(log: Log, known: Known) -> tuple[Float, bool]:
    """SOC as the tables count it, and whether it was counted."""
    if log.soc is not None and np.isfinite(log.soc).any():
        return (log.soc if log.soh is None else 1.0 - (1.0 - log.soc) * known.reference_soh), False
    if log.net_capacity_ah is not None and np.isfinite(log.net_capacity_ah).any():
        charge_ah = log.net_capacity_ah - log.net_capacity_ah[np.isfinite(log.net_capacity_ah)][0]
    else:
        hold = np.diff(log.test_time_second, append=log.test_time_second[-1])
        if hold.max() > HOLE_SECOND:
            raise LogError(
                f"a hole of {hold.max():.0f} s, and no column that says how much charge flowed in it",
                where=str(log.path),
                mend="add net_capacity_ah or soc, or cut the log at the hole",
            )
        charge_ah = np.cumsum(log.current_ampere * hold) / 3600.0
    return known.initial_soc + charge_ah / known.nominal_capacity_ah, True
