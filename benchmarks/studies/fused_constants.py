"""What one constant of `fused` is worth, on files that its circuit has not seen: five folds of train and validation.

    python benchmarks/studies/fused_constants.py --data $BMSD_DATA/panasonic-18650pf NETWORK_STD 0.005 0.015 0.03

A row for each value (none given: the one that stands), printed as it is done. Fold k holds the k-th drive cycle of each
temperature, the validation files first; its tables are identified from the files of the other folds, and each of its
files is followed with a right start, 30 points wrong, with the sensor 0.3 A off either way, and for 25 minutes switched
on at sixteen places inside, 30 points wrong. Figures as in `bmsd evaluate`: mean absolute and largest error in points;
minutes until under 3 points for good, of half and of nine of ten, and how many never; share inside the 90 % intervals
of each case, the least of any case and temperature, and the interval score. Test files are not touched.

The network of the cell type was trained on all but fold 0: with it (`--network`) no other fold says anything, and only
that one is run. A fold takes a minute or two to identify, and a value two to five minutes of one processor; `--tables`
keeps the tables for the next time, `--minutes` follows only the beginning of each file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from daemon.evaluate import Trace
from daemon.fitting import SUPPORTING_WEIGHT, of_circuit
from daemon.labels import Known
from daemon.runs import Run, log_paths, on_grid, read_labelled, read_run, stem
from daemon.scores import recovery_minute, summarise
from estimators.cell_type import NETWORK_FILE, TABLES_FILE, CellType, Tables, save_tables
from estimators.contract import TOLD_SOH_STD, Second, Start, to_nominal, to_present
from estimators.ekf.identify import identify
from estimators.fused import Fused
from estimators.fused import estimate as published
from estimators.fused import filter as kalman

FOLDS = 5
CYCLES = ("*cycle*", "*hwf*", "*la92*", "*udds*", "*us06*", "*nn*")
WEAK = ("*hppc*", "*c20*")  # tests that only help where no cycle has been
PLACES, SHORTEST_SECOND, LONGEST_SECOND = 16, 1200, 1500  # of the starts inside a file


class Case(NamedTuple):
    """What is wrong, and where in the file it begins."""

    name: str
    start_error: float = 0.0
    offset_ampere: float = 0.0
    begin: float | None = None  # share of the file; None: all of it is followed


WHOLE = (Case("right start"), Case("wrong start", 0.3), Case("+0.3 A", 0.0, 0.3), Case("-0.3 A", 0.0, -0.3))
SWITCHED = tuple(Case("switched on", 0.3, begin=(k + 0.5) / PLACES) for k in range(PLACES))


class Fold(NamedTuple):
    """Files that had no part in the tables."""

    runs: list[Run]
    tables: Tables


def main() -> None:
    """Print one table."""
    args = _arguments()
    cell_type = CellType.load(args.cell_type)
    folds = list(_folds(args, cell_type))
    heads = [args.constant or "as it stands", *(c.name for c in WHOLE), "switched on", "in 90 %", "least", "interval"]
    print(f"| {' | '.join(heads)} |")
    print(f"|{'---|' * len(heads)}")
    for value in args.values or [None]:
        if value is not None:
            setattr(_home(args.constant), args.constant, value)
        traces = [t for fold in folds for cases in (WHOLE, SWITCHED) for t in _follow(args, cell_type, fold, cases)]
        print(f"| {'-' if value is None else f'{value:g}'} | {' | '.join(_figures(traces))} |", flush=True)


def _home(constant: str) -> ModuleType:
    """Find the module that a constant stands in: the filter's, or that of what is published of it."""
    return published if hasattr(published, constant) and not hasattr(kalman, constant) else kalman


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("constant", nargs="?", help="a number of estimators/fused/filter.py, such as NETWORK_STD")
    parser.add_argument("values", nargs="*", type=float, help="what to try for it")
    parser.add_argument("--data", type=Path, required=True, help="folder of the logs")
    parser.add_argument("--cell-type", default="panasonic-18650pf", help="with a split.yaml")
    parser.add_argument("--network", action="store_true", help="with the network, on fold 0 alone")
    parser.add_argument("--folds", type=int, default=FOLDS, help="run only so many of the five")
    parser.add_argument("--minutes", type=float, default=np.inf, help="of each file, from its beginning")
    parser.add_argument("--soh-std", type=float, default=TOLD_SOH_STD, help="how sure the SOH is at the start")
    parser.add_argument("--tables", type=Path, help="folder that keeps each fold's tables")
    args = parser.parse_args()
    if args.constant and not isinstance(getattr(_home(args.constant), args.constant, None), float):
        known = ", ".join(
            n for n, v in (vars(published) | vars(kalman)).items() if n.isupper() and isinstance(v, float)
        )
        parser.error(f"no number `{args.constant}`; there are {known}")
    args.folds = 1 if args.network else args.folds
    return args


def _folds(args: argparse.Namespace, cell_type: CellType) -> Iterator[Fold]:
    """Part the files, identify what is not kept, and read what is to be followed."""
    split = yaml.safe_load((cell_type.folder / "split.yaml").read_text(encoding="utf-8"))
    names = [*split["validation"], *split["train"]]
    paths = {stem(path): path for path in log_paths(args.data)}
    by_celsius: dict[str, list[str]] = {}
    for name in names:
        if any(fnmatch(name, cycle) for cycle in CYCLES):
            by_celsius.setdefault(name.partition("_")[0], []).append(name)
    known = Known.of(cell_type)
    for number in range(args.folds):
        held = [name for group in by_celsius.values() for name in group[number::FOLDS]]
        with TemporaryDirectory() as temporary:
            folder = (args.tables or Path(temporary)) / f"fold-{number}"
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / TABLES_FILE).is_file():
                print(f"fold {number}: tables without {', '.join(held)}", file=sys.stderr)
                others = [paths[name] for name in names if name not in held]
                save_tables(_identified(others, cell_type, known), folder / TABLES_FILE)
            tables = replace(cell_type, folder=folder).tables()
        yield Fold([read_run(paths[name], known) for name in held], tables)


def _identified(paths: list[Path], cell_type: CellType, known: Known) -> Tables:
    weights = (SUPPORTING_WEIGHT if any(fnmatch(stem(p), weak) for weak in WEAK) else 1.0 for p in paths)
    runs = [of_circuit(read_labelled(p, known), known, weight) for p, weight in zip(paths, weights, strict=True)]
    return identify(runs, cell_type.nominal_capacity_ah, cell_type.typical_soh)


def _estimator(cell_type: CellType, tables: Tables, network: bool) -> Fused:
    """Make the filter over these tables, the network beside it where it is asked for."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        save_tables(tables, folder / TABLES_FILE)
        if network:
            (folder / NETWORK_FILE).symlink_to((cell_type.folder / NETWORK_FILE).resolve())
        return Fused(replace(cell_type, folder=folder))


def _follow(args: argparse.Namespace, cell_type: CellType, fold: Fold, each: tuple[Case, ...]) -> list[Trace]:
    """Step all files of a fold in all these cases at once."""
    fused = _estimator(cell_type, fold.tables, args.network)
    columns = [_column(run, case, args.minutes) for run in fold.runs for case in each]
    length = max(len(column[0]) for column in columns)
    padded = np.stack([np.pad(c, ((0, 0), (0, length - c.shape[1])), mode="edge") for c in columns], axis=-1)
    voltage, current, temperature, truth = padded  # [second, row] each
    cases = each * len(fold.runs)
    wrong = np.array([case.start_error for case in cases]) * np.where(truth[0] < 0.5, 1.0, -1.0)
    soh = np.full(len(cases), cell_type.typical_soh)
    state = fused.init(Start(to_present(truth[0] + wrong, soh), soh, np.full(len(soh), args.soh_std)))
    said = np.empty((4, *truth.shape))
    for k, measured in enumerate(zip(voltage, current, temperature, strict=True)):
        state, e = fused.step(state, Second(*measured))
        said[:, k] = to_nominal(e.soc, e.soh), e.soc_nominal_std, e.soh, e.soh_std
    traces = []
    for i, (column, case) in enumerate(zip(columns, cases, strict=True)):
        end, run = column.shape[1], fold.runs[i // len(each)]
        time, flags = np.arange(end, dtype=np.float64), np.zeros(end, np.uint32)
        soc, soc_std, soh, soh_std = said[:, :end, i]
        traces.append(Trace("fused", case.name, run, time, soc, soc_std, soh, soh_std, flags, truth[:end, i]))
    return traces


def _column(run: Run, case: Case, minutes: float) -> NDArray[np.float64]:
    """Voltage, current, temperature and truth of each second of a case, [4, second]."""
    voltage, current, temperature, truth = on_grid(run)
    most = 60.0 * minutes if case.begin is None else min(60.0 * minutes, LONGEST_SECOND)
    begin = int((case.begin or 0.0) * (len(voltage) - SHORTEST_SECOND))
    rows = slice(begin, int(min(len(voltage), begin + most)))
    return np.stack([voltage[rows], current[rows] + case.offset_ampere, temperature[rows], truth[rows]])


def _figures(traces: list[Trace]) -> list[str]:
    lines = {line.case: line for line in summarise(traces)}
    scores = {name: line.mean for name, line in lines.items()}
    cells = [f"{scores[case.name].mae_point:.3f} / {scores[case.name].max_point:.1f}" for case in WHOLE]
    minutes = [recovery_minute(trace) for trace in traces if trace.case == SWITCHED[-1].name]
    median, slow = np.quantile(minutes, (0.5, 0.9), method="inverted_cdf")
    never = np.mean(np.isinf(minutes))
    inside = " / ".join(f"{100 * scores[case.name].inside_90:.0f}" for case in WHOLE)
    least = min(at.inside_90 for case in WHOLE for at in lines[case.name].by_celsius.values())
    interval = np.mean([scores[case.name].interval_90_point for case in WHOLE])
    held = [f"{inside} %", f"{least:.0%}", f"{interval:.2f}"]
    return [*cells, f"{median:.2f} / {slow:.1f} min / {never:.0%}", *held]


if __name__ == "__main__":
    main()
