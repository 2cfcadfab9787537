"""Capacity from charge: how much is counted per change of a SOC that was not counted.

    state = step(state, c_rate, soc, which)          # once a second
    soh, std = said(state)

A network that sees voltage says SOC without a long memory; the current integral says charge without a scale. The
slope between them is the capacity. Each cell's SOC y is fitted by a line over counted charge q (in nominal
capacities, signed) and time t,

    y = a + q / soh - drift t

where the drift is what a sensor's offset counts wrongly: 0.1 A for a day would be a third of a charge without it.
Errors of y do not bend the slope, those of q hardly are any after the drift; a wrong gain of the current
sensor stays in the SOH. The fit is recursive (weighted sums about their means) and forgets within `MEMORY_SECOND`.
A cell that is parked neither adds to it nor forgets. The SOC must come from voltage: that of a filter which counts
with an assumed SOH only says that SOH again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from estimators.contract import Bool, Float, State

MEMORY_SECOND = 86_400.0
RELATED_SECOND = 1_800.0  # errors of a SOC are alike for so long: an hour of seconds is worth two
LEAST_STD = 0.005  # of a SOC, however well it fits
DRIFT_STD_PER_DAY = 0.03 * 24.0  # supposed of a current sensor: an offset of 0.03 C
AWAKE_C_RATE, PARKED_SECOND = 0.02, 3_600.0  # without such a current for so long, a cell is parked
SYSTEMATIC_STD = 0.005  # a good current sensor's gain, and a SOC whose scale is a little off
VAGUE_STD = 0.05  # not worth saying
LOWEST, HIGHEST = 0.3, 1.5  # no such cell
HOUR_SECOND, DAY_SECOND = 3_600.0, 86_400.0


def init(cells: int) -> State:
    """Make the state of cells that were never seen."""
    return {
        "fit_charge": np.zeros(cells),
        "fit_day": np.zeros(cells),
        "fit_idle_second": np.zeros(cells),
        "fit_weight": np.zeros(cells),  # seconds
        "fit_mean": np.zeros((cells, 3)),  # q, t, y
        "fit_spread": np.zeros((cells, 3, 3)),
    }


def step(state: State, c_rate: Float, soc: Float, which: Bool) -> State:
    """Take one second of the cells in `which`, all [cell]; current is positive on charge, SOC of present capacity."""
    idle = np.where(np.abs(c_rate) >= AWAKE_C_RATE, 0.0, state["fit_idle_second"] + 1.0)
    charge, day = state["fit_charge"] + c_rate / HOUR_SECOND, state["fit_day"] + 1.0 / DAY_SECOND
    awake = (idle < PARKED_SECOND).astype(np.float64)
    kept = np.exp(-awake / MEMORY_SECOND)
    before = kept * state["fit_weight"]
    weight = before + awake
    share = awake / np.maximum(weight, 1.0)
    away = np.stack([charge, day, soc], axis=1) - state["fit_mean"]
    spread = kept[:, None, None] * state["fit_spread"]
    spread += away[:, :, None] * (away * (before * share)[:, None])[:, None, :]
    new = {
        "fit_charge": charge,
        "fit_day": day,
        "fit_idle_second": idle,
        "fit_weight": weight,
        "fit_mean": state["fit_mean"] + away * share[:, None],
        "fit_spread": spread,
    }
    return {name: np.where(which.reshape(-1, *[1] * (a.ndim - 1)), a, state[name]) for name, a in new.items()}


def said(state: State) -> tuple[Float, Float]:
    """SOH and its standard deviation [cell]; NaN while too little charge has moved."""
    spread = state["fit_spread"]
    qq, qt, tt = spread[:, 0, 0], spread[:, 0, 1], spread[:, 1, 1]
    qy, ty, yy = spread[:, 0, 2], spread[:, 1, 2], spread[:, 2, 2]
    weight = np.maximum(state["fit_weight"], 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        left = yy - ty**2 / tt - (qy - qt * ty / tt) ** 2 / (qq - qt**2 / tt)
        variance = RELATED_SECOND * np.maximum(left / weight, LEAST_STD**2)  # of the SOC, for each second of weight
        steady = tt + variance / DRIFT_STD_PER_DAY**2
        alone = qq - qt**2 / steady  # what the charge does that time does not
        soh = alone / (qy - qt * ty / steady)
        std = np.hypot(np.sqrt(variance / alone) * soh**2, SYSTEMATIC_STD)
        clear = (std < VAGUE_STD) & (soh > LOWEST) & (soh < HIGHEST)
    return np.where(clear, soh, np.nan), np.where(clear, std, np.nan)
