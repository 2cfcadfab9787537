"""`bmsd evaluate`: one model's errors on a folder of labelled logs, the plain baselines beside it."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daemon.config import EstimatorName
    from daemon.evaluate import Line, Trace
    from daemon.runs import Run
    from estimators.cell_type import CellType

EXAMPLE = "bmsd evaluate cross-stitch --data shared/data/panasonic-18650pf --split test"
MODELS: dict[str, EstimatorName | None] = {
    "soc": None,
    "cross-stitch": "cross_stitch",
    "ekf": "ekf",
    "coulomb": "coulomb",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("model", choices=list(MODELS), help="`soc` is what the service publishes by default")
    parser.add_argument("--data", type=Path, required=True, help="folder of logs (CSV, CSV.gz, Parquet)")
    parser.add_argument(
        "--cell-type", help="name or folder (default: the shipped type that the data folder is named after)"
    )
    parser.add_argument(
        "--split",
        choices=["train", "validation", "test"],
        help="only the files of this part of the cell type's split.yaml",
    )
    parser.add_argument(
        "--predictions", type=Path, metavar="FILE.csv", help="write every second's estimate (case: right start)"
    )
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw true and estimated SOC of each file")
    parser.add_argument(
        "--initial-soc",
        type=float,
        default=1.0,
        metavar="SOC",
        help="of logs without a label, which are taken to start full; nan: found from the first voltage (default: 1)",
    )
    parser.add_argument("--alone", action="store_true", help="only this model, without the baselines")
    parser.add_argument("--threads", type=int, default=1, help="processor cores for the network (default: 1)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Evaluate and print."""
    import torch

    from daemon.evaluate import CASES, ESTIMATORS, evaluate, summarise
    from daemon.models import load_cell_type

    torch.set_num_threads(args.threads)
    cell_type = load_cell_type(args.cell_type or args.data.resolve().name, "--cell-type")
    runs = _runs(args, cell_type)
    model = MODELS[args.model] or cell_type.estimator
    beside: tuple[EstimatorName, ...] = (
        () if args.alone else tuple(e for e in ESTIMATORS if e != model and _usable(cell_type, e))
    )
    cases = CASES if any(r.labelled for r in runs) else CASES[:1]
    traces = evaluate(cell_type, runs, (model, *beside), cases, _progress, args.initial_soc)
    lines = summarise(traces)
    if args.json:
        _print_json(lines)
    elif lines:
        what = "MAE / RMSE / maximum after the first minute, in points"
        _print(lines, f"SOC of {cell_type.name}, {lines[0].files} files: {what}")
    if args.predictions:
        _write(args.predictions, [t for t in traces if t.estimator == model and t.case == CASES[0].name])
    if args.plots:
        from daemon.evaluation_plots import draw

        draw([t for t in traces if t.case == CASES[0].name], args.plots)
    return 0


def _runs(args: argparse.Namespace, cell_type: CellType) -> list[Run]:
    """Read every log that can be scored; say of the others why not."""
    import yaml

    from daemon.errors import LogError, UsageError
    from daemon.runs import log_paths, read_run, stem

    if not args.data.is_dir():
        raise UsageError(f"no folder {args.data}", where="--data", mend="name the folder that holds the logs")
    paths = log_paths(args.data)
    split = cell_type.folder / "split.yaml"
    parts = yaml.safe_load(split.read_text(encoding="utf-8")) if split.is_file() else {}
    if args.split:
        paths = [p for p in paths if stem(p) in parts.get(args.split, [])]
    trained = sum(stem(p) in parts.get("train", []) for p in paths)
    if trained:
        print(
            f"note: {trained} of {len(paths)} files trained this cell type's numbers; --split test leaves them out",
            file=sys.stderr,
        )
    runs = []
    for path in paths:
        try:
            runs.append(read_run(path, cell_type.nominal_capacity_ah))
        except LogError as err:
            print(f"not scored: {path.name}: {err.what}", file=sys.stderr)
    if not runs:
        raise UsageError("no log that can be scored", where=str(args.data), mend="see the reasons above")
    return runs


def _usable(cell_type: CellType, name: str) -> bool:
    from estimators.cell_type import NETWORK_FILE

    return name != "cross_stitch" or (cell_type.folder / NETWORK_FILE).is_file()


def _print_json(lines: list[Line]) -> None:
    for line in lines:
        for celsius, score in [*line.by_celsius.items(), (None, line.mean)]:
            known = None if celsius is None or math.isnan(celsius) else celsius
            row = {"estimator": line.estimator, "case": line.case, "ambient_temperature_celsius": known}
            figures = {name: round(value, 4) for name, value in score._asdict().items()}
            print(json.dumps(row | {"mean_over_temperatures": celsius is None} | figures, allow_nan=False))


def _print(lines: list[Line], title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    temperatures = list(lines[0].by_celsius)
    table = Table(title=title)
    for heading in ("estimator", "case", *(f"{t:g} °C" for t in temperatures), "mean", "in 90 %"):
        table.add_column(heading, justify="left" if heading in ("estimator", "case") else "right", no_wrap=True)
    for line in lines:
        scores = [*(line.by_celsius[t] for t in temperatures), line.mean]
        figures = [f"{s.mae_point:.2f} / {s.rmse_point:.2f} / {s.max_point:.1f}" for s in scores]
        table.add_row(line.estimator, line.case, *figures, f"{line.mean.inside_90:.0%}")
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _write(path: Path, traces: list[Trace]) -> None:
    """Write one row per second of every file; `truth` is empty where there is no label."""
    import polars

    frames = [
        polars.DataFrame(
            {
                "file": [t.run.name] * len(t.soc),
                "test_time_second": t.test_time_second,
                "target": ["soc"] * len(t.soc),
                "horizon": [0] * len(t.soc),
                "truth": t.truth,
                "predicted": t.soc,
                "predicted_std": t.soc_std,
            }
        )
        for t in traces
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    polars.concat(frames).with_columns(polars.col("truth").fill_nan(None)).write_csv(path)


def _progress(done: float) -> None:
    if sys.stderr.isatty():
        print(f"\r{done:4.0%}", end="\n" if done >= 1.0 else "", file=sys.stderr, flush=True)
