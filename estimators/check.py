"""What every health check obeys: the evidence of a phase that is over in, a report out.

    check.needs          when it wants to be asked, and what it has to be given
    check.run(evidence)  -> report

A check is asked off the hot path, once a phase of a cell (a rest, a charge, a train of pulses, a cycle) is over.
It reads no clock and no file but its weights, keeps nothing between two runs, and answers poor input with a
reason, never with a number: `ask` refuses what all checks would refuse alike, and runs the check otherwise.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from estimators.contract import Float

if TYPE_CHECKING:
    from estimators.cell_type import Tables

NOT_TOLD = float("nan")


class Trigger(enum.StrEnum):
    """Which phase closed; on the wire an event's `kind`."""

    REST = "rest"  # it ended, or an hour of it is recorded
    CONSTANT_CURRENT = "constant_current"  # a charge at constant current
    CONSTANT_VOLTAGE = "constant_voltage"  # what follows it at the charger's limit
    CHARGE = "charge"  # the charge as a whole
    CYCLE = "cycle"  # as much charge in and out as an equivalent full cycle has
    PULSES = "pulses"  # a train of current steps from rest and back
    CAPACITY = "capacity"  # a discharge at constant current, from full to the cut-off


class Refusal(enum.StrEnum):
    """Why a check gives no number."""

    NOTHING_RECORDED = "nothing_recorded"  # the phase that it needs was not seen
    TOO_SHORT = "too_short"
    INTERRUPTED = "interrupted"  # a gap or a clock that jumped lies in it
    NOISY = "noisy"
    TEMPERATURE_OUT_OF_DOMAIN = "temperature_out_of_domain"
    NOT_FULL_CHARGE = "not_full_charge"
    WINDOW_NOT_COVERED = "window_not_covered"  # the charge did not pass the voltages that are looked at
    UNKNOWN_CONFIGURATION = "unknown_configuration"  # of chemistry, cell type, rate or temperature
    PULSES_DO_NOT_FIT = "pulses_do_not_fit"  # other widths, amplitudes or pauses than the model knows
    HISTORY_TOO_SHORT = "history_too_short"
    FAILED = "failed"  # the check itself broke, or passed its deadline


UNSEEN_SECOND = 30.0  # of a charge whose charge is counted, at most
LASTING = frozenset({Refusal.UNKNOWN_CONFIGURATION, Refusal.HISTORY_TOO_SHORT})  # the next phase hardly mends them

Signal = Literal["constant_current", "constant_voltage", "rest", "pulses"]


@dataclass(frozen=True, slots=True)
class Recording:
    """One phase of one cell, thinned evenly until it fits; its first second is always there, and its last.

    `current_ampere` is the average from each point to the next (the last one: over its own second), so that
    charge is kept exactly however much was thinned: `charge_ah`.
    """

    begin_second: float  # event time of the phase's beginning
    second: Float  # [point] since then, ascending from 0
    voltage_volt: Float  # [point] at that second
    current_ampere: Float  # [point] positive on charge
    temperature_celsius: Float  # [point]
    interrupted: bool = False  # a gap, or a clock that jumped, cut it off

    def __len__(self) -> int:
        """Count the points."""
        return len(self.second)

    @property
    def length_second(self) -> float:
        """How long it lasted."""
        return float(self.second[-1]) + 1.0 if len(self) else 0.0

    @property
    def charge_ah(self) -> Float:
        """Charge [point] taken up since the beginning (Ah)."""
        moved = self.current_ampere[:-1] * np.diff(self.second) / 3600.0
        return np.concatenate([[0.0], np.cumsum(moved)])[: len(self)]


@dataclass(frozen=True, slots=True)
class Use:
    """How a cell is used, or shall be; NaN where nothing is said."""

    temperature_celsius: float = NOT_TOLD
    charge_c_rate: float = NOT_TOLD  # at constant current
    discharge_c_rate: float = NOT_TOLD  # positive; the mean while it is discharged


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the cell's type, and what is planned for it."""

    cell_type: str
    chemistry: str
    nominal_capacity_ah: float
    voltage_min_volt: float
    voltage_max_volt: float
    tables: Tables | None = None  # its equivalent circuit, where there is one
    planned: Use = Use()  # as the configuration says


@dataclass(frozen=True, slots=True)
class Standing:
    """What the service says of the cell as the phase closes; NaN where it does not know."""

    soc: float = NOT_TOLD  # as it is published: of the present capacity, or of the nominal one where asked for
    soc_std: float = NOT_TOLD
    soh: float = NOT_TOLD
    soh_std: float = NOT_TOLD
    equivalent_full_cycles: float = NOT_TOLD  # counted since the cell was first heard
    throughput_ah: float = NOT_TOLD  # charge moved, either way, since then


@dataclass(frozen=True, slots=True)
class RestEnd:
    """How a rest ended, or stood after the first hour of it."""

    voltage_volt: float
    length_second: float
    temperature_celsius: float
    after: str  # charge | discharge | unknown


@dataclass(frozen=True, slots=True)
class Discharge:
    """What the newest discharge gave until its voltage first fell to each of some levels."""

    voltage_volt: Float  # [level] descending, from below the limit to the cut-off
    charge_ah: Float  # [level] counted from the fullest that the cell was; NaN: it did not fall so low
    deepest_ah: float  # the most that was missing

    def below_ah(self, voltage_volt: float) -> float:
        """Give what it took out after its voltage had fallen to one; NaN where it ended above by more than a level."""
        reached = np.isfinite(self.charge_ah)
        step = self.voltage_volt[0] - self.voltage_volt[1]
        if not reached.any() or self.voltage_volt[reached][-1] > voltage_volt + step:
            return NOT_TOLD
        until = np.interp(-voltage_volt, -self.voltage_volt[reached], self.charge_ah[reached])
        return self.deepest_ah - float(until)


@dataclass(frozen=True, slots=True)
class Capacities:
    """Capacities that were measured, each by a discharge at constant current from full to the cut-off."""

    cycle: Float = field(default_factory=lambda: np.empty(0))  # [n] which discharge of the cell it was, from 1
    capacity_ah: Float = field(default_factory=lambda: np.empty(0))  # [n]
    c_rate: Float = field(default_factory=lambda: np.empty(0))  # [n]
    temperature_celsius: Float = field(default_factory=lambda: np.empty(0))  # [n]
    complete: int = 0  # cycles that were over by then


@dataclass(frozen=True, slots=True)
class History:
    """What a cell went through before the phase, as far as it was seen."""

    capacities: Capacities = field(default_factory=Capacities)  # thinned evenly when there are many
    last_week: Use = Use()
    discharge: Discharge | None = None  # that the newest charge followed


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of one cell up to the second in which a phase closed.

    Recordings are the newest of their kind. `constant_current`, `constant_voltage` and `rest` fit together, they
    are of one charge, where `rest_after` is "charge"; otherwise compare their `begin_second`.
    """

    trigger: Trigger
    begin_second: float  # event time of the phase
    end_second: float
    interrupted: bool  # the phase was cut off
    facts: Facts
    standing: Standing
    sample_second: float = 1.0  # the source's own period; recordings are on the 1 Hz grid, held in between
    rest_after: Literal["charge", "discharge", "unknown"] = "unknown"
    rest_before: RestEnd | None = None  # the rest that the newest charge followed
    constant_current: Recording | None = None
    constant_voltage: Recording | None = None
    rest: Recording | None = None
    pulses: Recording | None = None
    history: History = field(default_factory=History)

    def recording(self, signal: Signal) -> Recording | None:
        """Give a recording by name."""
        found: Recording | None = getattr(self, signal)
        return found

    @property
    def unseen_second(self) -> float:
        """How much of a charge came before its recorded constant current: a charge in steps keeps the last alone."""
        return math.inf if self.constant_current is None else self.constant_current.begin_second - self.begin_second


@dataclass(frozen=True, slots=True)
class Needs:
    """When a check wants to be asked, and what makes it refuse before any model is looked at."""

    triggers: frozenset[Trigger]
    shortest_second: dict[Signal, float]  # the recordings that it reads, and how long each must be at least
    rest_after: frozenset[str] = frozenset({"charge", "discharge", "unknown"})
    temperature_celsius: tuple[float, float] = (-60.0, 150.0)
    chemistries: frozenset[str] | None = None  # None: any
    interrupted: bool = False  # it can read a recording that was cut off


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is to come under one use of the cell."""

    use: Use
    in_domain: bool  # the model knows what becomes of cells that are used so
    values: dict[str, float]
    trajectories: dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found: either numbers with their deviations, or a reason why there are none."""

    check: str
    model: str  # its name and its weights' id: "gaussian-1a2b3c4d"
    values: dict[str, float] = field(default_factory=dict)  # "soh", "rul_cycle", ...; units in the names
    std: dict[str, float] = field(default_factory=dict)  # of the same names
    quality: dict[str, float] = field(default_factory=dict)  # of the input: "points", "noise_volt", "covered", ...
    in_domain: bool = True  # the input looks like what the model was made from
    refused: Refusal | None = None
    trajectories: dict[str, list[float]] = field(default_factory=dict)  # by name, a value for each step ahead
    scenarios: dict[str, Scenario] = field(default_factory=dict)  # by name: as_now (the above are of it), ...

    @classmethod
    def refuse(cls, check: str, model: str, reason: Refusal, **quality: float) -> Report:
        """Say why there is no number."""
        return cls(check, model, quality=quality, in_domain=False, refused=reason)


class Check(Protocol):
    """One look at a cell's health."""

    name: str  # "imodel" | "srse" | "multitask" | "pulse" | ...
    model: str  # its name and its weights' id
    needs: Needs

    def run(self, evidence: Evidence) -> Report:
        """Judge one cell that has all that the check needs. Refuses with a report; raises nothing on poor input."""
        ...


def wanted(needs: Needs, trigger: Trigger, rest_after: str) -> bool:
    """Tell whether a check is to be asked at all: nobody wants to hear why a rest after a drive is no charge."""
    return trigger in needs.triggers and (trigger != Trigger.REST or rest_after in needs.rest_after)


def ask(check: Check, evidence: Evidence) -> Report:
    """Have a check judge a cell, unless what it needs is not there."""
    reason = _unmet(check.needs, evidence)
    return check.run(evidence) if reason is None else Report.refuse(check.name, check.model, reason)


def _unmet(needs: Needs, evidence: Evidence) -> Refusal | None:
    """Find what stands against a check that is wanted, in the order in which a person would ask; None: nothing."""
    if needs.chemistries is not None and evidence.facts.chemistry not in needs.chemistries:
        return Refusal.UNKNOWN_CONFIGURATION
    if "rest" in needs.shortest_second and evidence.rest_after not in needs.rest_after:
        return Refusal.NOTHING_RECORDED
    for signal, shortest in needs.shortest_second.items():
        reason = _against(needs, evidence.recording(signal), shortest)
        if reason is not None:
            return reason
    return None


def _against(needs: Needs, recording: Recording | None, shortest_second: float) -> Refusal | None:
    if recording is None or not len(recording):
        return Refusal.NOTHING_RECORDED
    if recording.interrupted and not needs.interrupted:
        return Refusal.INTERRUPTED
    if recording.length_second < shortest_second:
        return Refusal.TOO_SHORT
    low, high = needs.temperature_celsius
    if not low <= float(np.median(recording.temperature_celsius)) <= high:
        return Refusal.TEMPERATURE_OUT_OF_DOMAIN
    return None
