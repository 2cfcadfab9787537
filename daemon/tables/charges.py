"""Charges of several configurations, as SRSE and the plain models beside it are shown them.

Three forms of a folder: recordings of whole charges (NASA), Q(V) of a part of the charge (Zhu 2022), and sixteen
numbers of a charge's end (PINN4SOH). A configuration is a kind of cell, or of one kind a temperature.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars
import torch

from daemon.errors import UsageError
from daemon.tables import cycle_features, nasa, reading
from daemon.tables.reading import CELL
from estimators.srse import features, saved
from estimators.srse.features import DQ_DV
from estimators.srse.plain import Looks
from estimators.srse.train import Recipe, Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from estimators.srse.features import Charge

    Float = NDArray[np.float64]
    Bool = NDArray[np.bool_]
    Names = NDArray[np.str_]

CURVE_VOLT = np.linspace(3.6, 4.15, 50)  # of Q(V): the source's generator says so, its files do not
CURVE = "dq_ah_"
NICKEL = {"ncm_nca": ("NCM+NCA", 2.5), "ncm": ("NCM", 3.5), "nca": ("NCA", 3.5)}  # words of a file's name


@dataclass(frozen=True, slots=True)
class Charges:
    """Charges in one form, a row each."""

    form: str
    weights_file: str
    identity: polars.DataFrame  # [row] the source row's own columns
    cell: Names  # [row] unique over files
    configuration: Names  # [row]
    nominal_capacity_ah: Float  # [row]
    soh: Float  # [row] of nominal; NaN: not known
    held: Float  # [row] SOH measured before this charge; NaN: none
    x: Tensor  # [row, channel, point]
    plain: Float  # [row, input] for ridge and boosting
    recipe: Recipe
    looks: Looks | None = None  # of recordings: for the model of what is counted
    recordings: tuple[Charge, ...] = ()
    unscored: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.soh)

    def pick(self, rows: Bool | NDArray[np.int64]) -> Charges:
        """Take some rows."""
        index = np.flatnonzero(rows) if rows.dtype == bool else rows
        return replace(
            self,
            identity=self.identity[index.tolist()],
            **{n: getattr(self, n)[index] for n in COLUMNS},
            x=self.x[torch.as_tensor(index)],
            looks=None if self.looks is None else self.looks.pick(index),
            recordings=tuple(self.recordings[i] for i in index) if self.recordings else (),
        )

    def rows(self, configurations: list[str]) -> Rows:
        """Give what a network is trained on: rows with a label, their configuration's number by the list's order."""
        some = self.pick(np.isfinite(self.soh) & np.isin(self.configuration, configurations))
        number = np.array([configurations.index(c) for c in some.configuration.tolist()])
        return Rows(some.x, torch.as_tensor(some.soh, dtype=torch.float32), torch.as_tensor(number), some.cell)

    def thinned(self, most: int) -> Charges:
        """Keep at most so many rows of each cell, evenly."""
        kept = []
        for name in np.unique(self.cell):
            rows = np.flatnonzero(self.cell == name)
            kept.append(rows[np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int))])
        return self.pick(np.sort(np.concatenate(kept)))


COLUMNS = ("cell", "configuration", "nominal_capacity_ah", "soh", "held", "plain")


def read(folder: Path) -> Charges:
    """Read a folder of any of the three forms. Raises UsageError where it has none of them."""
    for there, of in FORMS:
        if there(folder):
            return of(folder)
    raise UsageError(
        "no charges in a form that SRSE knows",
        where=str(folder),
        mend="recordings (*_timeseries, *_operations), Q(V) (dq_ah_00, ...) or a charge's end (voltage_mean, ...)",
    )


def full_charges(folder: Path) -> Charges:
    """Read recordings of whole charges."""
    found = nasa.read(folder)
    cases = found.cases
    if not cases:
        raise UsageError("no full charge", where=str(folder), mend="; ".join(found.unused[:3]))
    nominal = nasa.NOMINAL_CAPACITY_AH
    configuration = np.array([c.configuration for c in cases])
    statistics = np.stack([features.statistics(c.charge) for c in cases])
    below = np.array([c.before.all_ah - c.before.reported_ah for c in cases]) / nominal
    return Charges(
        form="full charge",
        weights_file=saved.FULL_CHARGE,
        identity=polars.DataFrame(
            {
                "cell": [c.cell for c in cases],
                "cycle": [c.cycle for c in cases],
                "operation": [c.operation for c in cases],
                "discharge_operation": polars.Series([c.discharge_operation for c in cases], dtype=polars.Int64),
            }
        ),
        cell=np.array([c.cell for c in cases]),
        configuration=configuration,
        nominal_capacity_ah=np.full(len(cases), nominal),
        soh=np.array([c.capacity_ah for c in cases]) / nominal,
        held=np.array([c.held_ah for c in cases]) / nominal,
        x=torch.as_tensor(np.stack([features.curves(c.charge) for c in cases]), dtype=torch.float32),
        plain=_with_configuration(statistics, configuration),
        recipe=Recipe(steps=100, batch=8, look_every=20, outliers=(DQ_DV,)),
        looks=Looks(statistics, below, configuration),
        recordings=tuple(c.charge for c in cases),
        unscored=found.unused,
    )


def partial_charges(folder: Path) -> Charges:
    """Read Q(V) of the part of a charge that passes a voltage window."""
    parts = []
    found = reading.tables(folder, has_curve)
    unscored = list(found.unread)
    for path, table in found.frames.items():
        known = next((NICKEL[word] for word in NICKEL if word in path.name.lower()), None)
        if known is None:
            unscored.append(f"{path.name}: unknown_configuration (name the file after NCA, NCM or NCM_NCA)")
            continue
        part, reasons = _partial(path.name, table, *known)
        unscored += reasons
        parts += [part] if len(part) else []
    if not parts:
        raise reading.refused("no charge curve", folder, "see the data set's README", unscored)
    joined: dict[str, Any] = {n: np.concatenate([getattr(p, n) for p in parts]) for n in COLUMNS if n != "plain"}
    plain = _with_configuration(np.concatenate([p.plain for p in parts]), joined["configuration"])
    identity = polars.concat([p.identity for p in parts], how="diagonal_relaxed")
    x = torch.cat([p.x for p in parts])
    return replace(parts[0], identity=identity, **joined, x=x, plain=plain, unscored=tuple(unscored))


def charge_ends(folder: Path) -> Charges:
    """Read sixteen numbers of a charge's end."""
    found = cycle_features.read(folder)
    sets = found.sets
    unscored = tuple(reason for reasons in found.unusable.values() for reason in reasons)
    if not sets:
        raise reading.refused("no row that can be used", folder, "see the data set's README", unscored)
    configuration = np.concatenate([np.full(len(s.row), s.configuration.name, dtype="U16") for s in sets])
    shown = np.concatenate([s.shown for s in sets])
    return Charges(
        form="charge's end",
        weights_file="charge_end.safetensors",
        identity=polars.concat([s.identity.with_columns(set=polars.lit(s.configuration.name)) for s in sets]),
        cell=np.char.add(np.char.add(configuration, " "), np.concatenate([s.cell for s in sets])),
        configuration=configuration,
        nominal_capacity_ah=np.concatenate([np.full(len(s.row), s.configuration.nominal_capacity_ah) for s in sets]),
        soh=np.concatenate([s.soh for s in sets]),
        held=np.full(len(shown), np.nan),
        x=torch.as_tensor(shown[:, None, :], dtype=torch.float32),
        plain=_with_configuration(shown, configuration),
        recipe=Recipe(backbone="mlp", steps=300, batch=32, look_every=30, each_point=True),
        unscored=unscored,
    )


def _partial(file: str, table: polars.DataFrame, kind: str, nominal: float) -> tuple[Charges, tuple[str, ...]]:
    """Give one file's charges, and its rows that show none."""
    number = CYCLE if CYCLE in table.columns else LINE
    if number == LINE:
        table = table.with_row_index(LINE, offset=reading.HEADING_LINES + 1)
    table, unread = reading.keyed(table, file, number)
    table, again = reading.once(table, file, number)
    curve, missing = reading.numbered(table, CURVE, len(CURVE_VOLT))
    whole = np.isfinite(curve).all(axis=1)
    rises = whole & (np.diff(curve, axis=1) >= 0).all(axis=1)
    most_ah = reading.MOST_OF_NOMINAL * nominal
    above = np.any(curve > most_ah, axis=1)
    known = rises & ~above & (curve.shape[1] == len(CURVE_VOLT))
    why = np.select(
        [np.full(len(table), bool(missing)), ~whole, ~rises, above],
        [
            f"no {missing}",
            "a charge curve that is not whole (window_not_covered)",
            "a charge curve that falls",
            f"a charge curve above {most_ah:g} Ah",
        ],
        f"{curve.shape[1]} points of a charge curve, not {len(CURVE_VOLT)}",
    )
    soh, no_label = reading.labels(table, LABEL, nominal)
    here = reading.in_file(table, file)
    unread += again + reading.named(here, number, ~known, why)
    unread += reading.named(here, number, no_label, reading.no_label(LABEL, nominal))
    made = _of_rows(table.filter(polars.Series(known)), curve[known], soh[known] / nominal, kind, nominal)
    return replace(made, identity=made.identity.drop(LINE, strict=False)), unread


def _of_rows(table: polars.DataFrame, curve: Float, soh: Float, kind: str, nominal: float) -> Charges:
    identity = table.select(c for c in table.columns if not c.startswith((CURVE, "relax")) and c != LABEL)
    temperature = reading.column(table, "ambient_temperature_celsius")
    configuration = np.array([f"{kind} {t:.0f} C" if kind == "NCA" else kind for t in temperature], dtype=np.str_)
    share = curve / nominal
    return Charges(
        form="partial charge",
        weights_file="partial_charge.safetensors",
        identity=identity,
        cell=np.array([f"{kind} {c}" for c in table[CELL].to_list()], dtype=np.str_),
        configuration=configuration,
        nominal_capacity_ah=np.full(len(soh), nominal),
        soh=soh,
        held=np.full(len(soh), np.nan),
        x=torch.as_tensor(features.partial(share, CURVE_VOLT), dtype=torch.float32),
        plain=np.concatenate([share[:, 1:], reading.column(table, "charge_c_rate")[:, None]], axis=1),
        recipe=Recipe(backbone="mlp", steps=300, batch=32, look_every=30, each_point=True),
    )


LABEL = "discharge_capacity_ah"
CYCLE, LINE = "cycle", "line"


def _with_configuration(plain: Float, configuration: Names) -> Float:
    """Lay beside the inputs which configuration it is."""
    return np.concatenate([plain, (configuration[:, None] == np.unique(configuration)).astype(float)], axis=1)


def has_curve(columns: Collection[str]) -> bool:
    """Tell a file with Q(V) by its columns."""
    return CELL in columns and any(re.fullmatch(f"{CURVE}[0-9]+", c) for c in columns)


FORMS: tuple[tuple[Callable[[Path], bool], Callable[[Path], Charges]], ...] = (
    (nasa.looks_like, full_charges),
    (cycle_features.looks_like, charge_ends),
    (partial(reading.holds, wanted=has_curve), partial_charges),
)
