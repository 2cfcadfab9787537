"""A folder of logs -> runs with their true SOC, for training and evaluation.

The label is the SOC of nominal capacity: the `soc` column where there is one (of present capacity, where a
`soh` column stands beside it), else
1 + net_capacity_ah / nominal capacity, for logs that start full. A counter that does not start at zero, or that
parts from the integral of the current, belongs to a test with holes (pulses, slow runs): no label.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daemon.errors import LogError
from daemon.log import Log, read_log
from estimators.contract import to_nominal

Float = NDArray[np.float64]
LEADING_REST_SECOND = 60.0  # of a long rest before the load, this much is kept
REST_C_RATE = 0.02
CHAMBER = re.compile(r"(?:^|_)(?P<below>neg)?(?P<celsius>\d{1,2})c(?:_|$)")
COUNTER_AGREEMENT = 0.03  # of nominal capacity, between the tester's counter and the integral of its current
LONGEST_HOLD_SECOND = 30.0


@dataclass(frozen=True, slots=True)
class Run:
    """The part of a log from a minute before the first load; every array is [row]."""

    name: str
    test_time_second: Float
    voltage_volt: Float
    current_ampere: Float
    temperature_celsius: Float
    ambient_temperature_celsius: float  # of the chamber; NaN where unknown
    soc_nominal: Float  # NaN where there is no label

    @property
    def labelled(self) -> bool:
        """Tell whether there is any truth."""
        return bool(np.isfinite(self.soc_nominal).any())


def read_run(path: Path, nominal_capacity_ah: float) -> Run:
    """Read one log with its label, if it has one. Raises LogError, also where the label makes no sense."""
    log = read_log(path)
    begin = np.searchsorted(log.test_time_second, _load_begin(log, nominal_capacity_ah))
    return Run(
        stem(path),
        log.test_time_second[begin:],
        log.voltage_volt[begin:],
        log.current_ampere[begin:],
        log.temperature_celsius[begin:],
        _chamber(log),
        _label(log, nominal_capacity_ah)[begin:],
    )


def stem(path: Path) -> str:
    """Name a log by its file, without the endings."""
    return path.name.removesuffix(".gz").removesuffix(".csv").removesuffix(".parquet")


def log_paths(folder: Path) -> list[Path]:
    """List the logs of a folder."""
    return sorted(p for p in folder.iterdir() if p.name.endswith((".csv", ".csv.gz", ".parquet")))


def _chamber(log: Log) -> float:
    """Say the chamber's temperature: by the file's name (`25c_us06`, `neg10c_la92`), else by the column."""
    if named := CHAMBER.search(stem(log.path)):
        return float(named["celsius"]) * (-1.0 if named["below"] else 1.0)
    ambient = log.ambient_temperature_celsius
    return float(np.nanmedian(ambient)) if ambient is not None and np.isfinite(ambient).any() else np.nan


def _label(log: Log, nominal_capacity_ah: float) -> Float:
    if log.soc is not None and np.isfinite(log.soc).any():
        return log.soc if log.soh is None else to_nominal(log.soc, log.soh)
    net = log.net_capacity_ah
    if net is None or not np.isfinite(net).any():
        return np.full(len(log), np.nan)
    held = np.minimum(np.diff(log.test_time_second, append=log.test_time_second[-1]), LONGEST_HOLD_SECOND)
    counted = np.cumsum(log.current_ampere * held) / 3600.0
    apart = np.nanmax(np.abs(net - counted)) / nominal_capacity_ah
    if apart > COUNTER_AGREEMENT:
        raise LogError(
            f"net_capacity_ah parts from the integral of the current by {apart:.0%} of the nominal capacity",
            where=str(log.path),
            mend="score whole cycles whose counter starts at 0 with the cell full",
        )
    return 1.0 + net / nominal_capacity_ah


def _load_begin(log: Log, nominal_capacity_ah: float) -> float:
    loaded = np.flatnonzero(np.abs(log.current_ampere) > REST_C_RATE * nominal_capacity_ah)
    first = float(log.test_time_second[0])
    return max(first, float(log.test_time_second[loaded[0]]) - LEADING_REST_SECOND) if len(loaded) else first


def on_grid(run: Run) -> tuple[Float, Float, Float, Float]:
    """Voltage, current, temperature and label of every whole second, the last row held."""
    time = run.test_time_second
    row = np.searchsorted(time, np.arange(np.ceil(time[0]), np.floor(time[-1]) + 1), side="right") - 1
    return run.voltage_volt[row], run.current_ampere[row], run.temperature_celsius[row], run.soc_nominal[row]
