"""`bmsd fit`: logs of a battery in, a cell type's folder out."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daemon.fitting import Fitted, Parts
    from daemon.similar import Similar
    from estimators.cell_type import CellType

EXAMPLE = "bmsd fit drive-*.csv.gz --nominal-capacity-ah 2.9 --chemistry nca --out my-cell/"
VOLT = {"nca": (2.5, 4.2), "nmc": (2.5, 4.2), "lfp": (2.0, 3.65)}  # usual limits by chemistry
RECIPE_FILE = "training.yaml"


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
    parser.add_argument(
        "--network-minutes",
        type=float,
        default=6.0,
        metavar="MIN",
        help="to tune the similar or generic type's network (6); 0: none",
    )
    parser.add_argument("--threads", type=int, default=1, help="processor cores (default: 1)")


def run(args: argparse.Namespace) -> int:
    """Fit, tune, measure, write."""
    _limit_threads(args.threads)

    from daemon.card import table_of, tables_section, write_section
    from daemon.errors import UsageError
    from daemon.fitting import fit, part
    from daemon.labels import LABELS_FILE, Known, read_rules
    from daemon.similar import find
    from estimators.cell_type import TABLES_FILE, save_tables
    from estimators.contract import TOLD_SOH_STD

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
    facts |= {"typical_soh": known.reference_soh, "typical_soh_std": TOLD_SOH_STD}  # of these very cells
    cell_type = _cell_type(args.out, facts, parts.train)
    similar = find(args.like, cell_type)
    before = similar and similar.tables
    like = before if args.like else None
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
    _estimators(args, cell_type, similar, parts, fitted)
    return 0


def _limit_threads(threads: int) -> None:
    """Keep the linear algebra to some cores; many small systems on a busy machine are slower by more of them.

    The libraries read it when they are first imported.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, str(threads))


def _estimators(
    args: argparse.Namespace, cell_type: CellType, similar: Similar | None, parts: Parts, fitted: Fitted
) -> None:
    """Tune the network, compare all estimators on what was held out, and publish the best."""
    from tempfile import TemporaryDirectory

    from daemon.card import estimators_section, write_section
    from daemon.comparison import best, figures, table
    from daemon.fine_tuning import to_measure
    from daemon.similar import write

    held_out = to_measure(parts.test or parts.validation, cell_type)
    if not held_out:
        _say("no run held out that is long enough to compare estimators on")
        return
    with TemporaryDirectory() as folder:
        blind = write(Path(folder) / "blind", cell_type, fitted.blind, Path(folder))
        if similar is not None:
            _tune(args, blind, similar, parts)
        now = write(Path(folder) / "now", cell_type, fitted.blind, args.out)
        before = {}
        if similar is not None:
            then = write(Path(folder) / "then", cell_type, similar.tables, similar.cell_type.folder)
            before = figures(then, held_out, _Share("measuring what was before"))
        after = figures(now, held_out, _Share("measuring what is now"))
    chosen = best(after)
    names = [run.name for run in held_out]
    write_section(args.out / "CARD.md", cell_type.name, estimators_section(names, table(before, after), chosen))
    _publish(args.out / "cell.yaml", chosen)
    print(f"\n{table(before, after)}\n\nSmallest mean on {', '.join(names)}: {chosen}")


def _tune(args: argparse.Namespace, blind: CellType, similar: Similar, parts: Parts) -> None:
    """Tune the similar type's network into --out, where there is one and none is trained there by a recipe.

    It stays there only if what is published is clearly nearer with it than without.
    """
    import torch

    from daemon.card import tuned_section, write_section
    from daemon.comparison import published_point, worth
    from daemon.fine_tuning import TooLittleError, fine_tune, to_measure
    from daemon.similar import write
    from estimators.cell_type import NETWORK_FILE
    from estimators.cross_stitch import weights

    if args.network_minutes <= 0.0:
        return
    if (args.out / RECIPE_FILE).is_file():
        _say(f"{args.out / RECIPE_FILE} says how its network is made: bmsd train cross-stitch --cell-type {args.out}")
        return
    if not similar.has_network:
        _say(f"{similar.cell_type.name} has no network to tune: the estimators do without")
        return
    torch.set_num_threads(args.threads)
    chosen_on = to_measure(parts.validation or parts.test, blind)
    begun = weights.load(similar.cell_type.folder).network
    try:
        tuned = fine_tune(blind, begun, parts.train, chosen_on, args.network_minutes, _say)
    except TooLittleError as err:
        _say(f"network not tuned: {err}")
        return
    weights.save(tuned.weights, args.out)
    assert blind.folder is not None
    helped = write(blind.folder.with_name("helped"), blind, blind.tables(), args.out)
    point = published_point(helped, chosen_on, _Share("measuring with the network"))
    without_point = published_point(blind, chosen_on, _Share("measuring without it"))
    names = [run.name for run in chosen_on]
    points, kept = (point, without_point), worth(point, without_point)
    section = tuned_section(sys.argv, tuned, similar.cell_type.name, parts.train, names, points, kept=kept)
    write_section(args.out / "CARD.md", blind.name, section)
    if kept:
        _say(f"wrote the network to {args.out}")
    else:
        (args.out / NETWORK_FILE).unlink()
        _say(f"the network is left out: {point:.2f} points with it, {without_point:.2f} without")


def _publish(path: Path, chosen: str) -> None:
    """Name the estimator in a cell.yaml that names none."""
    import yaml

    text = path.read_text(encoding="utf-8")
    told = yaml.safe_load(text).get("estimator")
    if told is None:
        path.write_text(f"{text.rstrip()}\nestimator: {chosen}\n", encoding="utf-8")
    elif told != chosen:
        _say(f"{path} names {told}, and is kept")


class _Share:
    """Say at each quarter how much is done, and how long the rest takes."""

    def __init__(self, what: str) -> None:
        self._what, self._began, self._next = what, time.monotonic(), 0.25

    def __call__(self, done: float) -> None:
        if done < self._next:
            return
        self._next = done + 0.25
        left = (time.monotonic() - self._began) * (1.0 - done) / done
        _say(f"{self._what}: {done:.0%}, {left / 60:.1f} min left")


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


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
