"""Read tables with one row a cycle: the charge just before, the rest after it and the capacity that was found.

The form is that of the sets `zhu2022-voltage-relaxation` and `imodel-lsd-relaxation`; a folder may hold any files
of it, with other cells and under other names. What a row does not tell is NaN: a charge without a rest, a rest
without a charge, no capacity.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars

from daemon.tables import reading
from daemon.tables.reading import CELL, FILE, column, in_file, named, numbered
from estimators.features import Window, on_window
from estimators.imodel.features import KINDS, Events, Kind
from estimators.imodel.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from numpy.typing import NDArray

    Float = NDArray[np.float64]
    Bool = NDArray[np.bool_]

REST, CHARGE = "relax_volt_", "dq_ah_"
NUMBERED = re.compile(f"({REST}|{CHARGE})[0-9]+")
CYCLE, CELSIUS = "cycle", "ambient_temperature_celsius"
CAPACITY, MEASURED = "discharge_capacity_ah", "capacity_is_measured"
RATES, CURRENTS = ("charge_c_rate", "discharge_c_rate"), ("charge_current_ampere", "discharge_current_ampere")
IDENTITY = (FILE, CELL, CYCLE, CELSIUS, *RATES, *CURRENTS)
PLAUSIBLE_VOLT = (4.0, 4.25)  # of a rest after a full charge; beyond, something else was recorded
FEW_POINTS = 14  # of a rest, at 120 s
EVERY = 4  # of a longer one, at 30 s: what remains is at 120 s too
SLOW = 0.5  # a discharge at less than this share of a cell's usual rate is a capacity test, and deeper
USUAL_C_RATE = 1.0  # at least, of cells whose capacity is that of tests: a table may hold nothing but their tests
FIRST_CYCLE = 1
NO, YES, UNKNOWN = 0, 1, 2
AFTER = np.array(  # why such a row shows nothing
    [
        "neither a rest nor a charge that compares with others",
        "no rest, and its charge follows a capacity test",
        "no rest, and its charge may follow a capacity test: the cycle before, or its current, is missing",
    ]
)


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
        return np.array([f"{f}:{c}" for f, c in self.identity.select(FILE, CELL).iter_rows()])

    @property
    def cycle(self) -> NDArray[np.int64]:
        """Say which cycle each row is [row]."""
        return self.identity[CYCLE].to_numpy()

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


def fits(columns: Collection[str]) -> bool:
    """Tell a file of the form by its columns."""
    return {CELL, CYCLE} <= set(columns) and any(NUMBERED.fullmatch(c) for c in columns)


def looks_like(folder: Path) -> bool:
    """Tell whether any file of the folder has the form."""
    return reading.holds(folder, fits)


def read(folder: Path) -> list[Table]:
    """Read every file of the form: one table a kind of cell. Raises UsageError where no row can be used."""
    found = reading.tables(folder, fits)
    tables: dict[str, list[Table]] = {}
    for path, frame in found.frames.items():
        kind = kind_of(path, frame)
        tables.setdefault(kind.name, []).append(_table(_stem(path), frame, kind))
    if not tables:
        raise reading.refused(
            f"no file with columns {CELL}, {CYCLE} and {CHARGE}* or {REST}*",
            folder,
            "name a folder of the form of zhu2022-voltage-relaxation or imodel-lsd-relaxation",
            found.unread,
        )
    joined = [_joined(parts) for parts in tables.values()]
    reasons = (*found.unread, *(reason for table in joined for reason in table.unscored))
    usable = [table for table in joined if len(table)]
    if not usable:
        raise reading.refused("no row that can be used", folder, "the files have headings alone", reasons)
    return [replace(usable[0], unscored=reasons), *(replace(table, unscored=()) for table in usable[1:])]


def kind_of(path: Path, frame: polars.DataFrame) -> Kind:
    """Tell a file's cells by its columns; those of one size and form (NCA, NCM) by its name, else NCA."""
    if CURRENTS[0] in frame.columns:
        return KINDS["lsd"]
    name = path.name.lower()
    mixed = "nca" in name and "ncm" in name
    if mixed or numbered(frame, REST, 1)[0].shape[1] > 2 * FEW_POINTS:
        return KINDS["ncm_nca"]
    return KINDS["ncm" if "ncm" in name else "nca"]


def _stem(path: Path) -> str:
    return path.name.split(".", 1)[0]


def _table(file: str, frame: polars.DataFrame, kind: Kind) -> Table:
    frame, unread = reading.keyed(frame, file, CYCLE)
    frame, again = reading.once(frame.sort(CELL, CYCLE, maintain_order=True), file, CYCLE)
    nominal = kind.nominal_capacity_ah
    rates = [column(frame, of) for of in RATES]
    currents = [column(frame, of) / nominal for of in CURRENTS]
    charge_rate, discharge_rate = (np.abs(np.where(np.isfinite(r), r, c)) for r, c in zip(rates, currents, strict=True))
    measured = column(frame, MEASURED)
    charge_ah, incomplete, spoilt = _charge(frame, kind)
    after_a_test = _after_a_test(frame, discharge_rate, measured, kind)
    charge_ah[after_a_test != NO] = np.nan
    events = Events(charge_ah, _rest(frame, kind), column(frame, CELSIUS), charge_rate, discharge_rate)
    capacity, no_label = reading.labels(frame, CAPACITY, nominal)
    if MEASURED in frame.columns:
        capacity, no_label = np.where(measured == 1, capacity, np.nan), no_label & (measured == 1)
    frame = in_file(frame, file)
    identity = frame.select(c for c in IDENTITY if c in frame.columns)
    table = Table(kind, identity, events, capacity)
    seen: Bool = np.any(np.isfinite(np.concatenate([events.charge_ah, events.rest_volt], axis=1)), axis=1)
    reasons = [*unread, *again, *named(identity, CYCLE, no_label, reading.no_label(CAPACITY, nominal))]
    reasons += [f"{file}: no {incomplete}, so that its charges are not looked at"] if incomplete else []
    most_ah = reading.MOST_OF_NOMINAL * nominal
    reasons += named(
        identity, CYCLE, spoilt, f"{CHARGE}* falls or is above {most_ah:g} Ah: its charge is not looked at"
    )
    reasons += named(identity, CYCLE, ~seen, AFTER[after_a_test])
    return replace(table.pick(seen), unscored=tuple(reasons))


def _charge(frame: polars.DataFrame, kind: Kind) -> tuple[Float, str, Bool]:
    """Q(V) [row, point] on the kind's window; the columns that are missing; and where a curve cannot be one [row]."""
    charge_ah, missing = numbered(frame, CHARGE, kind.window.points)
    ends = np.stack([column(frame, f"window_{end}_volt") for end in ("start", "end")], axis=1)
    usual = (kind.window.low_volt, kind.window.high_volt)
    ends = np.where(np.isfinite(ends), ends, usual)
    laid = np.full((len(frame), kind.window.points), np.nan)
    for low, high in () if missing else np.unique(ends, axis=0):
        rows = (ends == (low, high)).all(axis=1)
        own = Window(float(low), float(high), charge_ah.shape[1])
        laid[rows] = charge_ah[rows] if own == kind.window else on_window(charge_ah[rows], own, kind.window)
    strange: Bool = (np.diff(laid, axis=1) < 0) | (laid[:, 1:] > reading.MOST_OF_NOMINAL * kind.nominal_capacity_ah)
    spoilt: Bool = np.any(strange, axis=1)
    laid[spoilt] = np.nan
    return laid, missing, spoilt


def _rest(frame: polars.DataFrame, kind: Kind) -> Float:
    """Rests [row, point] on the kind's clock; NaN throughout where a voltage is not that of a full cell."""
    volt, _ = numbered(frame, REST, 1)
    if kind.name != "lsd" and volt.shape[1] > 2 * FEW_POINTS:
        volt = volt[:, EVERY - 1 :: EVERY]
    rest = np.full((len(volt), kind.rest_points), np.nan)
    points = min(kind.rest_points, volt.shape[1])
    rest[:, :points] = volt[:, :points]
    strange: Bool = np.any((rest < PLAUSIBLE_VOLT[0]) | (rest > PLAUSIBLE_VOLT[1]), axis=1)
    rest[strange] = np.nan
    return rest


def _after_a_test(frame: polars.DataFrame, discharge_rate: Float, measured: Float, kind: Kind) -> NDArray[np.int64]:
    """Tell which charges [row] follow a capacity test, NO, YES or UNKNOWN: they begin lower, and their Q(V) differs.

    A test is a discharge that is slow for its cell, or a row whose capacity was measured. Where capacity is that of
    tests alone, Q(V) after one is larger by a sixth, and by more in an old cell; so a charge of which nobody knows
    whether it follows one is taken to, and the rest answers. It is unknown where the cycle before is not there or
    does not say its current, but for a cell's first cycle and for a test itself: no two of them follow each other.
    """
    known = np.isfinite(discharge_rate)
    rates = frame.select(CELL, polars.Series("rate", discharge_rate, nan_to_null=True))
    usual = rates.select(polars.col("rate").median().over(CELL).fill_null(0.0))["rate"].to_numpy()
    slow = discharge_rate < SLOW * np.maximum(usual, 0.0 if kind.discharge_counts else USUAL_C_RATE)
    test = np.where(slow | (measured == 1), YES, np.where(known | (measured == 0), NO, UNKNOWN))
    cell, cycle = frame[CELL].to_numpy(), frame[CYCLE].to_numpy()
    follows = np.zeros(len(frame), bool)
    follows[1:] = (cell[1:] == cell[:-1]) & (cycle[1:] == cycle[:-1] + 1)
    after = np.where(follows, np.roll(test, 1), np.where(cycle <= FIRST_CYCLE, NO, UNKNOWN))
    if kind.discharge_counts:  # every row has its own capacity, and there are no tests that would be missing
        return np.where(after == UNKNOWN, NO, after)
    return np.where((after == UNKNOWN) & (test == YES), NO, after)


def _joined(parts: list[Table]) -> Table:
    events = Events(*(np.concatenate([getattr(p.events, f) for p in parts]) for f in Events.__dataclass_fields__))
    return Table(
        parts[0].kind,
        polars.concat([p.identity for p in parts], how="diagonal_relaxed"),
        events,
        np.concatenate([p.capacity_ah for p in parts]),
        tuple(reason for p in parts for reason in p.unscored),
    )
