"""`bmsd models`: the cell types that come with the package, or given folders."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from estimators.cell_type import CellType

EXAMPLE = "bmsd models my-cell/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("cell_type", nargs="*", help="names or folders (default: all that are shipped)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """List them."""
    from rich.console import Console
    from rich.table import Table

    from daemon.models import load_cell_type
    from estimators.cell_type import shipped_names

    rows = [_row(load_cell_type(name, "bmsd models")) for name in args.cell_type or shipped_names()]
    if args.json:
        for row in rows:
            print(json.dumps(row, allow_nan=False))
        return 0
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    return 0


def _row(cell_type: CellType) -> dict[str, Any]:
    from estimators.cell_type import NETWORK_FILE, TABLES_FILE, weights_id

    weights = cell_type.folder / NETWORK_FILE
    tables = cell_type.folder / TABLES_FILE
    error = "-"
    if weights.is_file():
        from estimators.cross_stitch.weights import load

        soc_std = load(cell_type.folder).soc_std
        error = f"{soc_std.min():.1%} to {soc_std.max():.1%}"
    return {
        "cell type": cell_type.name,
        "chemistry": cell_type.chemistry,
        "nominal Ah": cell_type.nominal_capacity_ah,
        "volt": f"{cell_type.voltage_min_volt:g} to {cell_type.voltage_max_volt:g}",
        "°C": f"{cell_type.temperature_min_celsius:g} to {cell_type.temperature_max_celsius:g}",
        "default": cell_type.estimator,
        "tables": weights_id(tables) if tables.is_file() else "-",
        "network": weights_id(weights) if weights.is_file() else "-",
        "its SOC error": error,  # RMS on validation runs, best to worst temperature
    }
