"""The health check of a train of pulses, as the service asks for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from estimators.cell_type import weights_id
from estimators.check import Evidence, Needs, Refusal, Report, Trigger
from estimators.pulse.estimate import WEIGHTS, PulseModels, judge, named
from estimators.pulse.recognise import Flaw, recognise
from estimators.regression.regression import load


class PulseCheck:
    """SOH and resistances of a cell at rest. At 1 Hz only the ends of steps are seen: `only_ends` in the quality."""

    name = "pulse"
    needs = Needs(
        triggers=frozenset({Trigger.PULSES}),
        shortest_second={"pulses": 300.0},
        temperature_celsius=(15.0, 35.0),  # every test was made at 25
    )

    def __init__(self, path: Path = WEIGHTS, models: PulseModels | None = None) -> None:
        """Read the weights, or take models. Raises FileNotFoundError or ValueError."""
        self._models = models or PulseModels(load(path)[0])
        self.model = "varying" if models else f"varying-{weights_id(path)}"

    def run(self, evidence: Evidence) -> Report:
        """Judge the newest train that is whole."""
        pulses, facts = evidence.pulses, evidence.facts
        assert pulses is not None
        trains = recognise(
            pulses.second, pulses.voltage_volt, pulses.current_ampere, facts.nominal_capacity_ah, _rested(evidence)
        )
        if not trains:
            return Report.refuse(self.name, self.model, Refusal.PULSES_DO_NOT_FIT)
        train = next((t for t in reversed(trains) if t.flaw is None), trains[-1])
        slow = replace(train, sample_second=max(train.sample_second, 1.0))  # it comes from the 1 Hz grid
        found = judge(self._models, slow, facts.chemistry, facts.nominal_capacity_ah)
        quality = {"only_ends": float(slow.only_ends), "width_ms": float(train.width_ms)}
        if found.refused is not None:
            known = Refusal.PULSES_DO_NOT_FIT if isinstance(found.refused, Flaw) else found.refused
            return Report.refuse(self.name, self.model, known, **quality)
        values = {"soh": found.soh} | named(found.resistances)
        return Report(self.name, self.model, values, {"soh": found.soh_std}, quality, found.in_domain)


def _rested(evidence: Evidence) -> float:
    """Tell how long the cell rested before: a train's recording begins with its first pulse; inf: nobody knows."""
    assert evidence.pulses is not None
    if evidence.rest is None or evidence.rest.begin_second > evidence.pulses.begin_second:
        return float(np.inf)
    return evidence.pulses.begin_second - evidence.rest.begin_second
