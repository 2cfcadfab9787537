"""`bmsd health`: what a log's rests, charges and pulse tests say of a cell's health."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from daemon.wire import Health, Scenario

EXAMPLE = "bmsd health log.csv --cell-type panasonic-18650pf --plot pictures/"
_SCENARIOS = {"as_now": "used as now", "last_week": "as last week", "as_configured": "as configured"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("logs", type=Path, nargs="+", metavar="LOG", help="recorded logs of one kind of cell")
    parser.add_argument("--cell-type", required=True, metavar="TYPE", help="a name or a folder")
    parser.add_argument("--initial-soc", type=float, metavar="SOC", help="at the log's first row (default: unknown)")
    parser.add_argument("--initial-soh", type=float, metavar="SOH", help="default: the type's usual")
    parser.add_argument("--ambient-temperature-celsius", type=float, help="where the log has no temperature")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="draw relaxations, trajectories and the SOH")
    parser.add_argument("--json", action="store_true", help="one report a line")


def run(args: argparse.Namespace) -> int:
    """Replay the logs, and say what the checks found."""
    import msgspec

    from daemon.cli.evaluate import look_for
    from daemon.cli.replay import read_logs
    from daemon.config import Config
    from daemon.fleet import Fleet
    from daemon.health.checks import examiner
    from daemon.health.seen import Seen
    from daemon.replay import Settings, configure, initial_soc, place, straight

    if args.plot:
        look_for("matplotlib")
        _make(args.plot)
    logs, all_read = read_logs(args.logs, Config().cells)
    if not logs:
        return 1
    settings = Settings(
        args.cell_type,
        initial_soc=args.initial_soc,
        initial_soh=args.initial_soh,
        ambient_temperature_celsius=args.ambient_temperature_celsius,
    )
    recordings = place(logs, settings)
    config = configure(Config(), recordings, settings)
    all_seen = [Seen(recording) for recording in recordings]
    fleet = Fleet(config, initial_soc(recordings, settings), examiner(config.health))
    straight(fleet, [*all_seen], float("inf"), lambda _more: None)
    if args.json:
        for seen in all_seen:
            for line in seen.health_lines():
                print(msgspec.json.encode(line).decode())
    else:
        for seen in all_seen:
            show(seen.recording.log.path.name, seen.recording.base_second, seen.health, seen.over)
    if args.plot:
        from daemon.health.pictures import draw

        for path in draw(all_seen, args.plot):
            print(f"wrote {path}", file=sys.stderr)
    return int(not all_read)


def _make(folder: Path) -> None:
    """Make the folder for pictures before anything is computed. Raises UsageError."""
    from daemon.errors import UsageError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise UsageError(
            f"--plot takes a folder: {err.strerror}", where=str(folder), mend="name another; it is made"
        ) from err


def show(name: str, base_second: float, reports: Sequence[Health], over: Mapping[str, int]) -> None:
    """Print what was found in a log, a report a row, what is to come below it; or what was `over`, by kind of event."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    if not reports:
        print(f"{name}: {_nothing(over)}")
        return
    table = Table(title=name, box=box.SIMPLE_HEAD, title_justify="left")
    for heading in ("at hour", "check", "of a", "found", "domain", "SOH", "ms"):
        table.add_column(heading, justify="right" if heading in {"at hour", "ms"} else "left")
    for report in reports:
        hour = (report.unix_time_second - base_second) / 3_600.0
        table.add_row(
            f"{hour:.2f}",
            report.check,
            report.trigger,
            _found(report),
            "" if report.in_domain else "outside",
            "" if report.soh_effect == "none" else report.soh_effect,
            f"{report.cost_ms:.1f}",
        )
        for planned, scenario in report.scenarios.items():
            known = "" if scenario.in_domain else "outside"
            left = f"; {scenario.values['rul_cycle']:.0f} left" if "rul_cycle" in scenario.values else ""
            table.add_row("", _SCENARIOS[planned], _use(scenario), _course(scenario.trajectories) + left, known, "", "")
        if report.trajectories and not report.scenarios:
            table.add_row("", "", "", _course(report.trajectories), "", "", "")
    Console(width=None if sys.stdout.isatty() else 150).print(table)


def _nothing(over: Mapping[str, int]) -> str:
    """Say why there is no report."""
    if not over:
        return "nothing to look at: no rest, charge or pulse test was over in it"
    counted = ", ".join(f"{count} {kind}{'s' * (count > 1)}" for kind, count in sorted(over.items()))
    return f"no check looks at what was over in it: {counted}"


def _use(scenario: Scenario) -> str:
    """Spell temperature, charge and discharge rate."""
    return f"{scenario.temperature_celsius:.0f} °C, {scenario.charge_c_rate:.2g} / {scenario.discharge_c_rate:.2g} C"


def _course(ahead: dict[str, list[float]]) -> str:
    """Spell four points of a trajectory."""
    last = len(ahead["horizon_cycle"]) - 1
    points = sorted({0, last // 3, 2 * last // 3, last})
    ampere_hours = ", ".join(f"{ahead['capacity_ah'][k]:.3f}" for k in points)
    cycles = ", ".join(f"{ahead['horizon_cycle'][k]:.0f}" for k in points)
    return f"{ampere_hours} ± {ahead['capacity_ah_std'][last]:.2g} Ah in {cycles} cycles"


def _found(report: Health) -> str:
    """Spell values with their deviations, or why there are none."""
    if report.refused is not None:
        return f"refused: {report.refused}"
    return ", ".join(
        f"{name} {value:.4g}" + (f" ± {report.std[name]:.2g}" if name in report.std else "")
        for name, value in report.values.items()
    )
