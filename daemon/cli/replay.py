"""`bmsd replay`: recorded logs through the same pipeline as live telemetry, to a file of states."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.errors import JournalError, LogError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from daemon.config import Cells
    from daemon.fleet import Counters
    from daemon.log import Log
    from daemon.replay import Settings, States

EXAMPLE = "bmsd replay drive.csv.gz --cell-type panasonic-18650pf --out states.csv"

UNUSUAL = ("duplicate", "late", "clock", "gaps", "held_second", "absurd")
PROGRESS_SECOND = 10.0
INTERRUPTED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("logs", nargs="+", type=Path, metavar="LOG", help="CSV, CSV.gz or Parquet with BDF names; a state directory")
    add("--out", type=Path, required=True, help="FILE.csv, FILE.parquet, or a folder for one CSV per log")
    add("--json", action="store_true", help="print the summary for a machine")

    cell = parser.add_argument_group("the cell").add_argument
    cell("--cell-type", required=True, metavar="T", help="name of a cell type, or a folder made by bmsd fit")
    cell("--estimator", choices=("fused", "cross_stitch", "ekf", "coulomb"), help="default: the cell type's")
    cell("--soc-reference", choices=("present", "nominal"), help="of SOC, in and out (default: the cell type's)")
    cell("--initial-soc", type=_share, metavar="SOC", help="default: found from the first samples")
    cell("--initial-soh", type=float, metavar="SOH", help="default: typical of the cell type")
    cell("--ambient-temperature-celsius", type=float, metavar="C", help="default: the log's own, else 25")

    pace = parser.add_argument_group("time").add_argument
    pace("--max-hold-second", type=float, default=120.0, metavar="S", help="longest gap that is bridged (default 120)")
    pace("--start", type=_moment, metavar="TIME", help="ISO time of a log that has no wall time (default 1970)")
    pace("--speed", type=_speed, default=math.inf, metavar="X", help="times real time, or max (default max)")
    pace("--through", choices=("mqtt",), help="send it through the broker of the configuration and back")
    pace(
        "--config",
        type=Path,
        metavar="FILE",
        help="its grid: and mqtt: are taken; for a journal its packs' current_sign",
    )


def run(args: argparse.Namespace) -> int:
    """Do it. Raises UsageError, ConfigError, WeightsError, BrokerError or SinkError."""
    from daemon.config import Config, read_config
    from daemon.fleet import Fleet
    from daemon.health.checks import examiner
    from daemon.replay import States, configure, frames, initial_soc, place, straight, write, write_health

    base = read_config(args.config) if args.config or args.through else Config()
    logs, all_read = read_logs(args.logs, base.cells)
    if not logs:
        return 1
    settings = _settings(args)
    if not args.config:
        base = base.model_copy(update={"grid": Config().grid})  # the broker is taken from where it may stand, no more
    recordings = place(logs, settings)
    config = configure(base, recordings, settings)
    checks = examiner(config.health)
    fleet = Fleet(config, initial_soc(recordings, settings), checks)
    all_states = [States(recording) for recording in recordings]
    stopped = False
    with _progress(sum(map(len, logs))) as progress:
        try:
            if args.through:
                from daemon.through_mqtt import through_mqtt

                through_mqtt(fleet, all_states, config, args.speed, progress)
            else:
                straight(fleet, all_states, args.speed, progress)
        except KeyboardInterrupt:
            stopped = True
    all_states = [states for states in all_states if len(states)]
    files = frames(all_states, args.out)
    for path, frame in files:
        write(frame, path)
    written = [str(path) for path, _ in files]
    if any(states.health for states in all_states):
        written.append(str(write_health(all_states, args.out)))
    if stopped:
        kept = ", ".join(f"{len(frame)} rows in {path}" for path, frame in files)
        print(f"stopped; kept: {kept or 'nothing'}", file=sys.stderr)
    _say(all_states, written, fleet.counters, as_json=args.json)
    return INTERRUPTED if stopped else int(not all_read)


def read_logs(paths: list[Path], cells: Cells) -> tuple[list[Log], bool]:
    """Read the logs, a journal as one for each cell; one that is none is reported, and the others go on."""
    from daemon.journal_logs import find_journal, read_journal_logs
    from daemon.log import read_log

    logs: list[Log] = []
    all_read = True
    for path in paths:
        journal = find_journal(path)
        try:
            found = read_journal_logs(journal, cells) if journal else [read_log(path)]
        except (LogError, JournalError) as err:
            print(err, file=sys.stderr)
            all_read = False
            continue
        for row in (row for log in found for row in log.broken):
            print(f"{path}:{row.line}: {row.why}; skipped", file=sys.stderr)
        logs += found
    return logs, all_read


def _settings(args: argparse.Namespace) -> Settings:
    from daemon.replay import Settings

    return Settings(
        args.cell_type,
        args.estimator,
        args.soc_reference,
        args.initial_soc,
        args.initial_soh,
        args.ambient_temperature_celsius,
        args.max_hold_second,
        args.start,
    )


def _say(all_states: list[States], files: list[str], counters: Counters, *, as_json: bool) -> None:
    """Sum up on stdout."""
    logs = [
        {"log": str(s.recording.log.path), "samples": s.samples, "broken": len(s.recording.log.broken), "rows": len(s)}
        for s in all_states
    ]
    counts = {name: value for name, value in asdict(counters).items() if isinstance(value, int)}
    if as_json:
        print(json.dumps({"logs": logs, "files": files, "counters": counts}))
        return
    for log in logs:
        print("  ".join(f"{name}={value}" for name, value in log.items()))
    unusual = {name: counts[name] for name in UNUSUAL if counts[name]}
    print("  ".join([*(f"{name}={value}" for name, value in unusual.items()), "wrote", *files]))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show how many samples have gone through: a bar on a terminal, else a line every ten seconds."""
    if not sys.stderr.isatty():
        yield _Lines(total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), "samples", TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("replay", total=total)
        yield lambda more: bar.advance(task, more)


class _Lines:
    """Says a line now and then."""

    def __init__(self, total: int) -> None:
        self._done, self._total = 0, total
        self._began = self._said = time.monotonic()

    def __call__(self, more: int) -> None:
        self._done += more
        now = time.monotonic()
        if now - self._said >= PROGRESS_SECOND:
            self._said = now
            rate = self._done / (now - self._began)
            left = (self._total - self._done) / rate
            print(f"replay  {self._done} of {self._total} samples  {rate:.0f}/s  {left:.0f} s left", file=sys.stderr)


def _share(text: str) -> float:
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not within 0 and 1")
    return value


def _speed(text: str) -> float:
    value = math.inf if text == "max" else float(text)
    if not value > 0.0:
        raise argparse.ArgumentTypeError(f"{text} is neither `max` nor a number above 0")
    return value


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as err:
        raise argparse.ArgumentTypeError(f"{text} is not an ISO time, as 2026-05-01T12:00:00Z") from err
    second = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if second < 0.0:
        raise argparse.ArgumentTypeError(f"{text} is before 1970")
    return second
