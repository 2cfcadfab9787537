"""`bmsd export`: states, events or health reports out of the embedded store."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.errors import UsageError

if TYPE_CHECKING:
    import argparse

EXAMPLE = "bmsd export --out states.parquet --pack p0 --since 2026-05-01"
ENDINGS = (".csv", ".parquet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="FILE", help="ends in .csv or .parquet")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--events", dest="table", action="store_const", const="event", help="events instead")
    what.add_argument("--health", dest="table", action="store_const", const="health", help="health reports instead")
    parser.set_defaults(table="state")
    add("--pack", help="of this pack alone")
    add("--cell", help="of the cells of this name alone")
    add("--since", metavar="TIME", help="event time from here on: 2026-05-01, 2026-05-01T12:00:00Z, or a unix time")
    add("--until", metavar="TIME", help="event time up to, and without, this")
    add("--config", type=Path, metavar="FILE", help="its service.state_directory is where the store is looked for")
    add("--state-directory", type=Path, metavar="DIR", help="look here instead")
    add("--json", action="store_true", help="print the summary for a machine")


def run(args: argparse.Namespace) -> int:
    """Do it. Raises UsageError, ConfigError or JournalError."""
    if args.out.suffix not in ENDINGS:
        raise UsageError(f"{args.out} ends neither in .csv nor in .parquet", where="--out")
    since, until = _second(args.since, "--since"), _second(args.until, "--until")

    from daemon.export import Choice, export

    if args.state_directory is None:
        from daemon.config import read_config

        args.state_directory = read_config(args.config).service.state_directory
    choice = Choice(args.table, args.pack, args.cell, since, until)
    rows = export(args.state_directory, choice, args.out)
    summary = {"rows": rows, "file": str(args.out)}
    print(json.dumps(summary) if args.json else f"{rows:,} rows in {args.out}", file=sys.stdout)
    return 0


def _second(text: str | None, argument: str) -> float | None:
    """Read a time: a number of seconds, or ISO 8601, UTC where it names no zone. Raises UsageError."""
    from datetime import UTC, datetime

    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as err:
        raise UsageError(f"`{text}` is no time", where=argument, mend="write 2026-05-01T12:00:00Z") from err
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
