"""Simulated logs: one file per cell, the truth beside what the sensors showed.

    test_time_second, voltage_volt, current_ampere, temperature_celsius, soc, soh

Names are the Battery Data Format's; `soc` (of present capacity) and `soh` are true. The form goes by the
file's name: `.csv`, `.csv.gz` or `.parquet`.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import polars as pl

from simulators.sensor import Readings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from simulators.fleet import Fleet

FORMS = (".csv", ".csv.gz", ".parquet")
DECIMALS = 6  # a microvolt, and a millionth of the capacity


def write(path: Path, fleet: Fleet, seconds: int, on_second: Callable[[Fleet], None] | None = None) -> list[Path]:
    """Simulate `seconds` seconds of the fleet and write them; the files, in the order of the cells.

    One cell writes `path` itself, several write `<stem>_<pack>_<cell>` beside it. Everything is held in memory,
    56 bytes a row, until it is written. Raises ValueError where the name has none of `FORMS` or its folder is
    missing.
    """
    form = _form(path)
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent} to write {path.name} into")
    parts = []
    for _ in range(seconds):
        parts.append(fleet.advance())
        if on_second:
            on_second(fleet)
    readings = Readings.join(parts)
    table = pl.DataFrame(
        {
            "cell": readings.cell,
            "test_time_second": readings.unix_time_second - fleet.start_unix_second,
            "voltage_volt": readings.voltage_volt,
            "current_ampere": readings.current_ampere,
            "temperature_celsius": readings.temperature_celsius,
            "soc": readings.soc,
            "soh": readings.soh,
        }
    ).with_columns(pl.exclude("cell").round(DECIMALS))
    paths = [path if len(fleet.names) == 1 else _beside(path, form, *name) for name in fleet.names]
    for number, target in enumerate(paths):
        _write(table.filter(pl.col("cell") == number).drop("cell"), target, form)
    return paths


def _form(path: Path) -> str:
    for form in FORMS:
        if path.name.endswith(form) and path.name != form:
            return form
    raise ValueError(f"{path} is no log that can be written; its name must end with one of {', '.join(FORMS)}")


def _beside(path: Path, form: str, pack: str, cell: str) -> Path:
    return path.with_name(f"{path.name.removesuffix(form)}_{pack}_{cell}{form}")


def _write(table: pl.DataFrame, path: Path, form: str) -> None:
    if form == ".parquet":
        table.write_parquet(path)
    elif form == ".csv":
        table.write_csv(path)
    else:
        with gzip.GzipFile(path, "wb", mtime=0) as file:  # no time inside: the same fleet gives the same bytes
            file.write(table.write_csv().encode())
