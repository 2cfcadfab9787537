"""The health check of a rest after a charge, as the service asks for it."""

from __future__ import annotations

import math
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from estimators.cell_type import weights_id
from estimators.check import Evidence, Needs, Recording, Refusal, Report, Scenario, Trigger, Use
from estimators.features import c_rate, charge_curve, rest_curve
from estimators.imodel.estimate import NEAR, WEIGHTS, Known, capacity, load, trajectory
from estimators.imodel.features import Events, Kind, best_variant
from estimators.imodel.left import HORIZON, cycles_left
from estimators.imodel.mixture import load_mixture

if TYPE_CHECKING:
    from estimators.check import Facts

NAME = "imodel"
SAME_SIZE = 0.05  # nominal capacities this near are of one size


class RestCheck:
    """Capacity of a cell that was charged to full and rests, its capacity in later cycles, and the cycles left.

    Asked of cells of a make that the weights know, by chemistry and size. Capacity is that of a discharge at the
    rate which the make's cells were discharged at. What is to come is told for a cell that is used as it is now, and as
    scenarios for one that is used as last week, or as configured.
    """

    name = NAME
    needs = Needs(
        triggers=frozenset({Trigger.REST}),
        shortest_second={"constant_current": 600.0, "rest": 120.0},
        rest_after=frozenset({"charge"}),
    )

    def __init__(self, path: Path = WEIGHTS) -> None:
        """Read the weights. Raises FileNotFoundError or ValueError."""
        self._known = load(path)
        self._mixtures = {name: load_mixture(one.kind, path.parent) for name, one in self._known.items()}
        self.model = f"charge-rest-{weights_id(path)}"

    def run(self, evidence: Evidence) -> Report:
        """Judge one cell."""
        known = self._of(evidence.facts)
        if known is None:
            return Report.refuse(NAME, self.model, Refusal.UNKNOWN_CONFIGURATION)
        assert evidence.constant_current is not None
        assert evidence.rest is not None
        events = event(known, evidence.constant_current, evidence.rest)
        quality = {
            "temperature_celsius": float(events.temperature_celsius[0]),
            "c_rate": float(events.charge_c_rate[0]),
        }
        if np.min(np.abs(known.conditions[:, 0] - events.temperature_celsius[0])) > NEAR[0]:
            return Report.refuse(NAME, self.model, Refusal.TEMPERATURE_OUT_OF_DOMAIN, **quality)
        if best_variant(events, known.kind)[0] is None:
            return Report.refuse(NAME, self.model, Refusal.WINDOW_NOT_COVERED, **quality)
        return self._report(known, events, quality, evidence)

    def _of(self, facts: Facts) -> Known | None:
        """Find the make of a cell."""
        for known in self._known.values():
            size = known.kind.nominal_capacity_ah
            if known.kind.chemistry == facts.chemistry and abs(facts.nominal_capacity_ah / size - 1.0) <= SAME_SIZE:
                return known
        return None

    def _report(self, known: Known, events: Events, quality: dict[str, float], evidence: Evidence) -> Report:
        nominal = known.kind.nominal_capacity_ah
        now = capacity(known, events)
        values = {"capacity_ah": float(now.mean[0]), "soh": float(now.mean[0] / nominal)}
        std = {"capacity_ah": float(now.std[0]), "soh": float(now.std[0] / nominal)}
        scenarios = {name: foresee(known, events, use) for name, use in planned(events, evidence).items()}
        as_now = scenarios["as_now"]
        mixture = self._mixtures[known.kind.name]
        experts = {} if mixture is None else {"expert_weight": mixture.fade(events)[1][0].tolist()}
        return Report(
            NAME,
            self.model,
            values | as_now.values,
            std,
            quality,
            bool(now.in_domain[0]),
            trajectories=as_now.trajectories | experts,
            scenarios=scenarios,
        )


def planned(events: Events, evidence: Evidence) -> dict[str, Use]:
    """Name the uses that may come; what one does not say is as now, and one that says nothing is left out."""
    now = Use(*events.use[0].tolist())
    said = {"last_week": evidence.history.last_week, "as_configured": evidence.facts.planned}
    others = {name: astuple(use) for name, use in said.items() if not all(map(math.isnan, astuple(use)))}
    return {"as_now": now} | {
        name: Use(*(own if math.isnan(n) else n for own, n in zip(astuple(now), use, strict=True)))
        for name, use in others.items()
    }


def foresee(known: Known, events: Events, use: Use) -> Scenario:
    """Say what is to come of the first cell under a use; one that is not as now is of no domain, see `trajectory`."""
    used = np.array([astuple(use)])
    later = trajectory(known, events, HORIZON, used)
    left = cycles_left(known, events, used)
    cycles = {"rul_cycle": left.cycles, "rul_soonest_cycle": left.soonest, "rul_latest_cycle": left.latest}
    return Scenario(
        use,
        bool(later.in_domain[0]),
        {name: float(number[0]) for name, number in cycles.items() if np.isfinite(number[0])},
        {
            "horizon_cycle": HORIZON.astype(float).tolist(),
            "capacity_ah": later.mean_ah[0].tolist(),
            "capacity_ah_std": later.std_ah[0].tolist(),
        },
    )


def event(known: Known, constant_current: Recording, rest: Recording) -> Events:
    """Make of recordings what models are shown; the discharge to come is taken to be as the make's cells were."""
    kind: Kind = known.kind
    curve = charge_curve(constant_current.voltage_volt, constant_current.charge_ah, kind.window)
    period = kind.rest_period_second
    volt = rest_curve(rest.second, rest.voltage_volt, period, kind.rest_points, first_second=period)
    rate = c_rate(float(np.median(constant_current.current_ampere)), kind.nominal_capacity_ah)
    celsius = float(np.median(rest.temperature_celsius))
    away = np.abs(known.conditions[:, :2] - (celsius, rate)) / (NEAR[0], NEAR[1] * max(rate, 1e-9))
    discharge = known.conditions[away.sum(axis=1).argmin(), 2] if kind.discharge_counts else 1.0
    return Events(curve[None], volt[None], np.array([celsius]), np.array([rate]), np.array([discharge]))
