"""SOC by integrating the current. Where the start is unknown, the first voltage says it, through the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from estimators.cell_type import TABLES_FILE
from estimators.circuit import Circuit
from estimators.contract import NO_SAMPLE_SOC, NO_SAMPLE_STD, Estimate, Second, Start, State, to_nominal
from estimators.domain import outside
from estimators.soh.filter import weighed

if TYPE_CHECKING:
    from estimators.cell_type import CellType
    from estimators.contract import Float

KNOWN_SOC_STD, UNKNOWN_SOC_STD = 0.01, 0.1
SENSOR_OFFSET_C_RATE = 0.005  # std of the sensor's offset over the nominal capacity: half a point in an hour
SOH_WALK = 1.7e-6  # the SOH is held at its start; half a point in 100 days


class Coulomb:
    """Counting for one cell type; its tables, where it has any, serve unknown starts alone."""

    name = "coulomb"
    weights_id = "-"

    def __init__(self, cell_type: CellType) -> None:
        """Read the type's tables if there are any. Raises ValueError where they are damaged."""
        self.cell_type = cell_type
        has_tables = (cell_type.folder / TABLES_FILE).is_file()
        self.circuit = Circuit(cell_type.tables()) if has_tables else None

    def init(self, start: Start) -> State:
        """Make the state of new cells; an unknown SOC waits for the first sample."""
        unknown_std = UNKNOWN_SOC_STD if self.circuit else NO_SAMPLE_STD
        return {
            "soc_nominal": to_nominal(start.soc, start.soh),  # NaN: not yet known
            "start_std": np.where(np.isfinite(start.soc), KNOWN_SOC_STD, unknown_std),
            "seconds": np.zeros(len(start.soc)),
            "soh": start.soh.astype(np.float64),
            "soh_variance": np.square(start.soh_std),
        }

    def step(self, state: State, second: Second) -> tuple[State, Estimate]:
        """Advance every cell by one second; a second without a finite current counts nothing."""
        soc = self._first_look(state["soc_nominal"], state["soh"], second)
        counted = np.isfinite(second.current_ampere)
        charge = np.where(counted, second.current_ampere, 0.0)
        after: State = {
            "soc_nominal": soc + charge / (3600.0 * self.cell_type.nominal_capacity_ah),
            "start_std": state["start_std"].copy(),
            "seconds": state["seconds"] + 1.0,
            "soh": state["soh"].copy(),
            "soh_variance": state["soh_variance"] + SOH_WALK**2,
        }
        return after, self._estimate(after, second)

    def calibrate(self, state: State, soh: Float, soh_std: Float) -> State:
        """Weigh the SOH of a health check against the one that is held."""
        held, std = weighed(state["soh"], np.sqrt(state["soh_variance"]), soh, soh_std)
        return state | {"soh": held, "soh_variance": np.square(std)}

    def _first_look(self, soc: Float, soh: Float, second: Second) -> Float:
        """Put the SOC that the voltage shows, less the ohmic drop, where none is known."""
        unknown = np.isnan(soc)
        if self.circuit is None:
            return np.where(unknown, to_nominal(np.full_like(soc, NO_SAMPLE_SOC), soh), soc)
        measured = np.stack([second.voltage_volt, second.current_ampere, second.temperature_celsius])
        rows = np.flatnonzero(unknown & np.logical_and.reduce(np.isfinite(measured)))
        if len(rows):
            soc = soc.copy()
            shown = self.circuit.soc_at(*(column[rows] for column in measured))
            soc[rows] = 1.0 - (1.0 - shown) * soh[rows] / self.circuit.reference_soh
        return soc

    def _estimate(self, state: State, second: Second) -> Estimate:
        drift = SENSOR_OFFSET_C_RATE * state["seconds"] / 3600.0
        nominal_std = np.minimum(np.hypot(state["start_std"], drift), NO_SAMPLE_STD)
        soh_std = np.sqrt(state["soh_variance"])
        strange = outside(self.cell_type, second)
        return Estimate.of_nominal(state["soc_nominal"], nominal_std, state["soh"], soh_std, strange)
