"""A log -> a run: its rows in order of time, with the true SOC and the temperature of each (see `labels`)."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daemon.labels import LABELS_FILE, REST_C_RATE, Known, check_counter, label, median, read_rules, says_truth
from daemon.log import Log, read_log

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.log import Float

LEADING_REST_SECOND = 60.0  # of a long rest before the load, this much is kept
CHAMBER = re.compile(r"(?:^|_)(?P<below>neg)?(?P<celsius>\d{1,2})c(?:_|$)")
COLUMNS = ("test_time_second", "voltage_volt", "current_ampere", "temperature_celsius", "soc_nominal")


@dataclass(frozen=True, slots=True)
class Run:
    """A recording of one cell; every array is [row]."""

    name: str
    test_time_second: Float  # ascending
    voltage_volt: Float
    current_ampere: Float  # positive on charge
    temperature_celsius: Float
    ambient_temperature_celsius: float  # of the chamber; NaN where unknown
    soc_nominal: Float  # NaN where there is no label
    soh: float = np.nan  # NaN where unknown
    hysteresis: float = 0.0  # h (see `Tables`) before the first row

    @property
    def labelled(self) -> bool:
        """Tell whether there is any truth."""
        return bool(np.isfinite(self.soc_nominal).any())

    def __getitem__(self, which: slice | NDArray[np.bool_]) -> Run:
        """Take some rows."""
        return replace(self, **{name: getattr(self, name)[which] for name in COLUMNS})


def read_run(path: Path, known: Known) -> Run:
    """Read one log for an estimator to follow: from a minute before the first load on.

    It has no truth where neither a column nor `labels.yaml` says one. Raises LogError, also where the label makes no
    sense: a counter that parts from the integral of the current belongs to a test with holes (pulses, slow runs).
    """
    log = _in_order(read_log(path))
    known = _with_rules_beside(path, known)
    run = _run(path, log, known, labelled=says_truth(log, stem(path), known))
    if run.labelled:
        check_counter(log, known)
    begin = load_begin(run.test_time_second, run.current_ampere, known.nominal_capacity_ah)
    return run[int(np.searchsorted(run.test_time_second, begin)) :]


def read_labelled(path: Path, known: Known) -> Run:
    """Read all rows of a log that have a label; the current is counted where no column says more. Raises LogError."""
    run = _run(path, _in_order(read_log(path)), _with_rules_beside(path, known), labelled=True)
    return run[np.isfinite(run.soc_nominal)]


def stem(path: Path) -> str:
    """Name a log by its file, without the endings."""
    return path.name.removesuffix(".gz").removesuffix(".csv").removesuffix(".parquet")


def log_paths(folder: Path) -> list[Path]:
    """List the logs of a folder."""
    return sorted(p for p in folder.iterdir() if p.name.endswith((".csv", ".csv.gz", ".parquet")))


def load_begin(test_time_second: Float, current_ampere: Float, nominal_capacity_ah: float) -> float:
    """Say when a run begins for an estimator: a minute before its first load."""
    loaded = np.flatnonzero(np.abs(current_ampere) > REST_C_RATE * nominal_capacity_ah)
    first = float(test_time_second[0])
    return max(first, float(test_time_second[loaded[0]]) - LEADING_REST_SECOND) if len(loaded) else first


def on_grid(run: Run) -> tuple[Float, Float, Float, Float]:
    """Voltage, current, temperature and label of every whole second, the last row held."""
    time = run.test_time_second
    row = np.searchsorted(time, np.arange(np.ceil(time[0]), np.floor(time[-1]) + 1), side="right") - 1
    return run.voltage_volt[row], run.current_ampere[row], run.temperature_celsius[row], run.soc_nominal[row]


def _run(path: Path, log: Log, known: Known, labelled: bool) -> Run:
    name = stem(path)
    truth = label(log, name, known) if labelled else None
    chamber = _chamber(log, name)
    return Run(
        name,
        log.test_time_second,
        log.voltage_volt,
        log.current_ampere,
        _temperature(log, chamber, name, known),
        chamber,
        np.full(len(log), np.nan) if truth is None else truth.soc_nominal,
        np.nan if truth is None else truth.soh,
        0.0 if truth is None else truth.hysteresis,
    )


def _in_order(log: Log) -> Log:
    """Put the rows in order of time; of rows of the same time the first."""
    order = np.unique(log.test_time_second, return_index=True)[1]
    columns: dict[str, Any] = {
        f.name: value[order] for f in fields(log) if isinstance(value := getattr(log, f.name), np.ndarray)
    }
    return replace(log, **columns)


def _with_rules_beside(path: Path, known: Known) -> Known:
    return replace(known, rules=(*read_rules(path.parent / LABELS_FILE), *known.rules))


def _chamber(log: Log, name: str) -> float:
    """Say the chamber's temperature: by the file's name (`25c_us06`, `neg10c_la92`), else by the column."""
    if named := CHAMBER.search(name):
        return float(named["celsius"]) * (-1.0 if named["below"] else 1.0)
    return median(log.ambient_temperature_celsius)


def _temperature(log: Log, chamber: float, name: str, known: Known) -> Float:
    """Temperature of the cell: its column, else what the rules say, else the chamber's, else the one given."""
    told = known.rule(name).temperature_celsius
    instead = told if told is not None else known.ambient_temperature_celsius if np.isnan(chamber) else chamber
    around = np.full(len(log), instead)
    if told is None and log.ambient_temperature_celsius is not None:
        around = np.where(np.isnan(log.ambient_temperature_celsius), around, log.ambient_temperature_celsius)
    return np.where(np.isnan(log.temperature_celsius), around, log.temperature_celsius)
