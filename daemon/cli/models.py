"""`bmsd models`: the cell types that come with the package, or given folders."""

from __future__ import annotations

import argparse
import json
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

    from daemon.errors import WeightsError
    from estimators.cell_type import CellType, shipped_names

    rows = []
    for name in args.cell_type or shipped_names():
        try:
            rows.append(_row(CellType.load(name)))
        except (FileNotFoundError, ValueError) as err:
            raise WeightsError(str(err), where=name, mend="`bmsd models` without a name lists what is shipped") from err
    if args.json:
        for row in rows:
            print(json.dumps(row, allow_nan=False))
        return 0
    table = Table(*rows[0])
    for row in rows:
        table.add_row(
            *(", ".join(f"{k} {v}" for k, v in x.items()) if isinstance(x, dict) else str(x) for x in row.values())
        )
    Console().print(table)
    return 0


def _row(cell_type: CellType) -> dict[str, Any]:
    from estimators.cell_type import weights_id

    weights = cell_type.folder / "cross_stitch.safetensors"
    tables = cell_type.folder / "tables.safetensors"
    soc_std: dict[str, str] = {}
    if weights.is_file():
        from estimators.cross_stitch.weights import load

        loaded = load(cell_type.folder)
        soc_std = {f"{t:g} °C": f"{s:.2%}" for t, s in zip(loaded.temperature_celsius, loaded.soc_std, strict=True)}
    return {
        "cell type": cell_type.name,
        "chemistry": cell_type.chemistry,
        "nominal Ah": cell_type.nominal_capacity_ah,
        "volt": f"{cell_type.voltage_min_volt:g} to {cell_type.voltage_max_volt:g}",
        "°C": f"{cell_type.temperature_min_celsius:g} to {cell_type.temperature_max_celsius:g}",
        "default": cell_type.estimator,
        "tables": weights_id(tables) if tables.is_file() else "-",
        "network": weights_id(weights) if weights.is_file() else "-",
        "network's SOC error (RMS, validation)": soc_std or "-",
    }
