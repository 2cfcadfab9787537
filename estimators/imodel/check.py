"""The health check of a rest after a charge, as the service asks for it."""

from __future__ import annotations

import math
from dataclasses import astuple, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from estimators.cell_type import weights_id
from estimators.check import Evidence, Needs, Recording, Refusal, Report, Scenario, Trigger, Use
from estimators.features import c_rate, charge_curve, rest_curve
from estimators.imodel.estimate import NEAR, WEIGHTS, Known, capacity, load, trajectory
from estimators.imodel.features import VARIANTS, Events, Kind, Variant, best_variant
from estimators.imodel.left import HORIZON, cycles_left
from estimators.imodel.mixture import load_mixture

if TYPE_CHECKING:
    from estimators.check import Facts

NAME = "imodel"
ASKED: dict[Variant, str] = {  # what of the recordings, in the answering model's name
    "both": "charge-rest",
    "charge": "charge",
    "late": "late-charge-rest",
    "rest": "rest",
}
SAME_SIZE = 0.05  # nominal capacities this near are of one size
FULL_VOLT = 0.02  # a charge to full ends so near the limit
REST_NOISE_VOLT, CHARGE_NOISE_VOLT = 0.0004, 0.005  # from there on noise moves the answer by more than its deviation
FEW_POINTS = 8  # tell no noise
RECENT_CYCLES = 1  # a capacity that was measured no longer ago is the present one
DISAGREES = 3.0  # deviations from what the model says: one of the two is of something else
WARMER_CELSIUS = 10.0  # than at rest is a cell while it is discharged, at most


class RestCheck:
    """Capacity of a cell that was charged to full and rests, its capacity in later cycles, and the cycles left.

    Asked of cells of a make that the weights know, by chemistry and size. Capacity is that of a discharge at the
    rate which the make's cells were discharged at. Where the rest is too short or too noisy the charge is asked alone,
    and the other way round: the report's model tells. What is to come is told for a cell that is used as it is now, and
    as scenarios for one that is used as last week, or as configured; it begins at the capacity of the discharge before,
    where that was measured as the make's cells were, and agrees.
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
        self._weights_id = weights_id(path)
        self.model = f"{ASKED['both']}-{self._weights_id}"

    def run(self, evidence: Evidence) -> Report:
        """Judge one cell."""
        known = self._of(evidence.facts)
        if known is None:
            return Report.refuse(NAME, self.model, Refusal.UNKNOWN_CONFIGURATION)
        charge, rest = evidence.constant_current, evidence.rest
        assert charge is not None
        assert rest is not None
        events = event(known, charge, rest)
        quality = {
            "temperature_celsius": float(events.temperature_celsius[0]),
            "c_rate": float(events.charge_c_rate[0]),
            "charge_noise_volt": noise_volt(charge),
            "rest_noise_volt": noise_volt(rest),
        }
        if np.min(np.abs(known.conditions[:, 0] - events.temperature_celsius[0])) > NEAR[0]:
            return Report.refuse(NAME, self.model, Refusal.TEMPERATURE_OUT_OF_DOMAIN, **quality)
        ended_volt = _last_volt(charge, evidence.constant_voltage)
        if ended_volt < evidence.facts.voltage_max_volt - FULL_VOLT:
            return Report.refuse(NAME, self.model, Refusal.NOT_FULL_CHARGE, **quality, ended_volt=ended_volt)
        quiet = _without_noise(events, quality)
        variant = _answering(known, quiet)
        if variant is None:
            covered = _answering(known, events) is not None
            return Report.refuse(NAME, self.model, Refusal.NOISY if covered else Refusal.WINDOW_NOT_COVERED, **quality)
        return self._report(known, quiet, variant, quality, evidence)

    def _of(self, facts: Facts) -> Known | None:
        """Find the make of a cell."""
        for known in self._known.values():
            size = known.kind.nominal_capacity_ah
            if known.kind.chemistry == facts.chemistry and abs(facts.nominal_capacity_ah / size - 1.0) <= SAME_SIZE:
                return known
        return None

    def _report(
        self, known: Known, events: Events, variant: Variant, quality: dict[str, float], evidence: Evidence
    ) -> Report:
        nominal = known.kind.nominal_capacity_ah
        now = capacity(known, events)
        values = {"capacity_ah": float(now.mean[0]), "soh": float(now.mean[0] / nominal)}
        std = {"capacity_ah": float(now.std[0]), "soh": float(now.std[0] / nominal)}
        quality = quality | {"measured_ah": measured_ah(known, events, evidence)}
        off_ah = quality["measured_ah"] - values["capacity_ah"]
        off_ah = off_ah if abs(off_ah) <= DISAGREES * std["capacity_ah"] else 0.0
        scenarios = {name: foresee(known, events, use, off_ah) for name, use in planned(events, evidence).items()}
        as_now = scenarios["as_now"]
        mixture = self._mixtures[known.kind.name]
        experts = {} if mixture is None else {"expert_weight": mixture.fade(events)[1][0].tolist()}
        return Report(
            NAME,
            f"{ASKED[variant]}-{self._weights_id}",
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


def measured_ah(known: Known, events: Events, evidence: Evidence) -> float:
    """Give the capacity that was measured just before, in the way in which the make's cells were; NaN: none was."""
    kept = evidence.history.capacities
    if not known.kind.discharge_counts or not len(kept.cycle) or kept.complete - kept.cycle[-1] > RECENT_CYCLES:
        return math.nan
    celsius, _, rate = events.use[0]
    as_usual = abs(kept.c_rate[-1] - rate) <= NEAR[2] * rate
    warmer = kept.temperature_celsius[-1] - celsius
    return float(kept.capacity_ah[-1]) if as_usual and -NEAR[0] <= warmer <= WARMER_CELSIUS else math.nan


def foresee(known: Known, events: Events, use: Use, off_ah: float = 0.0) -> Scenario:
    """Say what is to come of the first cell under a use; one that is not as now is of no domain, see `trajectory`.

    Capacities are moved by `off_ah`, which the present one is off: of cells never seen, what a model says too much now,
    it says too much of the next fifty cycles too.
    """
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
            "capacity_ah": (later.mean_ah[0] + off_ah).tolist(),
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


def noise_volt(recording: Recording) -> float:
    """Measure a sensor's noise by how far points lie from between their neighbours, and by its steps; NaN: too few."""
    volt = recording.voltage_volt
    if len(volt) < FEW_POINTS:
        return math.nan
    scatter = float(np.median(np.abs(np.diff(volt, 2)))) / (0.6745 * math.sqrt(6.0))  # of a normal second difference
    steps = np.diff(np.unique(volt.round(5)))
    return max(scatter, float(steps.min(initial=math.inf)) / math.sqrt(12.0))


def _without_noise(events: Events, quality: dict[str, float]) -> Events:
    """Leave out the recording that is too noisy to be asked."""
    if quality["rest_noise_volt"] > REST_NOISE_VOLT:
        events = replace(events, rest_volt=np.full_like(events.rest_volt, np.nan))
    if quality["charge_noise_volt"] > CHARGE_NOISE_VOLT:
        events = replace(events, charge_ah=np.full_like(events.charge_ah, np.nan))
    return events


def _answering(known: Known, events: Events) -> Variant | None:
    """Give the best variant that the first event allows and that was learnt."""
    return best_variant(events, known.kind, [v for v in VARIANTS if v in known.now])[0]


def _last_volt(constant_current: Recording, constant_voltage: Recording | None) -> float:
    """Give the voltage at which a charge ended; the other stage may be that of a charge before."""
    held = constant_voltage is not None and constant_voltage.begin_second > constant_current.begin_second
    last = constant_voltage if constant_voltage is not None and held else constant_current
    return float(last.voltage_volt[-1])
