"""A small estimator of the contract, whose faults a test can call forth by what it measures."""

from dataclasses import dataclass

import numpy as np

from estimators.cell_type import CellType
from estimators.contract import Estimate

CAPACITY_AH = 3.0
HOT, NOT_A_NUMBER_BELOW = 60.0, 1.0


@dataclass
class Counting:
    """Counts charge from 3 V = empty to 4 V = full; hot is outside of its domain, below 1 V it says NaN."""

    cell_type: CellType
    name: str = "counting"
    weights_id: str = "-"

    def init(self, start):
        return {"soc": start.soc.copy(), "soh": start.soh.copy()}

    def step(self, state, second):
        soc = np.where(np.isnan(state["soc"]), second.voltage_volt - 3.0, state["soc"])
        soc = soc + second.current_ampere / 3600 / (CAPACITY_AH * state["soh"])
        soc = np.where(second.voltage_volt < NOT_A_NUMBER_BELOW, np.inf, soc)
        hot = second.temperature_celsius > HOT
        std = np.full_like(soc, 0.01)
        estimate = Estimate(soc, std, 3.0 * std, state["soh"].copy(), 2.0 * std, hot, soc > 2)
        return {"soc": soc, "soh": state["soh"].copy()}, estimate

    def calibrate(self, state, soh, soh_std):
        return state | {"soh": soh.copy()}


def write_cell_type(folder):
    """Make a folder that is a cell type."""
    folder.mkdir(exist_ok=True)
    (folder / "cell.yaml").write_text(
        "name: counted\nchemistry: nmc\nnominal_capacity_ah: 3.0\nvoltage_min_volt: 3.0\nvoltage_max_volt: 4.0\n"
        "current_min_ampere: -30\ncurrent_max_ampere: 10\ntemperature_min_celsius: -20\ntemperature_max_celsius: 60\n"
        "typical_soh: 0.9\nestimator: coulomb\n"
    )
    return str(folder)
