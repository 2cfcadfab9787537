"""The checks that there are: one row each. Code and weights are loaded when first wanted.

Adding a check is a folder in `estimators/` and a row here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from daemon.health.examiner import Examiner
from daemon.says import Say

if TYPE_CHECKING:
    from daemon.config import HealthChecks as Rule
    from estimators.check import Check

say = Say("health")


class Row(NamedTuple):
    """Where a check lives, and what it tells."""

    home: str  # module: class
    says: str


CHECKS: dict[str, Row] = {
    "counted": Row("estimators.counted.check:CountedCheck", "SOH of any cell, from a charge to full after a rest"),
    "imodel": Row("estimators.imodel.check:RestCheck", "capacity, its next cycles and what is left, from a charge"),
    "multitask": Row(
        "estimators.multitask.check:ChargeEndCheck", "SOH, cycles left and fade rate, from a charge's end"
    ),
    "srse": Row("estimators.srse.check:FullChargeCheck", "SOH from a full charge"),
    "early_life": Row(
        "estimators.early_life.check:FirstCyclesCheck", "capacity of every later cycle, from a new cell's first 200"
    ),
    "pulse": Row("estimators.pulse.check:PulseCheck", "SOH and resistances of a cell at rest, from a train of pulses"),
}


def load() -> list[Check]:
    """Make every check; one whose weights are missing or damaged is said and left out."""
    checks = []
    for name, row in CHECKS.items():
        module, _, kind = row.home.partition(":")
        try:
            checks.append(getattr(import_module(module), kind)())
        except (FileNotFoundError, ValueError) as err:
            say.error("unusable", check=name, why=err)
    return checks


def examiner(rule: Rule) -> Examiner | None:
    """Make the thread that runs them; None where they are switched off."""
    return Examiner(load, rule) if rule.enabled else None
