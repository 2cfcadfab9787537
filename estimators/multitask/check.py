"""The health check of a charge's end, as the service asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from estimators.check import Evidence, Needs, Recording, Refusal, Report, Trigger
from estimators.multitask.configuration import alike
from estimators.multitask.estimate import load
from estimators.multitask.recording import of_charge

if TYPE_CHECKING:
    from estimators.contract import Float
    from estimators.multitask.configuration import Configuration

NAME = "multitask"


class ChargeEndCheck:
    """SOH, cycles left and fade rate of a cell of a kind that the weights know, from one full charge alone."""

    name = NAME
    needs = Needs(
        triggers=frozenset({Trigger.CHARGE}), shortest_second={"constant_current": 60.0, "constant_voltage": 60.0}
    )

    def __init__(self) -> None:
        """Read the weights. Raises FileNotFoundError or ValueError."""
        self._known = load()
        self.model = f"charge-end-{self._known.weights_id}"

    def run(self, evidence: Evidence) -> Report:
        """Judge one charge; of several kinds of cell alike, as the one in whose domain it lies."""
        kinds = alike(evidence.facts.chemistry, evidence.facts.nominal_capacity_ah)
        if not kinds:
            return Report.refuse(NAME, self.model, Refusal.UNKNOWN_CONFIGURATION)
        reports = [report for kind in kinds if (report := self._as(kind, evidence)) is not None]
        if not reports:
            return Report.refuse(NAME, self.model, Refusal.NOT_FULL_CHARGE)
        return next((r for r in reports if r.in_domain), reports[0])

    def _as(self, kind: Configuration, evidence: Evidence) -> Report | None:
        assert evidence.constant_current is not None
        assert evidence.constant_voltage is not None
        found = of_charge(_columns(evidence.constant_current), _columns(evidence.constant_voltage), kind)
        if found is None:
            return None
        said = self._known.ask(kind.name, found[None])
        return Report(
            NAME,
            f"{self.model}-{kind.name}",
            {name: float(answer.mean[0]) for name, answer in said.items()},
            {name: float(answer.std[0]) for name, answer in said.items()},
            {"points": float(len(evidence.constant_current) + len(evidence.constant_voltage))},
            all(bool(answer.in_domain[0]) for answer in said.values()),
        )


def _columns(recording: Recording) -> tuple[Float, Float, Float]:
    return recording.second, recording.voltage_volt, recording.current_ampere
