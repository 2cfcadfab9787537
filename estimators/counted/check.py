"""The health check of a charge to full that follows a rest: charge taken up, over the share that it was.

    soh = charge_ah / ((soc at the end - soc at the rest) * nominal_capacity_ah)

Both SOCs are read from the cell type's open-circuit voltage, on the branch of what went before. They err by what a
rest leaves unsettled, what the last current lifts the voltage by and what the tables leave unexplained, over the slope
of that curve: where it is flat, or little was taken up, there is no number. The charge errs by the sensor's gain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from estimators.check import UNSEEN_SECOND, Evidence, Needs, Recording, Refusal, Report, RestEnd, Trigger

if TYPE_CHECKING:
    from estimators.cell_type import Tables
    from estimators.contract import Float

NAME = "counted"
REST_SECOND = 300.0  # before the charge, at least
FULL_VOLT, FULL_C_RATE = 0.02, 0.07  # so near the limit, and no more current than this: full
SETTLED_SECOND = 1_800.0  # what a rest has not settled falls with such a time constant
UNSETTLED_VOLT = 0.012  # at the beginning of it
LEAST_VOLT = 0.006  # no cell is the very one that the tables were made from
GAIN_STD = 0.005  # of a good current sensor
LEAST_TAKEN, MOST_STD = 0.4, 0.05  # of the capacity
LIFT_ERROR = 0.3  # of what a small current lifts the voltage by
BRANCH = {"discharge": -1.0, "charge": 1.0, "unknown": 0.0}


class CountedCheck:
    """SOH of any cell that rested, and then was charged to full."""

    name = NAME
    model = NAME
    needs = Needs(
        triggers=frozenset({Trigger.CHARGE}),
        shortest_second={"constant_current": 60.0},
    )

    def run(self, evidence: Evidence) -> Report:
        """Judge one charge."""
        rest, charge, tables = evidence.rest_before, evidence.constant_current, evidence.facts.tables
        if tables is None:
            return Report.refuse(NAME, NAME, Refusal.UNKNOWN_CONFIGURATION)
        if rest is None or charge is None:
            return Report.refuse(NAME, NAME, Refusal.NOTHING_RECORDED)
        if rest.length_second < REST_SECOND:
            return Report.refuse(NAME, NAME, Refusal.TOO_SHORT, rest_second=rest.length_second)
        tail = evidence.constant_voltage
        held = tail if tail is not None and tail.begin_second > charge.begin_second else None
        if evidence.unseen_second > UNSEEN_SECOND or not _full(held or charge, evidence):
            return Report.refuse(NAME, NAME, Refusal.NOT_FULL_CHARGE)
        charge_ah = _taken(charge) + (0.0 if held is None else _taken(held))
        (begun, begun_std), (ended, ended_std) = start(tables, rest), end(tables, held or charge)
        taken, std = ended - begun, float(np.hypot(begun_std, ended_std))
        quality = {"charge_ah": charge_ah, "start_soc": begun, "end_soc": ended, "share_std": std}
        if taken < LEAST_TAKEN or std / taken > MOST_STD:
            return Report.refuse(NAME, NAME, Refusal.WINDOW_NOT_COVERED, **quality)
        capacity_ah = charge_ah / taken
        share = float(np.hypot(std / taken, GAIN_STD))
        nominal_ah = evidence.facts.nominal_capacity_ah
        values = {"capacity_ah": capacity_ah, "soh": capacity_ah / nominal_ah}
        return Report(NAME, NAME, values, {name: share * value for name, value in values.items()}, quality)


def start(tables: Tables, rest: RestEnd) -> tuple[float, float]:
    """Read the SOC of present capacity from the end of a rest, with its deviation."""
    unsettled = UNSETTLED_VOLT * float(np.exp(-rest.length_second / SETTLED_SECOND))
    return _soc(tables, rest.voltage_volt, rest.temperature_celsius, rest.after, unsettled)


def end(tables: Tables, last: Recording) -> tuple[float, float]:
    """Read it from the end of a charge: what the small current lifts the voltage by is known from the tables."""
    celsius, ampere = float(last.temperature_celsius[-1]), float(last.current_ampere[-1])
    ohm = _at(tables, tables.ohmic_ohm + tables.rc_ohm.sum(axis=0), celsius)[-1]
    transfer = _at(tables, tables.charge_transfer_volt, celsius)[-1]
    lifted = ohm * ampere + transfer * np.arcsinh(ampere / tables.charge_transfer_ampere[0])
    return _soc(tables, float(last.voltage_volt[-1]) - float(lifted), celsius, "charge", LIFT_ERROR * float(lifted))


def _soc(tables: Tables, volt: float, celsius: float, after: str, off_volt: float) -> tuple[float, float]:
    ocv, branch = _at(tables, tables.ocv_volt, celsius), _at(tables, tables.hysteresis_volt, celsius)
    curve = np.maximum.accumulate(ocv + BRANCH[after] * branch)
    nominal = float(np.interp(volt, curve, tables.soc))
    slope = float(np.interp(nominal, tables.soc, np.gradient(curve, tables.soc)))
    off = float(np.hypot(off_volt, LEAST_VOLT)) + (float(branch.max()) if after == "unknown" else 0.0)
    reference = float(tables.reference_soh[0])
    return 1.0 - (1.0 - nominal) / reference, off / max(slope, 1e-6) / reference


def _at(tables: Tables, table: Float, celsius: float) -> Float:
    """Give a table's column at a temperature: [soc]."""
    return np.array([np.interp(celsius, tables.temperature_celsius, row) for row in table])


def _full(last: Recording, evidence: Evidence) -> bool:
    """Tell whether a charge ended at the limit with little current, or at a constant current that met it."""
    facts = evidence.facts
    small = float(last.current_ampere[-1]) <= FULL_C_RATE * facts.nominal_capacity_ah
    return small and float(last.voltage_volt[-1]) >= facts.voltage_max_volt - FULL_VOLT


def _taken(recording: Recording) -> float:
    return float(recording.charge_ah[-1] + recording.current_ampere[-1] / 3600.0)
