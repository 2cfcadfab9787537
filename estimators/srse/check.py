"""The health check of a full charge, as the service asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from estimators.check import NOT_TOLD, UNSEEN_SECOND, Evidence, Needs, Recording, Refusal, Report, Trigger
from estimators.srse import features
from estimators.srse.estimate import configuration_of, estimate, read

if TYPE_CHECKING:
    from pathlib import Path

    from estimators.contract import Float

NAME = "srse"
READING_VOLT = 2.7  # capacity is what a discharge gives down to it, in the set that the weights are of


class FullChargeCheck:
    """SOH of a cell that was charged from empty to full, in a configuration that the weights know."""

    name = NAME
    needs = Needs(
        triggers=frozenset({Trigger.CHARGE}),
        shortest_second={"constant_current": 60.0, "constant_voltage": 300.0},
    )

    def __init__(self, folder: Path | None = None) -> None:
        """Read the weights. Raises FileNotFoundError or ValueError."""
        self._known = read(folder) if folder else read()
        self.model = f"counted-{self._known.plain_id}"

    def run(self, evidence: Evidence) -> Report:
        """Judge one charge."""
        assert evidence.constant_current is not None
        assert evidence.constant_voltage is not None
        columns = joined(evidence.constant_current, evidence.constant_voltage)
        nominal_ah = evidence.facts.nominal_capacity_ah
        charge = features.charge(*columns, nominal_ah)
        quality = {"points": float(len(charge.second))}
        if evidence.unseen_second > UNSEEN_SECOND:
            return Report.refuse(NAME, self.model, Refusal.NOT_FULL_CHARGE, unseen_second=evidence.unseen_second)
        configuration = configuration_of(self._known, charge)
        if configuration is None:
            return Report.refuse(NAME, self.model, Refusal.UNKNOWN_CONFIGURATION, **quality)
        discharge = evidence.history.discharge
        below_ah = NOT_TOLD if discharge is None else discharge.below_ah(READING_VOLT)
        quality["below_ah"] = below_ah
        said = estimate(self._known, *columns, nominal_ah, configuration, below_ah=below_ah)
        if said.refused is not None:
            return Report.refuse(NAME, self.model, Refusal(said.refused), **quality)
        return Report(NAME, self.model, {"soh": said.soh}, {"soh": said.std}, quality, said.in_domain)


def joined(constant_current: Recording, constant_voltage: Recording) -> tuple[Float, Float, Float, Float]:
    """Lay the phases of one charge behind one another: second, volt, ampere, celsius [point].

    A recording's current is the mean until the next point; what is given here is the current at each point, or the
    trapezoids that charge is counted by would lose half an interval where the current falls.
    """
    later = constant_voltage.begin_second - constant_current.begin_second
    parts = [
        (r.second + shift, r.voltage_volt, r.current_ampere, r.temperature_celsius)
        for r, shift in ((constant_current, 0.0), (constant_voltage, later))
    ]
    second, volt, ampere, celsius = (np.concatenate(p) for p in zip(*parts, strict=True))
    middle = second + 0.5 * np.diff(second, append=second[-1])
    return second, volt, np.interp(second, middle, ampere), celsius
