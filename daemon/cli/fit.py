"""`bmsd fit`: logs of a battery in, a cell type's folder out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daemon.fitting import Parts
    from estimators.cell_type import CellType, Tables

EXAMPLE = "bmsd fit drive-*.csv.gz --nominal-capacity-ah 2.9 --chemistry nca --out my-cell/"
VOLT = {"nca": (2.5, 4.2), "nmc": (2.5, 4.2), "lfp": (2.0, 3.65)}  # usual limits by chemistry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("logs", nargs="+", type=Path, metavar="LOG", help="logs, or folders of logs")
    parser.add_argument("--out", type=Path, required=True, help="folder of the cell type; a cell.yaml in it is kept")
    parser.add_argument("--nominal-capacity-ah", type=float, metavar="AH", help="needed where --out has no cell.yaml")
    parser.add_argument("--chemistry", choices=sorted(VOLT), help="needed where --out has no cell.yaml")
    parser.add_argument(
        "--reference-soh", type=float, metavar="SOH", help="SOH of the cell in these logs (default: typical_soh, or 1)"
    )
    parser.add_argument(
        "--initial-soc", type=float, metavar="SOC", help="in the first row of logs without soc (default: they show it)"
    )
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="YAML: what no log says, by file name; kept in --out"
    )
    parser.add_argument(
        "--ambient-temperature-celsius", type=float, default=25.0, metavar="T", help="where nothing says it (25)"
    )
    parser.add_argument(
        "--supporting",
        nargs="+",
        default=[],
        metavar="PATTERN",
        help="logs that only help where no other has been, as pulse and slow tests ('*hppc*')",
    )
    parser.add_argument("--split", type=Path, metavar="FILE", help="YAML: train, validation and test, by file name")
    parser.add_argument("--like", metavar="TYPE", help="a similar cell type, for what the logs do not tell")


def run(args: argparse.Namespace) -> int:
    """Fit, measure, write."""
    from daemon.card import table_of, tables_section, write_section
    from daemon.errors import UsageError
    from daemon.fitting import fit, part
    from daemon.labels import LABELS_FILE, Known, read_rules
    from estimators.cell_type import TABLES_FILE, save_tables

    paths = _paths(args.logs)
    facts = _facts(args)
    known = Known(
        facts["nominal_capacity_ah"],
        args.reference_soh or facts.get("typical_soh", 1.0),
        facts["chemistry"],
        facts["voltage_min_volt"],
        facts["voltage_max_volt"],
        read_rules(args.labels or args.out / LABELS_FILE),
        args.initial_soc,
        args.ambient_temperature_celsius,
    )
    parts = part(paths, _split(args.split), args.supporting, known, _say)
    if not parts.train:
        raise UsageError("no log to fit", where=str(args.split or args.logs[0]), mend="name at least one log")
    cell_type = _cell_type(args.out, facts | {"typical_soh": known.reference_soh}, parts.train)
    like = _similar(args.like, cell_type) if args.like else None
    before = like if args.like else _generic(cell_type)
    try:
        fitted = fit(parts, cell_type, like, before, _say)
    except ValueError as err:
        raise UsageError(str(err), mend="give logs with some minutes of current") from err
    path = args.out / TABLES_FILE
    save_tables(fitted.tables, path)
    _record(args, parts)
    write_section(args.out / "CARD.md", cell_type.name, tables_section(sys.argv, parts, fitted))
    _say(f"wrote {path}")
    print(table_of(fitted))
    return 0


def _record(args: argparse.Namespace, parts: Parts) -> None:
    """Put into the folder what its numbers rest on: the split by file, and what was said of the logs."""
    import shutil

    import yaml

    from daemon.labels import LABELS_FILE

    split, labels = args.out / "split.yaml", args.out / LABELS_FILE
    if args.labels and args.labels.resolve() != labels.resolve():
        shutil.copyfile(args.labels, labels)
    if not (args.split and args.split.resolve() == split.resolve()):
        trained = [run.name for run in parts.train]
        held_out = [[run.name for run in part if run.name not in trained] for part in parts[1:]]
        names = {"test": held_out[1], "validation": held_out[0], "train": trained}
        split.write_text(yaml.safe_dump({k: v for k, v in names.items() if v}, sort_keys=False), encoding="utf-8")


def _paths(logs: list[Path]) -> list[Path]:
    from daemon.runs import log_paths

    return [path for log in logs for path in (log_paths(log) if log.is_dir() else [log])]


def _facts(args: argparse.Namespace) -> dict[str, Any]:
    """What the cell.yaml in --out says, or what the command line says. Raises UsageError."""
    import yaml

    from daemon.errors import UsageError

    if (args.out / "cell.yaml").is_file():
        facts: dict[str, Any] = yaml.safe_load((args.out / "cell.yaml").read_text(encoding="utf-8"))
        return facts
    if args.nominal_capacity_ah is None or args.chemistry is None:
        mend = "add --nominal-capacity-ah and --chemistry"
        raise UsageError("a new cell type needs its capacity and chemistry", where=str(args.out), mend=mend)
    low, high = VOLT[args.chemistry]
    return {
        "name": args.out.resolve().name,
        "chemistry": args.chemistry,
        "nominal_capacity_ah": args.nominal_capacity_ah,
        "voltage_min_volt": low,
        "voltage_max_volt": high,
    }


def _split(path: Path | None) -> dict[str, list[str]] | None:
    import yaml

    if path is None:
        return None
    split: dict[str, list[str]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return split


def _cell_type(folder: Path, facts: dict[str, Any], runs: list[Any]) -> CellType:
    """Complete the facts by what the logs show; write them where there is no cell.yaml yet."""
    import numpy as np
    import yaml

    from estimators.cell_type import CellType

    current = np.concatenate([run.current_ampere for run in runs])
    celsius = np.concatenate([run.temperature_celsius for run in runs])
    seen = {
        "current_min_ampere": float(np.floor(min(current.min(), 0.0))),
        "current_max_ampere": float(np.ceil(max(current.max(), 0.0))),
        "temperature_min_celsius": float(np.floor(celsius.min())),
        "temperature_max_celsius": float(np.ceil(celsius.max())),
    }
    facts = seen | facts
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "cell.yaml").is_file():
        (folder / "cell.yaml").write_text(yaml.safe_dump(facts, sort_keys=False), encoding="utf-8")
    return CellType(**facts, folder=folder)


def _similar(name: str, cell_type: CellType) -> Tables:
    from daemon.errors import UsageError
    from daemon.fitting import rescaled
    from estimators.cell_type import CellType

    try:
        similar = CellType.load(name)
        return rescaled(similar.tables(), similar.nominal_capacity_ah, cell_type.nominal_capacity_ah)
    except (FileNotFoundError, ValueError) as err:
        raise UsageError(str(err), where="--like", mend="`bmsd models` lists the cell types") from err


def _generic(cell_type: CellType) -> Tables | None:
    """Tables of the chemistry's generic type, where they are shipped and not the very ones to be made."""
    from daemon.errors import UsageError

    name = f"generic-{cell_type.chemistry}"
    if cell_type.name == name:
        return None
    try:
        return _similar(name, cell_type)
    except UsageError:
        return None


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
