"""`bmsd sort`: a grade for each retired cell, from the pulse test in its log."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daemon.sorting import Graded

EXAMPLE = "bmsd sort pallet/*.csv --chemistry lfp --nominal-capacity-ah 20 --out grades.csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("logs", nargs="+", type=Path, metavar="LOG", help="a log a cell: CSV, CSV.gz or Parquet with BDF names")
    add("--out", type=Path, required=True, metavar="FILE.csv", help="one row a cell")
    add("--cell-type", metavar="T", help="name of a cell type, or a folder made by bmsd fit")
    add("--chemistry", help="nmc, lmo, lfp (default: the cell type's)")
    add("--nominal-capacity-ah", type=float, metavar="AH", help="of a new cell (default: the cell type's)")
    add("--config", type=Path, metavar="FILE", help="its sorting: are the thresholds of the grades")
    add("--json", action="store_true", help="one JSON object a cell on stdout")


def run(args: argparse.Namespace) -> int:
    """Grade, write, sum up. Raises UsageError, ConfigError or WeightsError; a log that is none is refused, named."""
    import polars

    from daemon.config import Config, read_config
    from daemon.errors import LogError, WeightsError
    from daemon.log import read_log
    from daemon.sorting import grade, refuse, row_of
    from estimators.pulse.estimate import shipped

    chemistry, capacity = _kind(args)
    sorting = (read_config(args.config) if args.config else Config()).sorting
    try:
        models = shipped()
    except (FileNotFoundError, ValueError) as err:
        raise WeightsError(str(err), where="estimators/pulse/weights", mend="bmsd train pulse --data DIR") from err
    found: list[Graded] = []
    for path in args.logs:
        try:
            found.append(grade(read_log(path), models, chemistry, capacity, sorting))
        except LogError as err:
            found.append(refuse(path.name.split(".")[0], f"unreadable_log: {err.what}"))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    rows = [row_of(one) for one in found]
    polars.DataFrame(rows, infer_schema_length=None).fill_nan(None).write_csv(args.out)
    for row in rows:
        if args.json:
            print(json.dumps({k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}))
        elif row["refused"]:
            print(f"{row['cell']}: {row['refused']}", file=sys.stderr)
    if not args.json:
        counts = Counter(one.grade or "refused" for one in found)
        print("  ".join(f"{name}={counts[name]}" for name in ("A", "B", "C", "reject", "refused") if counts[name]))
    return 0


def _kind(args: argparse.Namespace) -> tuple[str, float]:
    """Find chemistry and nominal capacity. Raises UsageError where neither is told."""
    from daemon.errors import UsageError

    chemistry, capacity = args.chemistry, args.nominal_capacity_ah
    if args.cell_type:
        from daemon.models import load_cell_type

        cell_type = load_cell_type(args.cell_type, "--cell-type")
        chemistry, capacity = chemistry or cell_type.chemistry, capacity or cell_type.nominal_capacity_ah
    if not chemistry or not capacity or not capacity > 0.0:
        raise UsageError(
            "what cells are these?",
            where="--chemistry, --nominal-capacity-ah",
            mend="give both, as --chemistry lfp --nominal-capacity-ah 20, or --cell-type",
        )
    return chemistry.lower(), float(capacity)
