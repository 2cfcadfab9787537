"""The health check of a full charge, as the service asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from estimators.check import Evidence, Needs, Recording, Refusal, Report, Trigger, unmet
from estimators.srse import features
from estimators.srse.estimate import configuration_of, estimate, read

if TYPE_CHECKING:
    from pathlib import Path

    from estimators.contract import Float

NAME = "srse"


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
        reason = unmet(self.needs, evidence)
        if reason is not None:
            return Report.refuse(NAME, self.model, reason)
        assert evidence.constant_current is not None
        assert evidence.constant_voltage is not None
        columns = joined(evidence.constant_current, evidence.constant_voltage)
        nominal_ah = evidence.facts.nominal_capacity_ah
        charge = features.charge(*columns, nominal_ah)
        quality = {"points": float(len(charge.second))}
        configuration = configuration_of(self._known, charge)
        if configuration is None:
            return Report.refuse(NAME, self.model, Refusal.UNKNOWN_CONFIGURATION, **quality)
        said = estimate(self._known, *columns, nominal_ah, configuration)
        if said.refused is not None:
            return Report.refuse(NAME, self.model, Refusal(said.refused), **quality)
        return Report(NAME, self.model, {"soh": said.soh}, {"soh": said.std}, quality, said.in_domain)


def joined(constant_current: Recording, constant_voltage: Recording) -> tuple[Float, Float, Float, Float]:
    """Lay the phases of one charge behind one another: second, volt, ampere, celsius [point]."""
    later = constant_voltage.begin_second - constant_current.begin_second
    parts = [
        (r.second + shift, r.voltage_volt, r.current_ampere, r.temperature_celsius)
        for r, shift in ((constant_current, 0.0), (constant_voltage, later))
    ]
    second, volt, ampere, celsius = (np.concatenate(p) for p in zip(*parts, strict=True))
    return second, volt, ampere, celsius
