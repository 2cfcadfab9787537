"""A log -> the SOC of each of its rows, wherever the log or its owner says enough for it.

Known points and the charge counted between them:

1. a `soc` column is taken as it is (of present capacity where `soh` stands beside it, else of nominal capacity);
2. else the SOC of the first row is what `labels.yaml` or `--initial-soc` says;
3. each full point inside the log is SOC 1: the end of a charge at constant voltage whose current has tapered;
4. else a log that begins near the upper voltage limit begins full;
5. else an empty cell's SOC stands where a log begins at rest near the lower voltage limit, or where a slow discharge
   ends there.

Charge is counted by `net_capacity_ah`, else by the integral of the current. After a known point it is counted
forward; on the way back up to the next full point, the charge that has not come out as it went in (efficiency, an
offset of the tester) is spread over that way. Where no full point follows, a count that climbs far, or passes full,
is not believed beyond its lowest point.

`labels.yaml`, beside the logs or in the cell type's folder, says what no log can; the first entry that fits counts:

    - files: [udds_*_neg15c_*]    # by name, without the ending
      initial_soc: 1.0            # of the nominal capacity, in the first row
      capacity_ah: 2.01           # what the cell held then
      temperature_celsius: -15    # where the log has no temperature of the cell
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

import msgspec
import numpy as np

from daemon.errors import LogError
from estimators.contract import to_nominal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from daemon.log import Float, Log
    from estimators.cell_type import CellType

LABELS_FILE = "labels.yaml"
HOLE_SECOND = 120.0  # a longer pause between rows is a hole: what flowed in it must be told by a counter
TAPER_C_RATE = 0.1  # a point is full or empty only below this current,
TAPER_SECOND = 60.0  # for so long,
FULL_BELOW_LIMIT_VOLT, EMPTY_ABOVE_LIMIT_VOLT = 0.1, 0.03  # so near the limit
CONSTANT_VOLT, TAPER_RATIO = 0.01, 2.0  # a charge at constant voltage: current falls while the voltage does not move
STARTS_FULL_ABOVE = {"lfp": 0.8}  # share of the way between the voltage limits that a log's first minutes reach,
STARTS_FULL_ABOVE_ELSE = 0.6  # and for the other chemistries
STARTS_SECOND = 300.0
CONTRADICTION = 0.15  # of nominal capacity: a supposed start that misses the next known point by more was wrong
PAST_FULL, CLIMBS_FAR = 0.02, 0.3
STARTS_EMPTY_VOLT = 0.3  # above the lower limit, at rest
REST_C_RATE = 0.02
COUNTER_AGREEMENT = 0.03  # of nominal capacity, between the tester's counter and the integral of its current
LONGEST_HOLD_SECOND = 30.0
NEAR_THE_END = 0.02  # a log that begins so near full or empty has come from there


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of `labels.yaml`."""

    files: tuple[str, ...]
    initial_soc: float | None = None
    capacity_ah: float | None = None
    temperature_celsius: float | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the cell beside its logs."""

    nominal_capacity_ah: float
    reference_soh: float  # the cell's SOH, where neither log nor rule says it
    chemistry: str
    voltage_min_volt: float
    voltage_max_volt: float
    rules: tuple[Rule, ...] = ()
    initial_soc: float | None = None  # in the first row of each log, of the nominal capacity
    ambient_temperature_celsius: float = 25.0  # where nothing tells a log's temperature

    @classmethod
    def of(cls, cell_type: CellType, rules: Sequence[Rule] = (), initial_soc: float | None = None) -> Known:
        """Take it from a cell type; `rules` go before those of its folder. Raises LogError."""
        return cls(
            cell_type.nominal_capacity_ah,
            cell_type.typical_soh,
            cell_type.chemistry,
            cell_type.voltage_min_volt,
            cell_type.voltage_max_volt,
            (*rules, *read_rules(cell_type.folder / LABELS_FILE)),
            initial_soc,
        )

    def rule(self, name: str) -> Rule:
        """Find what is said of a log by its name."""
        fits = (rule for rule in self.rules if any(fnmatch(name, pattern) for pattern in rule.files))
        return next(fits, Rule(files=()))


class Label(NamedTuple):
    """The truth about one log."""

    soc_nominal: Float  # [row] NaN where it is not known
    soh: float  # NaN where it is not known
    hysteresis: float  # h (see `Tables`) before the first row


def read_rules(path: Path) -> tuple[Rule, ...]:
    """Read a `labels.yaml`; none where there is no such file. Raises LogError."""
    if not path.is_file():
        return ()
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=tuple[Rule, ...])
    except (msgspec.MsgspecError, UnicodeDecodeError) as err:
        mend = "a list of entries with files, and initial_soc, capacity_ah or temperature_celsius"
        raise LogError(f"it cannot be understood: {err}", where=str(path), mend=mend) from err


def label(log: Log, name: str, known: Known) -> Label:
    """Find the SOC of each row of a log whose rows are in order of time.

    Raises LogError where a log without `soc` has holes that no counter tells of, or no point where its SOC is known.
    """
    rule = known.rule(name)
    if _told(log.soc):
        soh = median(log.soh) if log.soh is not None else _soh(rule, known)
        soc = log.soc if log.soh is None else to_nominal(log.soc, log.soh)
        return Label(soc, soh, _before(soc, soh, known))
    charge_ah = counted_ah(log)
    full = _full_points(log, known)
    points = _known_points(log, charge_ah, full, rule, known)
    soc = _between(charge_ah / known.nominal_capacity_ah, points)
    soh = _soh(rule, known)
    if np.isnan(soh) and len(full) and points[0][0] == full[0]:
        soh = _returned_ah(log, charge_ah, full[0], known) / known.nominal_capacity_ah
    return Label(soc, soh, _before(soc, soh, known))


def says_truth(log: Log, name: str, known: Known) -> bool:
    """Tell whether a log comes with a label, rather than with nothing but its current."""
    columns = (log.soc, log.net_capacity_ah, log.charging_capacity_ah)
    return any(_told(column) for column in columns) or bool(known.rule(name).files)


def check_counter(log: Log, known: Known) -> None:
    """Raise LogError where the tester's counter, if there is one, parts from the integral of its current."""
    if not _told(net := log.net_capacity_ah):
        return
    held = np.minimum(np.diff(log.test_time_second, append=log.test_time_second[-1]), LONGEST_HOLD_SECOND)
    counted = np.cumsum(log.current_ampere * held) / 3600.0
    apart = np.nanmax(np.abs(net - counted)) / known.nominal_capacity_ah
    if apart > COUNTER_AGREEMENT:
        raise LogError(
            f"net_capacity_ah parts from the integral of the current by {apart:.0%} of the nominal capacity",
            where=str(log.path),
            mend="score whole cycles whose counter starts at 0",
        )


def counted_ah(log: Log) -> Float:
    """Count the charge since the first row, positive on charge. Raises LogError where a hole hides some of it."""
    if _told(log.net_capacity_ah):
        first = log.net_capacity_ah[np.isfinite(log.net_capacity_ah)][0]
        return np.asarray(log.net_capacity_ah - first)
    hold = np.diff(log.test_time_second)
    if hold.max(initial=0.0) > HOLE_SECOND:
        raise LogError(
            f"a hole of {hold.max():.0f} s, and no column that says how much charge flowed in it",
            where=str(log.path),
            mend="add net_capacity_ah or soc, or cut the log at the hole",
        )
    return np.concatenate([[0.0], np.cumsum(log.current_ampere[:-1] * hold)]) / 3600.0


def _known_points(log: Log, charge_ah: Float, full: list[int], rule: Rule, known: Known) -> list[tuple[int, float]]:
    """List the rows whose SOC is known, with it, in order of time."""
    capacity = known.nominal_capacity_ah
    inside = [(row, 1.0) for row in full]
    told = rule.initial_soc if rule.initial_soc is not None else known.initial_soc
    if told is not None:
        return [(0, told), *inside]
    if _starts_full(log, known) and (not full or abs(charge_ah[full[0]]) < CONTRADICTION * capacity):
        return [(0, 1.0), *inside]
    if inside:
        return inside
    empty = _empty_points(log, known)
    if empty:
        soh = _soh(rule, known)
        return [(empty[-1], 1.0 - (known.reference_soh if np.isnan(soh) else soh))]
    raise LogError(
        "its SOC is known nowhere: it does not begin full, and no charge at constant voltage ends in it",
        where=str(log.path),
        mend=f"give --initial-soc, a soc column, or an entry in {LABELS_FILE}",
    )


def _full_points(log: Log, known: Known) -> list[int]:
    """Last rows of the charges at constant voltage; one at constant current, however slow, ends early in the cold."""
    current, voltage, time = log.current_ampere, log.voltage_volt, log.test_time_second
    tapered = (current > 0.0) & (current <= TAPER_C_RATE * known.nominal_capacity_ah)
    ends = _ends(log, tapered & (voltage >= known.voltage_max_volt - FULL_BELOW_LIMIT_VOLT))
    found = []
    for end in ends:
        elsewhere = (np.abs(voltage[: end + 1] - voltage[end]) > CONSTANT_VOLT) | (current[: end + 1] <= 0.0)
        begin = int(np.flatnonzero(elsewhere)[-1]) + 1 if elsewhere.any() else 0
        if time[end] - time[begin] >= TAPER_SECOND and current[begin] >= TAPER_RATIO * current[end]:
            found.append(end)
    return found


def _empty_points(log: Log, known: Known) -> list[int]:
    above = log.voltage_volt - known.voltage_min_volt
    slow = (log.current_ampere < 0.0) & (log.current_ampere >= -TAPER_C_RATE * known.nominal_capacity_ah)
    ends = _ends(log, (above <= EMPTY_ABOVE_LIMIT_VOLT) & slow)
    at_rest = abs(log.current_ampere[0]) < REST_C_RATE * known.nominal_capacity_ah
    return [0, *ends] if at_rest and above[0] < STARTS_EMPTY_VOLT else ends


def _ends(log: Log, where: NDArray[np.bool_]) -> list[int]:
    """Last row of each stretch that lasts long enough."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], where, [False]]).astype(np.int8)))
    time = log.test_time_second
    last = len(time) - 1
    return [
        int(end - 1)
        for begin, end in edges.reshape(-1, 2)
        if time[min(end, last)] - time[begin] >= TAPER_SECOND
    ]  # fmt: skip


def _starts_full(log: Log, known: Known) -> bool:
    first = log.test_time_second <= log.test_time_second[0] + STARTS_SECOND
    way = STARTS_FULL_ABOVE.get(known.chemistry, STARTS_FULL_ABOVE_ELSE)
    limit = known.voltage_min_volt + way * (known.voltage_max_volt - known.voltage_min_volt)
    return bool(log.voltage_volt[first].max() >= limit)


def _between(counted: Float, points: list[tuple[int, float]]) -> Float:
    """SOC by counting from each known point to the next; `counted` is charge over the nominal capacity."""
    first, soc_there = points[0]
    soc = np.asarray(soc_there + counted - counted[first])
    for (row, at), (after, then) in zip(points, [*points[1:], (len(soc), np.nan)], strict=True):
        soc[row:after] = at + counted[row:after] - counted[row]
        low = row + int(np.nanargmin(soc[row:after]))
        if np.isfinite(then):
            up = counted[after] - counted[low]
            soc[low:after] = soc[low] + (then - soc[low]) * ((counted[low:after] - counted[low]) / up if up else 0.0)
        elif (top := np.nanmax(soc[low:after])) > 1.0 + PAST_FULL or (low > row and top - soc[low] > CLIMBS_FAR):
            soc[low + 1 : after] = np.nan
    return soc


def _returned_ah(log: Log, charge_ah: Float, full: int, known: Known) -> float:
    """Charge that led from a discharge's end at the lower voltage limit to the full point; NaN where none was."""
    cut_off = np.flatnonzero(log.voltage_volt[:full] <= known.voltage_min_volt + EMPTY_ABOVE_LIMIT_VOLT)
    return float(charge_ah[full] - charge_ah[cut_off].min()) if len(cut_off) else np.nan


def _soh(rule: Rule, known: Known) -> float:
    return np.nan if rule.capacity_ah is None else rule.capacity_ah / known.nominal_capacity_ah


def _before(soc_nominal: Float, soh: float, known: Known) -> float:
    begin = soc_nominal[np.isfinite(soc_nominal)][:1]
    if not len(begin):
        return 0.0
    empty = 1.0 - (known.reference_soh if np.isnan(soh) else soh)
    return 1.0 if begin[0] > 1.0 - NEAR_THE_END else -1.0 if begin[0] < empty + NEAR_THE_END else 0.0


def median(column: Float | None) -> float:
    """Give the median of what a column says; NaN where it says nothing."""
    return float(np.nanmedian(column)) if _told(column) else np.nan


def _told(column: Float | None) -> TypeGuard[Float]:
    """Tell whether a log has a column, and something in it."""
    return column is not None and bool(np.isfinite(column).any())
