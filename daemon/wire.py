"""Bytes <-> samples and states: the names on the wire, spelled here and nowhere else. No sockets.

in    <prefix>/telemetry/<pack>/<cell>   {"unix_time_second": 1763700000.0, "voltage_volt": 3.71,
                                          "current_ampere": -1.2, "temperature_celsius": 24.6}
      <prefix>/telemetry/<pack>          the same with "cell": ["c0", ...] and arrays (a dense frame)
out   <prefix>/state/<pack>/<cell>       `State`     retained
      <prefix>/state/<pack>              `PackState` retained
      <prefix>/state/<pack>/cells        `CellsFrame` retained: the whole pack as arrays
      <prefix>/event/<pack>/<cell>       `Event`
      <prefix>/health/<pack>/<cell>/<check>  `Health` retained
      <prefix>/status                    online | offline (last will), retained
      <prefix>/status/metrics            counters, retained

Field names are the Battery Data Format's. Current is positive on charge.
"""

from __future__ import annotations

import enum
import math
import re
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

SCHEMA = 1
NAME = re.compile(r"(?!cells$)[A-Za-z0-9_.-]{1,64}")  # state/<pack>/cells is the pack's frame
EARLIEST_SECOND, LATEST_SECOND = 0.0, 32_503_680_000.0  # 1970 (a log without wall time) to the year 3000

Volt = Annotated[float, Meta(ge=0.0, le=10.0)]
Ampere = Annotated[float, Meta(ge=-10_000.0, le=10_000.0)]
Celsius = Annotated[float, Meta(ge=-60.0, le=150.0)]
UnixSecond = Annotated[float, Meta(ge=EARLIEST_SECOND, le=LATEST_SECOND)]


class Reject(enum.StrEnum):
    """Why a message, or one cell of a frame, was not taken: metric, log and docs share the spelling."""

    TOPIC = "topic"  # not <prefix>/telemetry/<pack>[/<cell>] with permitted names
    SIZE = "size"  # payload larger than permitted
    NOT_JSON = "not-json"
    NESTING = "nesting"  # JSON within JSON, hundreds deep
    SHAPE = "shape"  # JSON, but a field is missing, of the wrong type, or arrays differ in length
    VOLTAGE_RANGE = "voltage-range"
    CURRENT_RANGE = "current-range"
    TEMPERATURE_RANGE = "temperature-range"
    TIME_RANGE = "time-range"
    TIME_MISSING = "time-missing"  # no unix_time_second, and the pack is not configured `clock: server`
    UNKNOWN_CELL = "unknown-cell"
    FLEET_FULL = "fleet-full"
    RATE = "rate"  # more messages than one pack may send
    SHED = "shed"  # overload: a newer sample of the same cell and second was taken in its place


class WireError(ValueError):
    """A message that cannot be taken; `reason` is counted, the text is for a person."""

    def __init__(self, reason: Reject, what: str) -> None:
        super().__init__(what)
        self.reason = reason


class Sample(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reading of one cell, as it crosses the wire."""

    voltage_volt: Volt
    current_ampere: Ampere
    unix_time_second: UnixSecond | None = None
    temperature_celsius: Celsius | None = None
    cycle_count: int | None = None


class Frame(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reading of many cells of a pack."""

    cell: list[str]
    voltage_volt: list[Volt]
    current_ampere: Ampere | list[Ampere]
    unix_time_second: UnixSecond | None = None
    temperature_celsius: Celsius | list[Celsius | None] | None = None


class _LooseFrame(msgspec.Struct, frozen=True):
    """A frame whose values are yet to be looked at."""

    cell: list[str]
    voltage_volt: list[object]
    current_ampere: object
    unix_time_second: UnixSecond | None = None
    temperature_celsius: object = None


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """What bmsd says of one cell."""

    unix_time_second: float
    soc: float
    soc_std: float
    soh: float
    soh_std: float
    estimator: str  # name and weights' id: "ekf-1a2b3c4d"
    flags: list[str]
    schema: int = msgspec.field(default_factory=lambda: SCHEMA)
    historical: bool = False


class PackState(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pack at a glance: the weakest cell is the one with the least charge left."""

    unix_time_second: float
    cells: int
    soc_min: float
    soc_mean: float
    soc_max: float
    soc_spread: float
    soh_min: float
    soh_mean: float
    soh_max: float
    weakest_cell: str
    imbalance: float  # how far the charge missing from full differs between cells, over nominal capacity
    schema: int = msgspec.field(default_factory=lambda: SCHEMA)
    historical: bool = False


class CellsFrame(msgspec.Struct, frozen=True, omit_defaults=True):
    """A whole pack as one frame of arrays, in the order of `cell`."""

    unix_time_second: list[float]
    cell: list[str]
    soc: list[float]
    soc_std: list[float]
    soh: list[float]
    soh_std: list[float]
    flags: list[list[str]]
    schema: int = msgspec.field(default_factory=lambda: SCHEMA)
    historical: bool = False


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something recognised on a cell. `begin_second` is when it began, not when it was recognised."""

    unix_time_second: float
    kind: str  # rest | charge | discharge | constant_current | constant_voltage | window | pulse | cycle |
    #            capacity | soh_disagrees | soh_rises, or stale | resumed | clock
    phase: str  # begin | end | once
    begin_second: float
    detail: dict[str, float | str] = {}
    schema: int = msgspec.field(default_factory=lambda: SCHEMA)
    historical: bool = False


class Scenario(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is to come of a cell that is used in one way."""

    temperature_celsius: float
    charge_c_rate: float
    discharge_c_rate: float  # positive
    values: dict[str, float] = {}
    trajectories: dict[str, list[float]] = {}
    in_domain: bool = True


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a health check found in a phase of a cell that is over, or why it found nothing."""

    unix_time_second: float  # when the phase closed
    check: str
    model: str  # name and weights' id: "svr-1a2b3c4d"
    trigger: str  # which phase closed: rest | constant_current | constant_voltage | charge | cycle | pulses | capacity
    begin_second: float  # when the phase began
    values: dict[str, float] = {}  # by name with its unit: soh, capacity_ah, rul_cycle, ...
    std: dict[str, float] = {}  # one standard deviation of each
    quality: dict[str, float] = {}  # of the input
    trajectories: dict[str, list[float]] = {}
    scenarios: dict[str, Scenario] = {}  # by name: as_now (the above are of it), last_week, as_configured
    in_domain: bool = True
    refused: str | None = None  # why there are no values
    soh_effect: str = "none"  # none | taken | disagrees | rises
    cost_ms: float = 0.0
    schema: int = msgspec.field(default_factory=lambda: SCHEMA)
    historical: bool = False


class Metrics(msgspec.Struct, frozen=True):
    """What the service has done since it started. received counts messages, what follows counts samples."""

    unix_time_second: float
    version: str
    up_second: float
    received: int
    unacknowledged: int  # messages of them; what follows is of those that were acknowledged
    offered: int  # a message that cannot be read counts as one sample: offered = journaled + rejected
    accepted: int
    rejected: dict[str, int]  # by Reject
    journaled: int
    turned_away: dict[str, int]  # by Reject: journaled, but of no cell that the fleet takes
    duplicate: int
    late: int
    clock: int
    rows: int
    published: int
    carried: dict[str, int]  # by sink, as are the next four: carried + published = the sum of those
    waiting: dict[str, int]
    delivered: dict[str, int]
    dropped: dict[str, int]
    refused: dict[str, int]
    cells: int
    stale: int  # of them
    tick_p50_ms: float
    tick_p99_ms: float
    journal_bytes: int
    checkpoint_age_second: float | None
    last_rejected: dict[str, dict[str, str]]  # by Reject: topic, what, payload
    schema: int = msgspec.field(default_factory=lambda: SCHEMA)


class Column(NamedTuple):
    """One number of a cell's state; outside [low, high] it does not leave the house."""

    name: str
    unit: str
    low: float
    high: float
    says: str


STATE_COLUMNS = (
    Column("soc", "1", 0.0, 1.0, "charge left over capacity"),
    Column("soc_std", "1", 0.0, 1.0, "one standard deviation of soc"),
    Column("soh", "1", 0.0, 1.5, "present capacity over nominal capacity"),
    Column("soh_std", "1", 0.0, 1.0, "one standard deviation of soh"),
)

_RANGES = {
    "voltage_volt": Reject.VOLTAGE_RANGE,
    "current_ampere": Reject.CURRENT_RANGE,
    "temperature_celsius": Reject.TEMPERATURE_RANGE,
    "unix_time_second": Reject.TIME_RANGE,
}
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_sample_decoder = msgspec.json.Decoder(Sample)
_frame_decoder = msgspec.json.Decoder(Frame)
_loose_decoder = msgspec.json.Decoder(_LooseFrame)
encode = msgspec.json.Encoder().encode


def telemetry_topic(prefix: str, pack: str, cell: str | None = None) -> str:
    """Topic of one cell's samples, or of a pack's dense frames."""
    return f"{prefix}/telemetry/{pack}/{cell}" if cell else f"{prefix}/telemetry/{pack}"


def state_topic(prefix: str, pack: str, cell: str | None = None) -> str:
    """Topic of one cell's state, or of a pack's summary."""
    return f"{prefix}/state/{pack}/{cell}" if cell else f"{prefix}/state/{pack}"


def cells_topic(prefix: str, pack: str) -> str:
    """Topic of the whole pack as one frame."""
    return f"{prefix}/state/{pack}/cells"


def event_topic(prefix: str, pack: str, cell: str) -> str:
    """Topic of one cell's events."""
    return f"{prefix}/event/{pack}/{cell}"


def health_topic(prefix: str, pack: str, cell: str, check: str) -> str:
    """Topic of what one check says of one cell."""
    return f"{prefix}/health/{pack}/{cell}/{check}"


def status_topic(prefix: str) -> str:
    """Topic of online | offline; the counters stand under it, in `/metrics`."""
    return f"{prefix}/status"


def parse_topic(prefix: str, topic: str) -> tuple[str, str | None]:
    """Split a telemetry topic into pack and cell (None for a frame). Raises WireError(TOPIC)."""
    head, _, rest = topic.partition("/telemetry/")
    names = rest.split("/")
    if head != prefix or not 1 <= len(names) <= 2 or not all(NAME.fullmatch(n) for n in names):
        form = f"{prefix}/telemetry/<pack>[/<cell>] with names {NAME.pattern}"
        raise WireError(Reject.TOPIC, f"topic {topic!r} is not {form}")
    return names[0], names[1] if len(names) == 2 else None


def decode_sample(payload: bytes) -> Sample:
    """Decode one cell's message. Raises WireError."""
    try:
        return _sample_decoder.decode(payload)
    except UNREADABLE as err:
        raise _explain(err) from err


def decode_frame(payload: bytes) -> Frame:
    """Decode a dense frame; its arrays have equal length and its cells permitted names. Raises WireError."""
    try:
        frame = _frame_decoder.decode(payload)
    except UNREADABLE as err:
        raise _explain(err) from err
    for name in ("voltage_volt", "current_ampere", "temperature_celsius"):
        values = getattr(frame, name)
        if isinstance(values, list) and len(values) != len(frame.cell):
            raise WireError(Reject.SHAPE, f"{name} has {len(values)} values for {len(frame.cell)} cells")
    if len(set(frame.cell)) != len(frame.cell):
        raise WireError(Reject.SHAPE, "a cell is named twice in one frame")
    for cell in frame.cell:
        if not NAME.fullmatch(cell):
            raise WireError(Reject.TOPIC, f"cell name {cell!r} is not {NAME.pattern}")
    return frame


def salvage_frame(payload: bytes) -> tuple[Frame, list[WireError]]:
    """Decode a frame whose cells are not all sound: the sound ones, and one error for each other.

    Raises WireError where the frame as a whole cannot be taken.
    """
    try:
        loose = _loose_decoder.decode(payload)
    except UNREADABLE as err:
        raise _explain(err) from err
    columns = {f: _spread(loose, f) for f in ("voltage_volt", "current_ampere", "temperature_celsius")}
    sound: dict[str, Sample] = {}
    errors = []
    for cell, *values in zip(loose.cell, *columns.values(), strict=True):
        if not NAME.fullmatch(cell):
            errors.append(WireError(Reject.TOPIC, f"cell name {cell!r} is not {NAME.pattern}"))
        elif cell in sound:
            errors.append(WireError(Reject.SHAPE, f"cell {cell!r} is named twice in one frame"))
        else:
            try:
                sound[cell] = msgspec.convert(dict(zip(columns, values, strict=True)), Sample)
            except msgspec.ValidationError as err:
                errors.append(WireError(_explain(err).reason, f"cell {cell!r}: {err}"))
    samples = list(sound.values())
    frame = Frame(
        list(sound),
        [s.voltage_volt for s in samples],
        [s.current_ampere for s in samples],
        loose.unix_time_second,
        [s.temperature_celsius for s in samples],
    )
    return frame, errors


def _spread(loose: _LooseFrame, name: str) -> list[object]:
    """Make a column as long as the frame has cells; one value stands for all. Raises WireError."""
    values = getattr(loose, name)
    if not isinstance(values, list):
        return [values] * len(loose.cell)
    if len(values) != len(loose.cell):
        raise WireError(Reject.SHAPE, f"{name} has {len(values)} values for {len(loose.cell)} cells")
    return values


def _explain(err: Exception) -> WireError:
    """Turn msgspec's error into a reason: a range is told apart from a wrong shape by the path it names."""
    text = str(err)
    if isinstance(err, RecursionError):
        return WireError(Reject.NESTING, text)
    if not isinstance(err, msgspec.ValidationError):
        return WireError(Reject.NOT_JSON, text)
    if ">=" in text or "<=" in text:
        for field, reason in _RANGES.items():
            if field in text:
                return WireError(reason, text)
    return WireError(Reject.SHAPE, text)


def absurd(**columns: float) -> bool:
    """Tell whether any value must not leave: outside its column's range, or not a number."""
    return any(not math.isfinite(columns[c.name]) or not c.low <= columns[c.name] <= c.high for c in STATE_COLUMNS)
