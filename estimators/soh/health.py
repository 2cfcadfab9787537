"""A cell's SOH from second to second: the filter, its two sources, and the count that it wants.

    state = init(start_soh, start_std)
    state = second(state, c_rate, soc, which)                    # every second
    state = hour(state, said_soh, said_std, which)               # once an hour, what the estimator itself says
    soh, soh_std = accepted(state)

The other source is the capacity from charge (`estimators.soh.capacity`). What an estimator says began with the SOH
it was told, and is little more than its echo, so it never counts as surer than ECHO_STD: told the accepted one each
day, it would else confirm whatever is accepted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from estimators.soh import capacity
from estimators.soh import filter as smooth
from estimators.soh.filter import accepted

if TYPE_CHECKING:
    from estimators.contract import Bool, Float, State

__all__ = ["accepted", "hour", "init", "second"]

HOUR_SECOND = 3_600.0
ECHO_STD = 0.1  # what an estimator says of SOH is mostly what it was told
WAYS = 2.0  # out and in: an equivalent full cycle moves the capacity twice


def init(start_soh: Float, start_std: Float) -> State:
    """Make the state of cells whose SOH is supposed to be so, give or take `start_std`; both [cell]."""
    zero = np.zeros(len(start_soh))
    passed = {"soh_efc": zero, "soh_second": zero.copy()}
    return smooth.init(start_soh, start_std, sources=2) | capacity.init(len(start_soh)) | passed


def second(state: State, c_rate: Float, soc: Float, which: Bool) -> State:
    """Count a second of the cells in `which`, all [cell]; `soc` as voltage alone says it."""
    moved = np.abs(c_rate) / (WAYS * HOUR_SECOND)
    new = {
        "soh_efc": np.where(which, state["soh_efc"] + moved, state["soh_efc"]),
        "soh_second": state["soh_second"] + which,
    }
    return state | capacity.step(state, c_rate, soc, which) | new


def hour(state: State, said_soh: Float, said_std: Float, which: Bool) -> State:
    """Take both sources' word of the cells in `which`; `said_std` as if the right SOH had been told."""
    rows = np.flatnonzero(which)
    mine = {name: state[name][rows] for name in init(np.ones(1), np.ones(1))}
    counted, counted_std = capacity.said(mine)
    said = np.stack([said_soh[rows], counted], axis=1)
    std = np.stack([np.hypot(said_std[rows], ECHO_STD), counted_std], axis=1)
    mine |= smooth.step(mine, said, std, mine["soh_efc"], mine["soh_second"], np.ones(len(rows), bool))
    mine |= {"soh_efc": np.zeros(len(rows)), "soh_second": np.zeros(len(rows))}
    new = {name: state[name].copy() for name in mine}
    for name, array in mine.items():
        new[name][rows] = array
    return state | new
