"""Logs of retired cells to grades: a row a cell, with what was measured, or why it was refused."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from estimators.check import Refusal
from estimators.pulse.estimate import Judgement, PulseModels, judge, named
from estimators.pulse.features import AMPLITUDES_C_RATE, Resistance
from estimators.pulse.recognise import FAST_HERTZ, Flaw, PulseTrain, recognise
from estimators.regression.regression import NINETY

if TYPE_CHECKING:
    from daemon.config import Sorting
    from daemon.log import Log

WHY = {  # refusal -> what a person can do about it
    Flaw.NO_PULSES: "no train of pulses: 0.5, 1, 1.5 C up and down from rest, amplitudes within 5 %",
    Flaw.TOO_FEW_PULSES: "the train ends before the charge pulse of 1.5 C",
    Flaw.NOT_RESTED: "under ten minutes of rest before the first pulse",
    Flaw.PULSE_CUT_SHORT: "a pulse is under 95 % of its width: voltage protection cut it, or one amplitude is off",
    Flaw.WIDTHS_DIFFER: "pulses of several widths, or rests shorter than 15 widths",
    Flaw.TOO_SLOW: "fewer than two samples in a pulse: log faster",
    Refusal.UNKNOWN_CONFIGURATION: "no model for this chemistry, nominal capacity and pulse width",
    Refusal.PULSES_DO_NOT_FIT: "a voltage of the train is missing or impossible",
}
OUT_OF_DOMAIN = "out_of_domain: the voltages look like no cell that was learnt from"
UNSURE = "unsure: the deviation of the SOH is above sorting.soh_std_max"


class Graded(NamedTuple):
    """One cell."""

    cell: str
    grade: str  # A, B, C, reject; empty: refused
    soh: float
    soh_std: float
    soh_low: float  # the 90 % interval
    soh_high: float
    refused: str  # why; empty: it was not
    note: str
    width_ms: int
    voltages: int  # of the train that were read
    begin_second: float  # of the train
    resistances: dict[str, float]  # ohm, by name


RESISTANCES = tuple(named([Resistance(c, *[0.0] * (len(Resistance._fields) - 1)) for c in AMPLITUDES_C_RATE]))


def grade(log: Log, models: PulseModels, chemistry: str, nominal_capacity_ah: float, sorting: Sorting) -> Graded:
    """Grade the cell of one log by its last train of pulses that is whole."""
    cell = log.path.name.split(".")[0]
    order = np.argsort(log.test_time_second, kind="stable")
    second, volt, ampere = (c[order] for c in (log.test_time_second, log.voltage_volt, log.current_ampere))
    trains = recognise(second, volt, ampere, nominal_capacity_ah)
    if not trains:
        return refuse(cell, f"{Flaw.NO_PULSES}: {WHY[Flaw.NO_PULSES]}")
    train = next((t for t in reversed(trains) if t.flaw is None), trains[-1])
    found = judge(models, train, chemistry, nominal_capacity_ah)
    return _graded(cell, train, found, sorting)


def refuse(cell: str, why: str) -> Graded:
    """Say why nothing is known of a cell."""
    nan = math.nan
    return Graded(cell, "", nan, nan, nan, nan, why, "", 0, 0, nan, {})


def _graded(cell: str, train: PulseTrain, found: Judgement, sorting: Sorting) -> Graded:
    refused = f"{found.refused}: {WHY.get(found.refused, '')}" if found.refused else ""
    if not refused and not found.in_domain:
        refused = OUT_OF_DOMAIN
    if not refused and found.soh_std > sorting.soh_std_max:
        refused = UNSURE
    soh, std = (found.soh, found.soh_std) if found.in_domain else (math.nan, math.nan)
    slow = f"under {FAST_HERTZ:.0f} Hz: only the ends of steps were seen" if train.only_ends else ""
    return Graded(
        cell=cell,
        grade="" if refused else sorting.grade(found.soh),
        soh=soh,
        soh_std=std,
        soh_low=soh - NINETY * std,
        soh_high=soh + NINETY * std,
        refused=refused,
        note=slow,
        width_ms=train.width_ms,
        voltages=sum(map(math.isfinite, train.voltage_volt.tolist())),
        begin_second=train.begin_second,
        resistances=named(found.resistances),
    )


def row_of(one: Graded) -> dict[str, object]:
    """Lay a cell out as a row; the same columns for every cell."""
    row = {name: value for name, value in one._asdict().items() if name != "resistances"}
    return row | {name: one.resistances.get(name, math.nan) for name in RESISTANCES}
