"""A recorded log -> its states: the samples take the same way as live ones, at any speed, to the same bits.

log -> recording (a cell, placed in time) -> batches -> Fleet.push -> states, and health reports beside them
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
import numpy as np
from pydantic import ValidationError

from daemon.batch import Batch
from daemon.config import Cells, Config, PackRule
from daemon.errors import SinkError, UsageError
from daemon.rows import Flag, Output, Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import polars

    from daemon.config import EstimatorName
    from daemon.fleet import Fleet
    from daemon.log import Log
    from daemon.wire import Health

BATCH_SAMPLES = 512
SLICE_SECOND = 0.1  # of wall time: how finely a paced replay is cut
CELSIUS = 25.0
FORMATS = (".csv", ".parquet")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a log does not say of its cell; None: as the cell type has it."""

    cell_type: str
    estimator: EstimatorName | None = None
    soc_reference: Literal["present", "nominal"] | None = None
    initial_soc: float | None = None
    initial_soh: float | None = None
    ambient_temperature_celsius: float | None = None  # None: the log's own, else 25
    max_hold_second: float = 120.0  # testers log a minute apart in rests and slow discharges
    start_second: float | None = None  # where a log without wall time begins; None: 0


class Recording(NamedTuple):
    """A log as one cell of a fleet. Grid seconds of event time are whole seconds of test time."""

    log: Log
    cell: str  # "pack/cell"
    base_second: int  # event time at which test time is zero


def place(logs: list[Log], settings: Settings) -> list[Recording]:
    """Make each log a cell of its own, at the wall time that it says, else where the settings say."""
    recordings = []
    for index, log in enumerate(logs):
        start = settings.start_second or 0.0
        if log.unix_time_second is not None:
            both = np.flatnonzero(np.isfinite(log.unix_time_second))[:1]
            start = float((log.unix_time_second - log.test_time_second)[both].sum()) if len(both) else start
        recordings.append(Recording(log, f"log{index}/cell", int(np.floor(max(start, 0.0)))))
    return recordings


def configure(base: Config, recordings: list[Recording], settings: Settings) -> Config:
    """Make a configuration in which every recording is a pack of its own. Raises UsageError."""
    try:
        rules = [
            PackRule(
                pattern=recording.cell.partition("/")[0],
                cell_type=settings.cell_type,
                estimator=settings.estimator,
                soc_reference=settings.soc_reference,
                initial_soh=settings.initial_soh,
                max_hold_second=settings.max_hold_second,
                ambient_temperature_celsius=_ambient(recording.log, settings),
            )
            for recording in recordings
        ]
        cells = Cells(packs=rules, unknown="refuse", cells_max=max(len(rules), 1))
    except ValidationError as err:
        first = err.errors()[0]
        option = "--" + str(first["loc"][0]).replace("_", "-")
        raise UsageError(f"{option} {first['input']}: {first['msg']}", mend="bmsd replay --help") from err
    return base.model_copy(update={"cells": cells})


def _ambient(log: Log, settings: Settings) -> float:
    if settings.ambient_temperature_celsius is not None:
        return settings.ambient_temperature_celsius
    own = np.empty(0) if log.ambient_temperature_celsius is None else log.ambient_temperature_celsius
    own = own[np.isfinite(own)]
    return float(own[0]) if len(own) else CELSIUS


def initial_soc(recordings: list[Recording], settings: Settings) -> dict[str, float]:
    """Say what each cell starts from, as Fleet wants it."""
    return {} if settings.initial_soc is None else dict.fromkeys((r.cell for r in recordings), settings.initial_soc)


def batches(
    recording: Recording, speed: float = np.inf, wait: Callable[[float], object] = time.sleep
) -> Iterator[Batch]:
    """Cut a recording into batches; at a finite speed, `wait` so many seconds until each is due."""
    log = recording.log
    if not np.isfinite(speed):
        cuts = np.arange(0, len(log), BATCH_SAMPLES)
        due = np.zeros(len(cuts))
    else:
        elapsed = np.maximum.accumulate(log.test_time_second - log.test_time_second[0]) / speed
        cuts = np.flatnonzero(np.diff(np.floor(elapsed / SLICE_SECOND), prepend=-1.0))
        due = elapsed[cuts]
    began = time.monotonic()
    for begin, end, when in zip(cuts, [*cuts[1:], len(log)], due, strict=True):
        wait(max(0.0, began + when - time.monotonic()))
        part = slice(int(begin), int(end))
        yield Batch(
            (recording.cell,),
            np.zeros(end - begin, dtype=np.int32),
            log.test_time_second[part] + recording.base_second,
            log.voltage_volt[part],
            log.current_ampere[part],
            log.temperature_celsius[part],
        )


@dataclass(slots=True)
class States:
    """What the fleet said of one recording."""

    recording: Recording
    samples: int = 0
    events: int = 0
    health: list[Health] = field(default_factory=list)
    _rows: list[Rows] = field(default_factory=list)

    def take(self, output: Output, samples: int = 0) -> None:
        """Add what came of so many samples."""
        self._rows.append(output.rows)
        self.health += [report for _, report in output.health]
        self.events += len(output.events)
        self.samples += samples

    def __len__(self) -> int:
        """Count the grid seconds."""
        return sum(map(len, self._rows))

    def health_lines(self) -> list[dict[str, object]]:
        """Lay out the health reports: what goes over the wire, with the log's name and its own time."""
        name = self.recording.log.path.name
        return [
            {
                "file": name,
                "test_time_second": report.unix_time_second - self.recording.base_second,
                **msgspec.to_builtins(report),
            }
            for report in self.health
        ]

    def frame(self) -> polars.DataFrame:
        """Lay them out: one row per grid second."""
        import polars

        rows = Rows.join(self._rows)
        names = {bits: "|".join(Flag.names(bits)) for bits in np.unique(rows.flags).tolist()}
        return polars.DataFrame(
            {
                "test_time_second": rows.second - self.recording.base_second,
                "soc": rows.soc,
                "soc_std": rows.soc_std,
                "soh": rows.soh,
                "soh_std": rows.soh_std,
                "flags": polars.Series([names[bits] for bits in rows.flags.tolist()], dtype=polars.String),
            }
        )


def straight(fleet: Fleet, all_states: list[States], speed: float, progress: Callable[[int], None]) -> None:
    """Push recordings into the fleet, one after the other; `progress` is told of samples that have gone in."""
    for states in all_states:
        for batch in batches(states.recording, speed):
            states.take(fleet.push(batch), len(batch))
            progress(len(batch))
        states.take(fleet.flush())


def frames(all_states: list[States], out: Path) -> list[tuple[Path, polars.DataFrame]]:
    """Say what goes into which file: all into one that is named with its format, else one CSV per log into a folder."""
    import polars

    names = distinct([states.recording.log.path for states in all_states])
    if out.suffix not in FORMATS:
        return [(out / f"{name}.csv", s.frame()) for name, s in zip(names, all_states, strict=True)]
    if len(all_states) == 1:
        return [(out, all_states[0].frame())]
    parts = [s.frame().select(polars.lit(name).alias("file"), "*") for name, s in zip(names, all_states, strict=True)]
    return [(out, polars.concat(parts))] if parts else []


def write_health(all_states: list[States], out: Path) -> Path:
    """Write every health report beside the states: states.csv -> states.health.jsonl. Raises SinkError."""
    path = out.with_suffix(".health.jsonl") if out.suffix in FORMATS else out / "states.health.jsonl"
    lines = [line for states in all_states for line in states.health_lines()]
    try:
        path.write_bytes(msgspec.json.Encoder().encode_lines(lines))
    except OSError as err:
        raise SinkError(f"cannot write: {err.strerror or err}", where=str(path), mend="choose another --out") from err
    return path


def distinct(paths: list[Path]) -> list[str]:
    """Name logs by their files without the ending, and by a number too where two are alike."""
    names: list[str] = []
    for path in paths:
        stem = path.name.removesuffix(".gz").removesuffix(".csv").removesuffix(".parquet")
        again = sum(n == stem or n.startswith(f"{stem}~") for n in names)
        names.append(f"{stem}~{again + 1}" if again else stem)
    return names


def write(frame: polars.DataFrame, path: Path) -> None:
    """Write a CSV or Parquet file whole or not at all. Raises SinkError."""
    import polars

    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            frame.write_parquet(partial)
        else:
            plain = frame.with_columns(polars.col("flags").replace("", None))  # an empty text would be quoted
            plain.write_csv(partial, float_precision=6)
        partial.replace(path)
    except OSError as err:
        raise SinkError(f"cannot write: {err.strerror or err}", where=str(path), mend="choose another --out") from err
    finally:
        with suppress(OSError):
            partial.unlink()
