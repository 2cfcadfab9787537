"""What models are shown of a charge and of the rest after it, in units in which cells of any size compare.

Charge in shares of the nominal capacity, currents in C-rates; the rest as its statistics and its fall.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from estimators.features import Window, rest_statistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from estimators.contract import Bool, Float

Variant = Literal["both", "charge", "late", "rest"]
VARIANTS: tuple[Variant, ...] = ("both", "charge", "late", "rest")  # the best first
SAID: dict[Variant, str] = {
    "both": "charge and rest",
    "charge": "the charge alone",
    "late": "a late charge and rest",
    "rest": "the rest alone",
}

LATE_MARGIN_VOLT = 0.05  # a charge is under way for so long before it is looked at
LATE_START = 2.0  # a first fall of the rest so many times the second: its first point is older than one period
CURVE_STEP = 2  # of the window's points, every second is looked at
SHORTEST_REST = 0.5  # of the points must be there; the curve's end is drawn on from them
LEAST_FALL_VOLT = 1e-4  # a smaller one is not told from none
DECAY = 0.8  # how much less a rest falls from point to point, where its end is drawn on


@dataclass(frozen=True, slots=True)
class Kind:
    """Cells of one make, and how their charges and rests were recorded."""

    name: str
    chemistry: str  # as cell types say it; "": not told
    nominal_capacity_ah: float
    window: Window  # of Q(V)
    late_volt: float  # a charge that began within the window is looked at from here on
    rest_points: int
    rest_period_second: float  # between two of them; the first one is that long after the charge; NaN: not told
    looked_at: tuple[int, ...]  # points of a rest, whose level and falls are taken where there is no charge
    discharge_counts: bool  # capacity is that of a discharge at the row's own rate
    by_parts: bool  # of Q(V) the parts between its points are looked at, and not the sums up to them

    @property
    def conditions(self) -> int:
        """How many of temperature, charge and discharge rate tell one set of conditions from another."""
        return 3 if self.discharge_counts else 2


_WIDE, _EARLY = Window(3.6, 4.15), (0, 1, 2, 4, 8, 12)
KINDS: dict[str, Kind] = {
    k.name: k
    for k in (
        Kind("nca", "nca", 3.5, _WIDE, 3.8, 14, 120.0, _EARLY, discharge_counts=True, by_parts=False),
        Kind("ncm", "nmc", 3.5, _WIDE, 3.8, 14, 120.0, _EARLY, discharge_counts=True, by_parts=False),
        Kind("ncm_nca", "nmc", 2.5, _WIDE, 3.8, 14, 120.0, _EARLY, discharge_counts=True, by_parts=False),
        Kind("lsd", "", 2.0, Window(3.8, 4.1), 3.9, 90, np.nan, (), discharge_counts=False, by_parts=True),
    )
}


@dataclass(frozen=True, slots=True)
class Events:
    """Some charges to full at constant current, each with the rest after it; NaN where it was not seen."""

    charge_ah: Float  # [n, window point] taken up since the window's first voltage
    rest_volt: Float  # [n, rest point]
    temperature_celsius: Float  # [n]
    charge_c_rate: Float  # [n]
    discharge_c_rate: Float  # [n] positive; of the cycle that follows

    def __len__(self) -> int:
        return len(self.temperature_celsius)

    def pick(self, rows: Bool) -> Events:
        """Take some rows."""
        return Events(
            self.charge_ah[rows],
            self.rest_volt[rows],
            self.temperature_celsius[rows],
            self.charge_c_rate[rows],
            self.discharge_c_rate[rows],
        )

    @property
    def use(self) -> Float:
        """How the cell is used [n, 3]: temperature (°C), charge and discharge C-rate."""
        return np.stack([self.temperature_celsius, self.charge_c_rate, self.discharge_c_rate], axis=1)


def inputs(events: Events, kind: Kind, variant: Variant) -> Float:
    """Give what models see of each event [n, input], conditions first; NaN where what a variant wants was not seen."""
    parts = [events.use[:, : kind.conditions]]
    if variant != "rest":
        share = events.charge_ah / kind.nominal_capacity_ah
        parts.append(_charge(_late(share, kind) if variant == "late" else share, by_parts=kind.by_parts))
    if variant != "charge":
        parts.append(_rest(events.rest_volt, kind, falls=variant == "rest"))
    return np.concatenate(parts, axis=1)


def best_variant(events: Events, kind: Kind, among: Sequence[Variant] = VARIANTS) -> list[Variant | None]:
    """Say of each event which variant it allows, the best first; None: not any."""
    allowed: dict[Variant, Bool] = {}
    for variant in among:
        allowed[variant] = np.all(np.isfinite(inputs(events, kind, variant)[:, kind.conditions :]), axis=1)
    return [next((v for v in among if allowed[v][i]), None) for i in range(len(events))]


def _late(share: Float, kind: Kind) -> Float:
    """Charge taken up since `late_volt`; NaN where the charge had not begun for good before."""
    begin = int(np.searchsorted(kind.window.voltage_volt, kind.late_volt - LATE_MARGIN_VOLT))
    late = int(np.searchsorted(kind.window.voltage_volt, kind.late_volt))
    begun: Bool = np.all(np.isfinite(share[:, begin:late]), axis=1)
    return np.where(begun[:, None], share[:, late:] - share[:, late : late + 1], np.nan)


def _charge(share: Float, *, by_parts: bool) -> Float:
    """Charge taken up until some voltages of the window, its end among them; NaN where the window was not passed."""
    whole: Bool = np.all(np.isfinite(share), axis=1)
    shown = share[:, ::-CURVE_STEP]
    if by_parts:
        shown = np.concatenate([shown[:, :1], -np.diff(shown, axis=1), shown[:, -1:]], axis=1)
    return np.where(whole[:, None], shown, np.nan)


def _rest(volt: Float, kind: Kind, *, falls: bool) -> Float:
    """The rest's six statistics, on one clock whatever its first point was; and its level and falls' logarithms."""
    known = np.isfinite(volt)
    drawn = draw_on(volt)
    aligned = drawn if np.isnan(kind.rest_period_second) else align(drawn)
    shown = rest_statistics(aligned)
    if falls and kind.looked_at:
        curve = aligned[:, np.array(kind.looked_at)]
        falls_volt = np.maximum(-np.diff(curve, axis=1), LEAST_FALL_VOLT)
        shown = np.concatenate([shown, curve[:, -1:], np.log(falls_volt)], axis=1)
    enough = known[:, :3].all(axis=1) & (known.mean(axis=1) >= SHORTEST_REST)
    return np.where(enough[:, None], shown, np.nan)


def draw_on(volt: Float) -> Float:
    """Go on falling, ever more slowly, where a rest [n, point] ends before its last point."""
    drawn = volt.copy()
    for point in range(2, volt.shape[1]):
        missing = np.isnan(drawn[:, point])
        before, last = drawn[missing, point - 2], drawn[missing, point - 1]
        drawn[missing, point] = last + DECAY * (last - before)
    return drawn


def align(volt: Float) -> Float:
    """Leave out the first point of rests [n, point] that begin at once and not one period after the charge.

    They fall much more before their second point than after it.
    """
    at_once = volt[:, 0] - volt[:, 1] > LATE_START * (volt[:, 1] - volt[:, 2])
    end = volt[:, -1] + DECAY * (volt[:, -1] - volt[:, -2])
    later = np.concatenate([volt[:, 1:], end[:, None]], axis=1)
    return np.where(at_once[:, None], later, volt)
