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
from typing import Any, Literal

import numpy as np
import yaml
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from estimators.contract import GUESSED_SOH_STD, Float

TABLES_FILE, NETWORK_FILE = "tables.safetensors", "cross_stitch.safetensors"
USUAL_HYSTERESIS_PER_SOC = 30.0  # a thirtieth of the capacity leads most of the way to the other branch
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
        raw: dict[str, Any] = yaml.safe_load((folder / "cell.yaml").read_text(encoding="utf-8"))
        known_keys = {f.name for f in fields(cls)} - {"folder"}
        if unknown := set(raw) - known_keys:
            raise ValueError(f"{folder / 'cell.yaml'}: unknown keys {sorted(unknown)}; known are {sorted(known_keys)}")
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
            return Tables(**columns)
        except (SafetensorError, TypeError) as err:
            raise ValueError(f"{path}: {err}") from err


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
