"""`bmsd evaluate`: one model's errors on a folder of labelled logs or of cycles, the plain baselines beside it."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from daemon.models import MODELS
from daemon.tables.models import TABLE_MODELS

if TYPE_CHECKING:
    from daemon.config import EstimatorName
    from daemon.evaluate import Trace
    from daemon.evaluation_tables import Table
    from daemon.runs import Run
    from daemon.scores import Findings
    from estimators.cell_type import CellType

EXAMPLE = "bmsd evaluate soc --data shared/data/panasonic-18650pf --split test --switch-on"
PUBLISHED = "soc"
LEARNS_FROM_SOURCES = ("early-life",)
SHIPPED = (
    "note: the shipped weights were learnt from data sets of this form; if these cells were among them, the figures "
    "are no measure: --folds learns anew without them"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    names = [PUBLISHED, *(name.replace("_", "-") for name in reversed(MODELS)), *TABLE_MODELS]
    published = [PUBLISHED, *(name for name, row in TABLE_MODELS.items() if row.published)]
    parser.add_argument("model", choices=names, help=f"{', '.join(published)}: what the service publishes by default")
    parser.add_argument("--data", type=Path, required=True, help="folder of logs (CSV, CSV.gz, Parquet) or of cycles")
    parser.add_argument(
        "--cell-type", help="name or folder (default: the shipped type that the data folder is named after)"
    )
    parser.add_argument(
        "--split",
        choices=["train", "validation", "test"],
        help="only the files of this part of the cell type's split.yaml",
    )
    parser.add_argument(
        "--switch-on", action="store_true", help="also start at eight places inside each file, 30 points wrong"
    )
    parser.add_argument(
        "--predictions", type=Path, metavar="FILE.csv", help="write every second's estimate (case: right start)"
    )
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw true and estimated SOC of each file")
    parser.add_argument(
        "--report", type=Path, metavar="FILE.html", help="write tables and pictures as one page; implies --switch-on"
    )
    parser.add_argument(
        "--learning", type=Path, metavar="FILE.csv", help="a training's record, for the report (default: the type's)"
    )
    parser.add_argument(
        "--initial-soc",
        type=float,
        default=1.0,
        metavar="SOC",
        help="of logs without a label, which are taken to start full; nan: found from the first voltage (default: 1)",
    )
    parser.add_argument(
        "--initial-soh",
        type=float,
        metavar="SOH",
        help="every estimator is told this one (default: the type's, a guess)",
    )
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="YAML: what no log says, by file name; before the one beside them"
    )
    parser.add_argument(
        "--ambient-temperature-celsius",
        type=float,
        default=25.0,
        metavar="T",
        help="where nothing says it (default: 25)",
    )
    parser.add_argument("--alone", action="store_true", help="only this model, without the baselines")
    _add_table_arguments(parser.add_argument_group("models of cycles and tests"))
    parser.add_argument("--threads", type=int, default=1, help="processor cores for the network (default: 1)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def _add_table_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--folds",
        type=int,
        default=0,
        metavar="N",
        help="learn anew N times, each time without some of the cells, and score on those (default: shipped weights)",
    )
    group.add_argument("--seeds", type=int, default=1, metavar="N", help="repeat --folds with N draws of the cells")
    group.add_argument("--horizons", metavar="FIRST:LAST:STEP", help="cycles ahead, such as 5:150:5")
    group.add_argument("--soc", choices=["known", "unknown"], default="unknown", help="of a pulse test")
    group.add_argument("--known-cycles", type=int, metavar="N", help="how many first cycles of a cell are known")
    group.add_argument("--sources", metavar="CELSIUS,...", help="temperatures whose cells are known whole")


def run(args: argparse.Namespace) -> int:
    """Evaluate and print."""
    return _run_on_tables(args) if args.model in TABLE_MODELS else _run_on_logs(args)


def _run_on_tables(args: argparse.Namespace) -> int:
    """Score a model of cycles or tests."""
    from daemon.errors import UsageError
    from daemon.tables.cases import Options, score, write
    from daemon.tables.forms import FEW_CELLS, NOTHING_TO_SCORE, left_out
    from daemon.tables.models import home
    from daemon.tables.printed import show

    if not args.data.is_dir():
        raise UsageError(f"no folder {args.data}", where="--data", mend="name the folder that holds the tables")
    for name, count, least in (("--folds", args.folds, 2), ("--seeds", args.seeds, 1)):
        if count < least and (name, count) != ("--folds", 0):
            raise UsageError(f"{name} {count}", where=name, mend=f"at least {least}")
    options = Options(
        model=args.model,
        folds=args.folds,
        seeds=args.seeds,
        horizons=_horizons(args.horizons),
        soc=args.soc,
        known_cycles=args.known_cycles,
        sources=_sources(args.sources),
        alone=args.alone,
    )
    found = home(args.model).evaluate(args.data, options)
    if not found:
        raise UsageError(NOTHING_TO_SCORE, where=str(args.data), mend=FEW_CELLS)
    reasons = [*(r for cases in found for r in cases.unscored), *left_out(args.data, args.model)]
    for reason in dict.fromkeys(reasons):
        print(f"not scored: {reason}", file=sys.stderr)
    scores = [s for cases in found for s in score(cases)]
    if scores and not args.folds and args.model not in LEARNS_FROM_SOURCES:
        print(SHIPPED, file=sys.stderr)
    if args.json:
        for one in scores:
            print(json.dumps({k: None if v != v else v for k, v in one._asdict().items()}))  # noqa: PLR0124 (NaN)
    else:
        show(scores)
    if args.predictions:
        write(args.predictions, found)
    return 0


def _horizons(text: str | None) -> tuple[int, ...] | None:
    """Read FIRST:LAST:STEP. Raises UsageError."""
    from daemon.errors import UsageError

    if text is None:
        return None
    try:
        first, last, step = (int(part) for part in text.split(":"))
        horizons = tuple(range(first, last + 1, step))
    except ValueError as err:
        raise UsageError(f"`{text}` is not FIRST:LAST:STEP", where="--horizons", mend="such as 5:150:5") from err
    if not horizons or first < 0:
        raise UsageError(f"`{text}` names no cycle ahead", where="--horizons", mend="such as 5:150:5")
    return horizons


def _sources(text: str | None) -> tuple[float, ...] | None:
    """Read temperatures with commas between. Raises UsageError."""
    from daemon.errors import UsageError

    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError as err:
        raise UsageError(f"`{text}` is no list of temperatures", where="--sources", mend="such as 25,55") from err


def _run_on_logs(args: argparse.Namespace) -> int:
    """Score an estimator of every second."""
    import torch

    from daemon.errors import UsageError
    from daemon.evaluate import CASES, SWITCH_ON, evaluate, switched_on, usable
    from daemon.models import label, load, load_cell_type
    from daemon.scores import find

    if args.plots or args.report:
        look_for("matplotlib", "jinja2")
    if args.learning and not args.learning.is_file():
        raise UsageError(f"no file {args.learning}", where="--learning", mend="name the training's record")
    torch.set_num_threads(args.threads)
    cell_type = load_cell_type(args.cell_type or args.data.resolve().name, "--cell-type")
    logs = _logs(args, cell_type)
    model: EstimatorName = cell_type.estimator if args.model == PUBLISHED else args.model.replace("-", "_")
    ids = {model: label(load(cell_type, model))} | ({} if args.alone else usable(cell_type))
    cases = CASES if any(r.labelled for r in logs.runs) else CASES[:1]
    traces = evaluate(cell_type, logs.runs, ids, cases, _progress, args.initial_soc, args.initial_soh)
    places = [p for r in logs.runs for p in switched_on(r)] if args.switch_on or args.report else []
    switched = evaluate(cell_type, places, ids, (SWITCH_ON,), _progress, initial_soh=args.initial_soh) if places else []
    findings = find(traces, switched)
    _say(findings, args.json)
    right = [t for t in traces if t.case == CASES[0].name]
    if args.predictions:
        _write(args.predictions, [t for t in right if t.estimator == model])
    if args.plots:
        from daemon.evaluation_plots import draw

        draw(right, args.plots)
    if args.report:
        from daemon.report import Subject, write

        command = shlex.join(["bmsd", *sys.argv[1:]])
        subject = Subject(cell_type, ids, logs.runs, logs.parts, command, logs.refused, args.learning)
        write(args.report, subject, findings, traces)
        print(f"wrote {args.report}", file=sys.stderr)
    return 0


class Logs(NamedTuple):
    """What was found in the folder."""

    runs: list[Run]
    parts: dict[str, str]  # run -> its part of the cell type's split
    refused: dict[str, str]  # file -> why it cannot be scored


def _logs(args: argparse.Namespace, cell_type: CellType) -> Logs:
    """Read every log that can be scored; say of the others why not."""
    import yaml

    from daemon.errors import LogError, UsageError
    from daemon.labels import Known, read_rules
    from daemon.runs import log_paths, read_run, stem

    if not args.data.is_dir():
        raise UsageError(f"no folder {args.data}", where="--data", mend="name the folder that holds the logs")
    split = cell_type.folder / "split.yaml"
    named = yaml.safe_load(split.read_text(encoding="utf-8")) if split.is_file() else {}
    logs = Logs([], {name: part for part, names in named.items() for name in names}, {})
    paths = [p for p in log_paths(args.data) if args.split in (None, logs.parts.get(stem(p)))]
    trained = sum(logs.parts.get(stem(p)) == "train" for p in paths)
    if trained:
        print(
            f"note: {trained} of {len(paths)} files trained this cell type's numbers; --split test leaves them out",
            file=sys.stderr,
        )
    if args.labels and not args.labels.is_file():
        raise UsageError(f"no file {args.labels}", where="--labels", mend="name the YAML file")
    known = Known.of(cell_type, read_rules(args.labels) if args.labels else ())
    known = replace(known, ambient_temperature_celsius=args.ambient_temperature_celsius)
    for path in paths:
        try:
            logs.runs.append(read_run(path, known))
        except LogError as err:
            logs.refused[path.name] = err.what
            print(f"not scored: {path.name}: {err.what}", file=sys.stderr)
    if not logs.runs:
        raise UsageError("no log that can be scored", where=str(args.data), mend="see the reasons above")
    return logs


def look_for(*modules: str) -> None:
    """Raise UsageError before anything is computed where no picture can be drawn."""
    from importlib.util import find_spec

    from daemon.errors import UsageError

    if missing := [name for name in modules if find_spec(name) is None]:
        raise UsageError(f"pictures need {' and '.join(missing)}", mend="pip install 'bmsd[plots]'")


def _say(findings: Findings, as_json: bool) -> None:
    from daemon.evaluation_tables import tables

    if as_json:
        for record in findings.records():
            print(json.dumps(record, allow_nan=False))
        return
    for table in tables(findings):
        _print(table)


def _print(table: Table) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as Printed

    printed = Printed(title=table.title, caption=table.note, box=box.SIMPLE_HEAD, title_justify="left")
    for heading in table.words:
        printed.add_column(heading, no_wrap=True)
    for heading in table.figures:
        printed.add_column(heading, justify="right", no_wrap=True)
    for words, cells in table.rows:
        printed.add_row(*words, *(" / ".join(filter(None, (c.text, c.small))) for c in cells))
    Console(width=None if sys.stdout.isatty() else 200).print(printed)


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
