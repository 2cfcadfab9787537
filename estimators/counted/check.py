"""The health check of a charge to full that follows a rest: charge taken up, over the share that was missing.

    soh = charge_ah / ((1 - soc at the rest) * nominal_capacity_ah)

The SOC at the rest is read from the cell type's open-circuit voltage, on the branch of what went before. It errs by
what a rest leaves unsettled and what the tables leave unexplained, over the slope of that curve: where the curve is
flat, or little was missing, there is no number. The charge errs by the gain of the current sensor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from estimators.check import Evidence, Needs, Recording, Refusal, Report, Trigger

if TYPE_CHECKING:
    from estimators.cell_type import Tables

NAME = "counted"
REST_SECOND = 900.0  # before the charge, at least
FULL_VOLT, FULL_C_RATE = 0.02, 0.07  # so near the limit, and no more current than this: full
SETTLED_SECOND = 1_800.0  # what a rest has not settled falls with such a time constant
UNSETTLED_VOLT = 0.012  # at the beginning of it
LEAST_VOLT = 0.006  # no cell is the very one that the tables were made from
GAIN_STD = 0.005  # of a good current sensor
LEAST_MISSING, MOST_STD = 0.4, 0.05
BRANCH = {"discharge": -1.0, "charge": 1.0, "unknown": 0.0}
OVERLAP_SECOND = 60.0  # the charge may be told as begun before the rest is told as over


class CountedCheck:
    """SOH of any cell that rested, and then was charged to full."""

    name = NAME
    model = NAME
    needs = Needs(
        triggers=frozenset({Trigger.CHARGE}),
        shortest_second={"rest": REST_SECOND, "constant_current": 60.0},
    )

    def run(self, evidence: Evidence) -> Report:
        """Judge one charge."""
        rest, charge, tables = evidence.rest, evidence.constant_current, evidence.facts.tables
        if tables is None:
            return Report.refuse(NAME, NAME, Refusal.UNKNOWN_CONFIGURATION)
        assert rest is not None
        assert charge is not None
        if charge.begin_second < rest.begin_second + rest.length_second - OVERLAP_SECOND:  # the rest came after
            return Report.refuse(NAME, NAME, Refusal.NOTHING_RECORDED)
        tail = evidence.constant_voltage
        held = tail if tail is not None and tail.begin_second > charge.begin_second else None
        if not _full(held or charge, evidence):
            return Report.refuse(NAME, NAME, Refusal.NOT_FULL_CHARGE)
        charge_ah = _taken(charge) + (0.0 if held is None else _taken(held))
        soc, soc_std = start(tables, rest, evidence.rest_after)
        missing = 1.0 - soc
        quality = {"charge_ah": charge_ah, "start_soc": soc, "start_soc_std": soc_std}
        if missing < LEAST_MISSING or soc_std / missing > MOST_STD:
            return Report.refuse(NAME, NAME, Refusal.WINDOW_NOT_COVERED, **quality)
        capacity_ah = charge_ah / missing
        share = float(np.hypot(soc_std / missing, GAIN_STD))
        nominal_ah = evidence.facts.nominal_capacity_ah
        values = {"capacity_ah": capacity_ah, "soh": capacity_ah / nominal_ah}
        return Report(NAME, NAME, values, {name: share * value for name, value in values.items()}, quality)


def start(tables: Tables, rest: Recording, after: str) -> tuple[float, float]:
    """Read the SOC of present capacity from the end of a rest, with its deviation."""
    celsius = float(np.median(rest.temperature_celsius))
    ocv, branch = (
        np.array([np.interp(celsius, tables.temperature_celsius, row) for row in table])
        for table in (tables.ocv_volt, tables.hysteresis_volt)
    )
    curve = np.maximum.accumulate(ocv + BRANCH[after] * branch)
    volt = float(rest.voltage_volt[-1])
    soc_nominal = float(np.interp(volt, curve, tables.soc))
    slope = float(np.interp(soc_nominal, tables.soc, np.gradient(curve, tables.soc)))
    unsettled = UNSETTLED_VOLT * float(np.exp(-rest.length_second / SETTLED_SECOND))
    off = float(np.hypot(unsettled, LEAST_VOLT)) + (float(branch.max()) if after == "unknown" else 0.0)
    reference = float(tables.reference_soh[0])
    return 1.0 - (1.0 - soc_nominal) / reference, off / max(slope, 1e-6) / reference


def _full(last: Recording, evidence: Evidence) -> bool:
    """Tell whether a charge ended at the limit with little current, or at a constant current that met it."""
    facts = evidence.facts
    small = float(last.current_ampere[-1]) <= FULL_C_RATE * facts.nominal_capacity_ah
    return small and float(last.voltage_volt[-1]) >= facts.voltage_max_volt - FULL_VOLT


def _taken(recording: Recording) -> float:
    return float(recording.charge_ah[-1] + recording.current_ampere[-1] / 3600.0)
