"""A cell type: what is known of one kind of cell before any of its cells is seen.

A folder holds it: `cell.yaml` (the facts below), `tables.safetensors` (open-circuit voltage and
resistances, see `Tables`), optionally `cross_stitch.safetensors`, and `CARD.md` (data, split, seed,
command, metrics, limits). Shipped types are the folders of `estimators/cell_types/`; any folder of the
same form is a type too.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import numpy as np
import yaml
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from estimators.contract import GUESSED_SOH_STD, Float

TABLES_FILE, NETWORK_FILE = "tables.safetensors", "cross_stitch.safetensors"
USUAL_HYSTERESIS_PER_SOC = 30.0  # a thirtieth of the capacity leads most of the way to the other branch
LARGE = 1e12  # no fact of a cell is larger
AXES = {"S": "soc", "T": "temperature_celsius"}
SHAPES: dict[str, tuple[str | int, ...]] = {  # of the columns of `Tables`
    "soc": ("S",),
    "temperature_celsius": ("T",),
    "ocv_volt": ("S", "T"),
    "ohmic_ohm": ("S", "T"),
    "charge_transfer_volt": ("S", "T"),
    "charge_transfer_ampere": (1,),
    "rc_ohm": (2, "S", "T"),
    "rc_second": (2,),
    "reference_soh": (1,),
    "residual_volt": ("T",),
    "hysteresis_volt": ("S", "T"),
    "hysteresis_per_soc": (1,),
}
SHIPPED = Path(__file__).parent / "cell_types"


@dataclass(frozen=True, slots=True)
class Tables:
    """Equivalent circuit over SOC and temperature: V = OCV + M h + R0 I + b asinh(I / i0) + sum_j R_j x_j.

    x_j is the current through RC pair j: dx_j/dt = (I - x_j) / tau_j. I is positive on charge.
    h is where the cell stands between its two branches: dh = g (sign(I) - h) |dsoc|, 1 on the one of charge, -1 on
    the one of discharge (Plett, J. Power Sources 134, 2004).
    SOC here is the nominal one of a cell whose SOH is `reference_soh`: a cell of another SOH is looked up
    at 1 - (1 - soc_nominal) * reference_soh / soh, which puts full on full and empty on empty.
    """

    soc: Float  # [S] ascending
    temperature_celsius: Float  # [T] ascending
    ocv_volt: Float  # [S, T]
    ohmic_ohm: Float  # [S, T] R0
    charge_transfer_volt: Float  # [S, T] b
    charge_transfer_ampere: Float  # [1] i0
    rc_ohm: Float  # [2, S, T] R_j
    rc_second: Float  # [2] tau_j
    reference_soh: Float  # [1]
    residual_volt: Float  # [T] RMS of what the tables leave unexplained on their own data
    hysteresis_volt: Float  # [S, T] M: half of what lies between the branch of charge and that of discharge
    hysteresis_per_soc: Float  # [1] g


@dataclass(frozen=True, slots=True)
class CellType:
    """The facts of one kind of cell; the field names are the keys of `cell.yaml`."""

    name: str
    chemistry: str
    nominal_capacity_ah: float
    voltage_min_volt: float
    voltage_max_volt: float
    current_min_ampere: float  # strongest discharge, negative
    current_max_ampere: float  # strongest charge
    temperature_min_celsius: float
    temperature_max_celsius: float
    typical_soh: float = 1.0  # taken where a cell's own is not known
    typical_soh_std: float = GUESSED_SOH_STD  # how far from it a cell's own may be
    soc_reference: Literal["present", "nominal"] = "present"
    estimator: Literal["fused", "cross_stitch", "ekf", "coulomb"] = "fused"
    folder: Path = Path()

    @classmethod
    def load(cls, name_or_folder: str | Path) -> CellType:
        """Read a shipped type by name, or any folder by path.

        Raises FileNotFoundError where there is no such type, ValueError where `cell.yaml` is wrong.
        """
        folder = Path(name_or_folder)
        if not (folder / "cell.yaml").is_file():
            folder = SHIPPED / str(name_or_folder)
        if not (folder / "cell.yaml").is_file():
            known = ", ".join(shipped_names())
            raise FileNotFoundError(
                f"no cell type `{name_or_folder}`: neither a folder with cell.yaml nor one of {known}"
            )
        try:
            raw = yaml.safe_load((folder / "cell.yaml").read_text(encoding="utf-8"))
        except (yaml.YAMLError, RecursionError, ValueError) as err:  # one that is not UTF-8 is a ValueError
            raise ValueError(f"{folder / 'cell.yaml'} is not readable as YAML: {err}") from err
        kinds = {name: kind for name, kind in get_type_hints(cls).items() if name != "folder"}
        if faults := _faults(raw, kinds):
            raise ValueError(f"{folder / 'cell.yaml'}: {faults[0]}; known are {sorted(kinds)}")
        try:
            return cls(**raw, folder=folder)
        except TypeError as err:
            raise ValueError(f"{folder / 'cell.yaml'}: {err}") from err

    def tables(self) -> Tables:
        """Read the equivalent-circuit tables. Raises FileNotFoundError or ValueError, naming the file."""
        path = self.folder / TABLES_FILE
        try:
            columns = load_file(path)
            if "hysteresis_volt" not in columns and "ocv_volt" in columns:  # tables from before it was known
                columns |= without_hysteresis(columns["ocv_volt"])
            _check_tables(columns)
            return Tables(**columns)
        except (SafetensorError, TypeError) as err:
            raise ValueError(f"{path}: {err}") from err


def _faults(raw: object, kinds: dict[str, Any]) -> list[str]:
    """Say what is wrong with the facts of `cell.yaml`; what is missing, the dataclass says."""
    if not isinstance(raw, dict):
        return ["not a mapping of facts"]
    faults = [f"unknown key {key}" for key in raw if key not in kinds]
    for key, value in raw.items():
        kind = kinds.get(key)
        if kind is float and not (type(value) in {int, float} and abs(value) < LARGE):
            faults.append(f"{key} is no number")
        elif kind is str and not isinstance(value, str):
            faults.append(f"{key} is no text")
        elif get_args(kind) and value not in get_args(kind):
            faults.append(f"{key} is none of {', '.join(get_args(kind))}")
    return faults


def _check_tables(columns: dict[str, Float]) -> None:
    """See that every column is of its form. Raises TypeError; a missing or unknown column, the dataclass tells."""
    for name, value in columns.items():
        if value.dtype != np.float64 or not np.isfinite(value).all():
            raise TypeError(f"{name} is not of finite float64")
    count = {axis: columns[name].size for axis, name in AXES.items() if name in columns}
    for name, form in SHAPES.items():
        wanted = tuple(count.get(axis, 0) if isinstance(axis, str) else axis for axis in form)
        if name in columns and columns[name].shape != wanted:
            raise TypeError(f"{name} has the shape {columns[name].shape}, not {wanted}")


def shipped_names() -> list[str]:
    """Names of the types that come with the package."""
    return sorted(p.parent.name for p in SHIPPED.glob("*/cell.yaml"))


def without_hysteresis(ocv_volt: Float) -> dict[str, Float]:
    """Give the columns of `Tables` for a cell that has none."""
    return {"hysteresis_volt": np.zeros_like(ocv_volt), "hysteresis_per_soc": np.array([USUAL_HYSTERESIS_PER_SOC])}


def save_tables(tables: Tables, path: Path) -> None:
    """Write tables as safetensors (float64)."""
    save_file({f.name: np.ascontiguousarray(getattr(tables, f.name)) for f in fields(tables)}, path)
    path.chmod(0o644)  # the library writes for its owner alone


def weights_id(*paths: Path) -> str:
    """Name weights files by their content: eight hexadecimal digits of their SHA-256."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:8]
