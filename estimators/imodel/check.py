"""The health check of a rest after a charge, as the service asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from estimators.cell_type import weights_id
from estimators.check import Evidence, Needs, Recording, Refusal, Report, Trigger, unmet
from estimators.features import c_rate, charge_curve, rest_curve
from estimators.imodel.estimate import NEAR, WEIGHTS, Known, capacity, cycles_left, load, trajectory
from estimators.imodel.features import Events, Kind, best_variant
from estimators.imodel.mixture import load_mixture

if TYPE_CHECKING:
    from estimators.check import Facts

NAME = "imodel"
SAME_SIZE = 0.05  # nominal capacities this near are of one size
HORIZON = np.arange(0, 151, 5)
END_SHARE = 0.8  # of the nominal capacity: the cell's end


class RestCheck:
    """Capacity of a cell that was charged to full and rests, its capacity in later cycles, and the cycles left.

    Asked of cells of a make that the weights know, by chemistry and size. Capacity is that of a discharge at the
    rate which the make's cells were discharged at; the cell is taken to be used as it is now.
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
        reason = unmet(self.needs, evidence)
        known = self._of(evidence.facts)
        if reason is None and known is None:
            reason = Refusal.UNKNOWN_CONFIGURATION
        if reason is not None or known is None:
            return Report.refuse(NAME, self.model, reason or Refusal.UNKNOWN_CONFIGURATION)
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
        return self._report(known, events, quality)

    def _of(self, facts: Facts) -> Known | None:
        """Find the make of a cell."""
        for known in self._known.values():
            size = known.kind.nominal_capacity_ah
            if known.kind.chemistry == facts.chemistry and abs(facts.nominal_capacity_ah / size - 1.0) <= SAME_SIZE:
                return known
        return None

    def _report(self, known: Known, events: Events, quality: dict[str, float]) -> Report:
        nominal = known.kind.nominal_capacity_ah
        now, later = capacity(known, events), trajectory(known, events, HORIZON)
        left = cycles_left(later, END_SHARE * nominal)
        values = {"capacity_ah": float(now.mean[0]), "soh": float(now.mean[0] / nominal)}
        std = {"capacity_ah": float(now.std[0]), "soh": float(now.std[0] / nominal)}
        for name, cycles in (
            ("rul_cycle", left.cycles),
            ("rul_soonest_cycle", left.soonest),
            ("rul_latest_cycle", left.latest),
        ):
            if np.isfinite(cycles[0]):
                values[name] = float(cycles[0])
        ahead = {
            "horizon_cycle": HORIZON.tolist(),
            "capacity_ah": later.mean_ah[0].tolist(),
            "capacity_ah_std": later.std_ah[0].tolist(),
        }
        mixture = self._mixtures[known.kind.name]
        if mixture is not None:
            ahead["expert_weight"] = mixture.fade(events)[1][0].tolist()
        return Report(NAME, self.model, values, std, quality, bool(now.in_domain[0]), trajectories=ahead)


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
