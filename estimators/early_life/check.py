"""The health check of a new cell's first cycles, as the service asks for it: prototype verification."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from estimators.check import NOT_TOLD, Evidence, Needs, Refusal, Report, Trigger
from estimators.early_life.estimate import CHECK, HOME, LAST_CYCLE, estimate, family, identity
from estimators.early_life.transfer import MEASURED_CYCLES

if TYPE_CHECKING:
    from pathlib import Path

    from estimators.check import Capacities
    from estimators.contract import Float

CHEMISTRY, NOMINAL_CAPACITY_AH = "nmc", 1.1  # of the cells that the weights are of
SAME_SIZE, SAME_RATE, SAME_CELSIUS = 0.05, 0.1, 5.0  # shares, but for the last
WIDEST_GAP = 25  # cycles between two capacities
BESIDES = 1.2  # so many times the charge of its full cycles: the cell was used between them
EVERY = 10  # cycles ahead
END_SHARE = 0.8  # of the nominal capacity: the cell's end


class FirstCyclesCheck:
    """Capacity of every later cycle of a cell of a make that the weights know, from its first cycles.

    Capacities are those of discharges at one rate and temperature: as the newest one was.
    """

    name = CHECK
    needs = Needs(triggers=frozenset({Trigger.CAPACITY}), shortest_second={}, chemistries=frozenset({CHEMISTRY}))

    def __init__(self, folder: Path = HOME) -> None:
        """Read the sources. Raises FileNotFoundError or ValueError."""
        self._sources = family(folder)
        if not self._sources:
            raise FileNotFoundError(folder)
        self.model = f"transfer-{identity(self._sources)}"

    def run(self, evidence: Evidence) -> Report:
        """Judge one cell."""
        nominal_ah = evidence.facts.nominal_capacity_ah
        if abs(nominal_ah / NOMINAL_CAPACITY_AH - 1.0) > SAME_SIZE:
            return Report.refuse(CHECK, self.model, Refusal.UNKNOWN_CONFIGURATION)
        cycle, capacity_ah, celsius = comparable(evidence.history.capacities)
        known = int(cycle[-1]) if len(cycle) else 0
        if known < MEASURED_CYCLES or np.diff(cycle, prepend=0.0).max() > WIDEST_GAP:
            return Report.refuse(CHECK, self.model, Refusal.HISTORY_TOO_SHORT, cycles=float(known))
        early = np.interp(np.arange(1, known + 1), cycle, capacity_ah)
        found = estimate(early, celsius, self._sources, LAST_CYCLE)
        works_besides = evidence.standing.equivalent_full_cycles > BESIDES * known
        quality = {"cycles": float(known), "measured": len(cycle) / known, "temperature_celsius": celsius}
        found = replace(found, quality=quality, in_domain=found.in_domain and not works_besides)
        return found if found.refused else _told(found, END_SHARE * nominal_ah)


def comparable(measured: Capacities) -> tuple[Float, Float, float]:
    """Give cycle [n] and capacity [n] of those that were measured as the newest one was, and the temperature."""
    rate, celsius = measured.c_rate, measured.temperature_celsius
    same = (np.abs(rate - rate[-1:]) <= SAME_RATE * rate[-1:]) & (np.abs(celsius - celsius[-1:]) <= SAME_CELSIUS)
    middle = float(np.median(celsius[same])) if same.any() else NOT_TOLD
    return measured.cycle[same], measured.capacity_ah[same], middle


def _told(found: Report, end_ah: float) -> Report:
    """Thin what is to come, and find where it falls to the cell's end."""
    capacity_ah = np.array(found.trajectories["capacity_ah"])
    ended = np.flatnonzero(capacity_ah <= end_ah)
    left = {"rul_cycle": float(ended[0] + 1)} if len(ended) else {}
    kept = np.unique(np.append(np.arange(EVERY - 1, len(capacity_ah), EVERY), len(capacity_ah) - 1))
    ahead = {name: np.array(values)[kept].tolist() for name, values in found.trajectories.items()}
    return replace(found, values=found.values | left, trajectories={"horizon_cycle": (kept + 1).tolist()} | ahead)
