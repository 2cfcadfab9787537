"""A whole simulation in one call: what the terminals showed each second, and the truth beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulators import physics as kinds
from simulators import schedule
from simulators.cell import State, draw_soc
from simulators.schedule import Profile

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Float32 = NDArray[np.float32]
BLOCK_SECOND = 1_024  # recorded second by second, turned round block by block: the answer is [cell, second]


@dataclass(frozen=True, slots=True)
class Recording:
    """Every array is [cell, second]. Second k covers [k, k + 1): the current through it, all else at its end."""

    chemistry: str
    nominal_capacity_ah: float
    voltage_volt: Float32
    current_ampere: Float32  # positive on charge
    temperature_celsius: Float32
    soc: Float32  # true, of present capacity
    soh: Float32  # true


def simulate(
    cells: int,
    seconds: int,
    seed: int = 0,
    *,
    chemistry: str = "nca",
    nominal_capacity_ah: float | None = None,
    ambient_temperature_celsius: ArrayLike = 25.0,
    depth_of_discharge: tuple[float, ...] | None = None,
    initial_soc: ArrayLike | None = None,
    initial_soh: ArrayLike = 1.0,
    ageing_speed: float = 1.0,
    profile: Profile | None = None,
    physics: str = "circuit",
) -> Recording:
    """Drive `cells` cells of one lot through FUDS random-pulse cycles for `seconds` seconds.

    Ambient temperature, initial SOC (None: drawn between 0.1 and 1) and SOH are a number or [cell]. The depths
    of discharge that are drawn from stand in for those of `profile`. The same arguments give the same bits.
    Raises ValueError for an unknown chemistry or physics, ModuleNotFoundError where the physics is not installed.
    """
    profile = profile or Profile()
    if depth_of_discharge is not None:
        profile = replace(profile, depth_of_discharge=depth_of_discharge)
    draw, initial, step = kinds.named(physics)
    parameters = draw(cells, seed, chemistry, nominal_capacity_ah, ageing_speed)
    ambient = np.broadcast_to(np.asarray(ambient_temperature_celsius, dtype=np.float64), (cells,))
    start_soc = draw_soc(cells, seed) if initial_soc is None else initial_soc
    state = initial(parameters, start_soc, initial_soh, ambient)
    plan = schedule.begin(cells, seed, state.soc, profile)
    shown = np.empty((5, cells, seconds), dtype=np.float32)
    for begin in range(0, seconds, BLOCK_SECOND):
        block = np.empty((min(BLOCK_SECOND, seconds - begin), 5, cells))
        for row in block:
            plan, current = schedule.command(plan, state, parameters, profile)
            state = step(state, current, ambient, parameters)
            row[:] = _shown(state)
        shown[:, :, begin : begin + len(block)] = block.transpose(1, 2, 0)
    return Recording(parameters.chemistry.name, parameters.nominal_capacity_ah, *shown)


def _shown(state: State) -> tuple[NDArray[np.float64], ...]:
    return state.voltage_volt, state.current_ampere, state.temperature_celsius, state.soc, state.soh
