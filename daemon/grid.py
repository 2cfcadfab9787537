"""The 1 Hz grid of event time: samples of many cells -> closed seconds. Arrays in, arrays out; no clock, no I/O.

Grid second k covers [k, k + 1). A sample's current holds until the next one (zero-order), so the average over
a second keeps the charge exactly; voltage and temperature are the last known in the second. A second is closed
by the first sample at or after k + 1, and a slow source closes several at once. After a gap longer than
`max_hold_second`, or on a clock that jumped, the second that was open is closed, its last sample held to its own
end and no further, and the cell starts again at the new sample. The sample that starts a cell (the first one, or
the first after a gap) is taken to hold from the beginning of its second, so that every second is held in full.

Everything is done once per push, on samples sorted by cell, without a loop over samples; sums are taken in the
order of arrival (`np.add.at`), so that bits do not depend on how samples are batched.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from daemon.rows import Flag
from daemon.slots import Slots, by_slot, clear, column

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]
CARRIED = ("time", "voltage_volt", "current_ampere", "temperature_celsius", "assumed")  # of a cell's newest sample


class Resume(enum.IntEnum):
    """How a cell goes on in the first second after a gap."""

    NO_GAP = 0
    KEPT = 1  # it was at rest: its state still holds
    REINITIALISED = 2


@dataclass(slots=True)
class GridState:
    """Each cell's newest sample, and the second that is open."""

    second: Int = column(-1, np.int64)  # that is open; -1: none
    time: Float = column(0.0)
    voltage_volt: Float = column(0.0)
    current_ampere: Float = column(0.0)
    temperature_celsius: Float = column(0.0)
    assumed: Bool = column(0, np.bool_)  # the temperature was not measured
    charge: Float = column(0.0)  # [A s] in the open second, up to the newest sample
    clock: Bool = column(0, np.bool_)  # a clock jump is to be told with the open second
    resume: NDArray[np.int8] = column(Resume.NO_GAP, np.int8)  # of the open second


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples that were taken, in the order of arrival; what belongs to their cells stands beside them."""

    slot: Slots  # [sample]
    time: Float
    voltage_volt: Float
    current_ampere: Float
    temperature_celsius: Float  # measured or assumed, never NaN
    assumed: Bool
    anchored: Bool  # the clock jumped to here
    disturbed: Bool  # samples before this one were dropped for their clock
    max_hold_second: Float
    rest_ampere: Float  # below it the cell rests


@dataclass(frozen=True, slots=True)
class Closed:
    """Closed seconds in the order in which they were closed, each cell's in order of time."""

    slot: Slots  # [row]
    second: Int
    voltage_volt: Float
    current_ampere: Float  # average over the second
    temperature_celsius: Float
    flags: NDArray[np.uint32]  # TEMPERATURE_ASSUMED, CLOCK
    resume: NDArray[np.int8]  # of Resume: the first second after a gap says how the cell goes on
    held: Bool  # no sample lies in it
    sample: Slots  # index of the sample that closed it

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.slot)

    def pick(self, rows: Slots) -> Closed:
        """Take some rows."""
        return Closed(*(getattr(self, f.name)[rows] for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Gaps:
    """Cells that start again, in the order of arrival."""

    sample: Slots  # [gap] index of the sample that ends it
    slot: Slots
    from_second: Float  # time of the last sample before it
    to_second: Float
    kept: Bool  # at rest before it
    anchored: Bool  # the clock jumped


@dataclass(frozen=True, slots=True)
class _Steps:
    """From each sample's predecessor in its cell to the sample; sorted by cell, each cell's in order of time."""

    order: Slots  # [sample] place in the order of arrival
    begins: Bool  # first of its cell in this push
    now: Samples
    last: Samples  # the predecessor, of this push or an earlier one
    second: Int
    last_second: Int
    runs: Bool  # there is a predecessor
    gap: Bool  # but its value does not hold until now
    opens: Bool  # the sample opens a second

    @property
    def bridged(self) -> Bool:
        """Tell where the predecessor's value holds until now."""
        return self.runs & ~self.gap


@dataclass(frozen=True, slots=True)
class _Seconds:
    """Every second that was open at the beginning of a push, one per cell, or was opened in it."""

    at: Slots  # [sample] the second that it lies in: an index into the arrays below
    came_from: Slots  # [sample] the second that its predecessor lies in
    charge: Float
    clock: Bool
    resume: NDArray[np.int8]


def push(state: GridState, samples: Samples) -> tuple[Closed, Gaps]:
    """Lay samples on the grid; `state` moves on."""
    steps = _steps(state, samples)
    seconds = _seconds(state, steps)
    closed = _arranged(_closed(steps, seconds))
    gap, now, last = steps.gap, steps.now, steps.last
    kept = _rests(steps)[gap]
    gaps = _arranged(Gaps(steps.order[gap], now.slot[gap], last.time[gap], now.time[gap], kept, now.anchored[gap]))
    _keep(state, steps, seconds)
    return closed, gaps


def _steps(state: GridState, samples: Samples) -> _Steps:
    order, begins = by_slot(samples.slot)
    now = Samples(*(getattr(samples, name)[order] for name in Samples.__slots__))
    cells = now.slot[begins]

    def before(values: NDArray[Any], carried: NDArray[Any]) -> NDArray[Any]:
        shifted = np.empty_like(values)
        shifted[1:] = values[:-1]
        shifted[begins] = carried[cells]
        return shifted

    carried = {name: before(getattr(now, name), getattr(state, name)) for name in CARRIED}
    last = replace(now, **carried)
    second = np.floor(now.time).astype(np.int64)
    last_second = before(second, state.second)
    runs = last_second >= 0
    gap = runs & (now.anchored | (now.time - last.time > now.max_hold_second))
    opens = ~runs | gap | (second > last_second)
    return _Steps(order, begins, now, last, second, last_second, runs, gap, opens)


def _seconds(state: GridState, steps: _Steps) -> _Seconds:
    now, last, opens, cells = steps.now, steps.last, steps.opens, steps.now.slot[steps.begins]
    at = np.cumsum(opens) + np.cumsum(steps.begins) - 1  # each cell has one that was open before, if only in name
    came_from = at - opens
    carried, count = came_from[steps.begins], at[-1] + 1 if len(at) else 0

    charge = np.zeros(count)
    charge[carried] = state.charge[cells]
    held = np.where(steps.bridged, last.current_ampere, now.current_ampere)
    charge[at[opens]] = (held * (now.time - steps.second))[opens]
    until = np.where(opens, steps.last_second + 1, now.time)
    np.add.at(charge, came_from, np.where(steps.runs, last.current_ampere * (until - last.time), 0.0))

    clock = np.zeros(count, dtype=bool)
    clock[carried] = state.clock[cells]
    clock[came_from[now.disturbed]] = True
    clock[at[now.anchored]] = True

    resume = np.zeros(count, dtype=np.int8)
    resume[carried] = state.resume[cells]
    resume[at[steps.gap]] = np.where(_rests(steps), Resume.KEPT, Resume.REINITIALISED)[steps.gap]
    return _Seconds(at, came_from, charge, clock, resume)


def _rests(steps: _Steps) -> Bool:
    rests: Bool = np.abs(steps.last.current_ampere) < steps.now.rest_ampere
    return rests


def _closed(steps: _Steps, seconds: _Seconds) -> Closed:
    """Give the second that each sample closed, and after it those that it bridged."""
    closing = np.flatnonzero(steps.opens & steps.runs)
    count = np.where(steps.gap, 1, steps.second - steps.last_second)[closing]
    row = np.repeat(closing, count)
    step = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    own = step == 0  # the second that was open; those after it are held
    was, last = seconds.came_from[row], steps.last
    return Closed(
        slot=last.slot[row],
        second=steps.last_second[row] + step,
        voltage_volt=last.voltage_volt[row],
        current_ampere=np.where(own, seconds.charge[was], last.current_ampere[row]),
        temperature_celsius=last.temperature_celsius[row],
        flags=_flags(last.assumed[row], own & seconds.clock[was]),
        resume=np.where(own, seconds.resume[was], Resume.NO_GAP).astype(np.int8),
        held=~own,
        sample=steps.order[row],
    )


def _keep(state: GridState, steps: _Steps, seconds: _Seconds) -> None:
    """Carry each cell's newest sample and open second to the next push."""
    ends = np.append(steps.begins[1:], True)[: len(steps.begins)]
    cells, at = steps.now.slot[ends], seconds.at[ends]
    for name in CARRIED:
        getattr(state, name)[cells] = getattr(steps.now, name)[ends]
    state.second[cells] = steps.second[ends]
    state.charge[cells], state.clock[cells], state.resume[cells] = (
        seconds.charge[at],
        seconds.clock[at],
        seconds.resume[at],
    )


def flush(state: GridState, disturbed: Bool) -> Closed:
    """Close the open second of every cell at the end of a log; `disturbed` [slot] as in `Samples`, since the last."""
    slot = np.flatnonzero(state.second >= 0)
    rest = state.second[slot] + 1 - state.time[slot]
    closed = Closed(
        slot=slot,
        second=state.second[slot],
        voltage_volt=state.voltage_volt[slot],
        current_ampere=state.charge[slot] + state.current_ampere[slot] * rest,
        temperature_celsius=state.temperature_celsius[slot],
        flags=_flags(state.assumed[slot], state.clock[slot] | disturbed[slot]),
        resume=state.resume[slot],
        held=np.zeros(len(slot), dtype=bool),
        sample=np.zeros(len(slot), dtype=np.intp),
    )
    clear(state, slot)
    return closed


Arrivals = TypeVar("Arrivals", Closed, Gaps)


def _flags(assumed: Bool, clock: Bool) -> NDArray[np.uint32]:
    return (assumed * np.uint32(Flag.TEMPERATURE_ASSUMED)) | (clock * np.uint32(Flag.CLOCK))


def _arranged(rows: Arrivals) -> Arrivals:
    """Put rows that are sorted by cell in the order of arrival."""
    arrival = np.argsort(rows.sample, kind="stable")
    return type(rows)(*(getattr(rows, name)[arrival] for name in rows.__slots__))
