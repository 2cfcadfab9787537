"""Read tables with one row a cycle: the charge just before, the rest after it and the capacity that was found.

The form is that of the sets `zhu2022-voltage-relaxation` and `imodel-lsd-relaxation`; a folder may hold any files
of it, with other cells and under other names. What a row does not tell is NaN: a charge without a rest, a rest
without a charge, no capacity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars

from daemon.errors import UsageError
from estimators.features import Window, on_window
from estimators.imodel.features import KINDS, Events, Kind
from estimators.imodel.rows import Rows

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Float = NDArray[np.float64]
    Bool = NDArray[np.bool_]

SUFFIXES = (".csv", ".csv.gz", ".parquet")
REST, CHARGE = "relax_volt_", "dq_ah_"
CELL, CYCLE, CELSIUS = "cell", "cycle", "ambient_temperature_celsius"
CAPACITY, MEASURED = "discharge_capacity_ah", "capacity_is_measured"
RATES, CURRENTS = ("charge_c_rate", "discharge_c_rate"), ("charge_current_ampere", "discharge_current_ampere")
IDENTITY = ("file", CELL, CYCLE, CELSIUS, *RATES, *CURRENTS)
PLAUSIBLE_VOLT = (4.0, 4.25)  # of a rest after a full charge; beyond, something else was recorded
FEW_POINTS = 14  # of a rest, at 120 s
EVERY = 4  # of a longer one, at 30 s: what remains is at 120 s too
SLOW = 0.5  # a discharge at less than this share of a cell's usual rate is a capacity test, and deeper


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one kind of cell, ordered by cell and cycle."""

    kind: Kind
    identity: polars.DataFrame  # [row] file, cell, cycle, rates and temperature, as the files say
    events: Events
    capacity_ah: Float  # [row] NaN: not known, or only drawn between two cycles that were measured
    unscored: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.events)

    @property
    def cell(self) -> NDArray[np.str_]:
        """Name each row's cell [row]; cells of two files are two."""
        return np.array([f"{f}:{c}" for f, c in self.identity.select("file", CELL).iter_rows()])

    @property
    def cycle(self) -> NDArray[np.int64]:
        """Say which cycle each row is [row]."""
        return self.identity[CYCLE].cast(polars.Int64).to_numpy()

    @property
    def condition(self) -> NDArray[np.int64]:
        """Number the conditions of temperature and rates that there are, and say which each row is [row]."""
        use = np.nan_to_num(self.events.use[:, : self.kind.conditions], nan=-1.0)
        return np.unique(use, axis=0, return_inverse=True)[1].ravel()

    @property
    def rows(self) -> Rows:
        """What is learnt from."""
        return Rows(self.events, self.cell, self.cycle, self.capacity_ah)

    def pick(self, rows: Bool) -> Table:
        """Take some rows."""
        return Table(
            self.kind,
            self.identity.filter(polars.Series(rows)),
            self.events.pick(rows),
            self.capacity_ah[rows],
            self.unscored,
        )


def read(folder: Path) -> list[Table]:
    """Read every file of the form: one table a kind of cell. Raises UsageError where there is none."""
    paths = sorted(p for p in folder.iterdir() if p.name.lower().endswith(SUFFIXES))
    tables: dict[str, list[Table]] = {}
    for path in paths:
        frame = polars.read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
        if {CELL, CYCLE} <= set(frame.columns) and any(c.startswith((REST, CHARGE)) for c in frame.columns):
            table = _table(frame.with_columns(file=polars.lit(_stem(path))).sort(CELL, CYCLE), kind_of(path, frame))
            tables.setdefault(table.kind.name, []).append(table)
    if not tables:
        raise UsageError(
            f"no file with columns {CELL}, {CYCLE} and {CHARGE}* or {REST}*",
            where=str(folder),
            mend="name a folder of the form of zhu2022-voltage-relaxation or imodel-lsd-relaxation",
        )
    return [_joined(parts) for parts in tables.values()]


def kind_of(path: Path, frame: polars.DataFrame) -> Kind:
    """Tell a file's cells by its columns; those of one size and form (NCA, NCM) by its name, else NCA."""
    if CURRENTS[0] in frame.columns:
        return KINDS["lsd"]
    name = path.name.lower()
    mixed = "nca" in name and "ncm" in name
    if mixed or sum(c.startswith(REST) for c in frame.columns) > 2 * FEW_POINTS:
        return KINDS["ncm_nca"]
    return KINDS["ncm" if "ncm" in name else "nca"]


def _read_csv(path: Path) -> polars.DataFrame:
    return polars.read_csv(path, infer_schema_length=None, null_values=["", "nan", "NaN"])


def _stem(path: Path) -> str:
    return path.name.split(".", 1)[0]


def _table(frame: polars.DataFrame, kind: Kind) -> Table:
    nominal = kind.nominal_capacity_ah
    rates = [_column(frame, of) for of in RATES]
    currents = [_column(frame, of) / nominal for of in CURRENTS]
    charge_rate, discharge_rate = (np.abs(np.where(np.isfinite(r), r, c)) for r, c in zip(rates, currents, strict=True))
    charge_ah = _charge(frame, kind)
    charge_ah[_after_a_test(frame[CELL].to_list(), discharge_rate)] = np.nan
    events = Events(charge_ah, _rest(frame, kind), _column(frame, CELSIUS), charge_rate, discharge_rate)
    capacity = _column(frame, CAPACITY)
    if MEASURED in frame.columns:
        capacity = np.where(_column(frame, MEASURED) == 1, capacity, np.nan)
    identity = frame.select(c for c in IDENTITY if c in frame.columns).cast({CELL: polars.String})
    table = Table(kind, identity, events, capacity)
    seen: Bool = np.any(np.isfinite(np.concatenate([events.charge_ah, events.rest_volt], axis=1)), axis=1)
    nothing = table.pick(~seen).identity
    reasons = tuple(
        f"{file}, {cell}, cycle {', '.join(map(str, cycles))}: neither a rest nor a charge that compares with others"
        for file, cell, cycles in nothing.group_by("file", CELL, maintain_order=True).agg(CYCLE).iter_rows()
    )
    return replace(table.pick(seen), unscored=reasons)


def _column(frame: polars.DataFrame, name: str) -> Float:
    if name not in frame.columns:
        return np.full(len(frame), np.nan)
    return frame[name].cast(polars.Float64, strict=False).fill_null(np.nan).to_numpy().copy()


def _columns(frame: polars.DataFrame, head: str) -> Float:
    """Give [row, column] of numbered columns, in their order."""
    names = sorted((c for c in frame.columns if c.startswith(head)), key=lambda c: int(c.removeprefix(head)))
    return np.stack([_column(frame, n) for n in names], axis=1) if names else np.full((len(frame), 1), np.nan)


def _charge(frame: polars.DataFrame, kind: Kind) -> Float:
    """Q(V) [row, point] on the kind's window; NaN where a curve falls."""
    charge_ah = _columns(frame, CHARGE)
    if charge_ah.shape[1] == 1:
        return np.full((len(frame), kind.window.points), np.nan)
    ends = np.stack([_column(frame, f"window_{end}_volt") for end in ("start", "end")], axis=1)
    usual = (kind.window.low_volt, kind.window.high_volt)
    ends = np.where(np.isfinite(ends), ends, usual)
    laid = np.full((len(frame), kind.window.points), np.nan)
    for low, high in np.unique(ends, axis=0):
        rows = (ends == (low, high)).all(axis=1)
        own = Window(float(low), float(high), charge_ah.shape[1])
        laid[rows] = charge_ah[rows] if own == kind.window else on_window(charge_ah[rows], own, kind.window)
    falls = (np.diff(laid, axis=1) < 0).any(axis=1)
    laid[falls] = np.nan
    return laid


def _rest(frame: polars.DataFrame, kind: Kind) -> Float:
    """Rests [row, point] on the kind's clock; NaN throughout where a voltage is not that of a full cell."""
    volt = _columns(frame, REST)
    if kind.name != "lsd" and volt.shape[1] > 2 * FEW_POINTS:
        volt = volt[:, EVERY - 1 :: EVERY]
    rest = np.full((len(volt), kind.rest_points), np.nan)
    points = min(kind.rest_points, volt.shape[1])
    rest[:, :points] = volt[:, :points]
    strange: Bool = np.any((rest < PLAUSIBLE_VOLT[0]) | (rest > PLAUSIBLE_VOLT[1]), axis=1)
    rest[strange] = np.nan
    return rest


def _after_a_test(cell: list[str], discharge_rate: Float) -> Bool:
    """Tell which charges follow a capacity test: they begin lower than others, and their Q(V) differs."""
    names, index = np.unique(cell, return_inverse=True)
    usual = np.array([np.median(discharge_rate[index == i]) for i in range(len(names))])
    slow = discharge_rate < SLOW * usual[index]
    return np.concatenate([[False], slow[:-1] & (index[:-1] == index[1:])])


def _joined(parts: list[Table]) -> Table:
    events = Events(*(np.concatenate([getattr(p.events, f) for p in parts]) for f in Events.__dataclass_fields__))
    return Table(
        parts[0].kind,
        polars.concat([p.identity for p in parts], how="diagonal_relaxed"),
        events,
        np.concatenate([p.capacity_ah for p in parts]),
        tuple(reason for p in parts for reason in p.unscored),
    )
