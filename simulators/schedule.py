"""What the cells are made to do: FUDS random pulses, rests and CC-CV charges, one second at a time.

    plan = begin(cells, seed, soc, profile)
    plan, current_ampere = command(plan, state, parameters, profile)      # for the second to come

Random pulses (Kellner et al. 2018, as Yao, Neupert, Kowal 2024 used them): the FUDS current is cut into short
pieces, and pieces drawn at random are set one after another until a drawn share of the charge is out. Each
cycle is

    discharge   pieces of one drawn intensity, to the drawn depth or the lower voltage limit
    rest        of drawn length
    charge      constant current of drawn rate, held at the upper voltage limit until the current tapered off
    rest        of drawn length

Every cell has its own random stream, so its schedule depends on the seed and its number alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from simulators.road import fuds_c_rate

if TYPE_CHECKING:
    from simulators.cell import Parameters, State
    from simulators.chemistry import Float

Int = NDArray[np.int64]
Bool = NDArray[np.bool_]
UInt64 = NDArray[np.uint64]
T = TypeVar("T", bound=np.generic)

DISCHARGE, REST, CHARGE, REST_FULL = range(4)
FULL_SOC = 0.95  # a cell that starts above begins with a discharge
TAPER_MARGIN_VOLT = 0.005  # so near the upper limit, a small current ends the charge
DRIVING_C = -0.05  # below, the car drives: pieces are cut where it pulls away or comes out of coasting
SHORTEST_PIECE_SECOND = 10


@dataclass(frozen=True, slots=True)
class Profile:
    """What may be drawn; pairs are the ends of a uniform draw."""

    depth_of_discharge: tuple[float, ...] = (0.25, 0.50, 0.75, 0.80, 0.95)  # the depths of the paper
    intensity: tuple[float, float] = (0.6, 1.2)  # times the FUDS current
    rest_second: tuple[float, float] = (600.0, 3_600.0)
    charge_c_rate: tuple[float, float] = (0.3, 0.8)
    taper_c_rate: float = 0.05  # the charge ends here


@dataclass(frozen=True, slots=True)
class Plan:
    """Where each cell stands in its schedule. Every array is [cell]."""

    phase: Int  # DISCHARGE, REST, CHARGE or REST_FULL
    phase_second: Int  # spent in it
    random: UInt64  # the cell's random stream (splitmix64)
    target_soc: Float  # a discharge ends here
    intensity: Float
    charge_c: Float
    rest_second: Float
    cursor: Int  # second of the FUDS trace
    piece_end: Int


def begin(cells: int, seed: int, soc: Float, profile: Profile) -> Plan:
    """Put every cell at rest for a drawn share of a rest; then a full one discharges, others do either."""
    numbers = np.arange(cells, dtype=np.uint64)
    random = _mix(_mix(np.full_like(numbers, seed % 2**64) + _GOLDEN) + numbers)
    zero = np.zeros(cells, dtype=np.int64)
    blank = np.zeros(cells)
    plan = Plan(zero, zero, random, blank, blank, blank, blank, zero, zero)
    random, first = _uniform(random)
    phase = np.where((first < 0.5) | (soc > FULL_SOC), REST_FULL, REST)
    random, share = _uniform(random)
    return replace(plan, phase=phase, random=random, rest_second=share * profile.rest_second[1])


def command(plan: Plan, state: State, parameters: Parameters, profile: Profile) -> tuple[Plan, Float]:
    """Decide every cell's current for the next second from what its terminals show, and move its plan on.

    The upper voltage limit always holds: the current is raised at most by what the cell's steepest resistance
    allows, so that it settles on the limit from below (the CV phase; also regeneration near full).
    """
    kind, capacity = parameters.chemistry, parameters.nominal_capacity_ah
    plan = _turn(plan, _finished(plan, state, parameters, profile), state, profile)
    plan = _next_piece(plan)
    driving = plan.phase == DISCHARGE
    wanted = np.where(driving, fuds_c_rate()[plan.cursor] * plan.intensity, plan.charge_c * (plan.phase == CHARGE))
    headroom = state.current_ampere + (kind.voltage_max_volt - state.voltage_volt) / state.resistance_ohm
    current = np.minimum(wanted * capacity, np.maximum(headroom, 0.0))
    return replace(plan, phase_second=plan.phase_second + 1, cursor=plan.cursor + driving), current


@cache
def pieces() -> Int:
    """Where the FUDS trace is cut: piece k is [pieces[k], pieces[k + 1]), from pulling away to the next time."""
    driving = fuds_c_rate() <= DRIVING_C
    starts = np.flatnonzero(driving[1:] & ~driving[:-1]) + 1
    cuts = [0]
    for start in starts:
        if start - cuts[-1] >= SHORTEST_PIECE_SECOND:
            cuts.append(int(start))
    return np.array([*cuts, len(driving)], dtype=np.int64)


def _finished(plan: Plan, state: State, parameters: Parameters, profile: Profile) -> Bool:
    """Tell which cells are through with their phase."""
    kind = parameters.chemistry
    empty = (state.voltage_volt <= kind.voltage_min_volt) | (state.soc <= plan.target_soc)
    tapered = state.current_ampere <= profile.taper_c_rate * parameters.nominal_capacity_ah
    full = tapered & (state.voltage_volt >= kind.voltage_max_volt - TAPER_MARGIN_VOLT) & (plan.phase_second > 0)
    rested = plan.phase_second >= plan.rest_second
    return np.where(plan.phase == DISCHARGE, empty, np.where(plan.phase == CHARGE, full, rested))


def _turn(plan: Plan, finished: Bool, state: State, profile: Profile) -> Plan:
    """Bring finished cells into their next phase, with a new draw of everything."""
    if not finished.any():
        return plan
    who = np.flatnonzero(finished)
    random, depth = _uniform(plan.random[who])
    random, intensity = _uniform(random)
    random, charge = _uniform(random)
    random, rest = _uniform(random)
    depths = np.array(profile.depth_of_discharge)
    return replace(
        plan,
        phase=_with(plan.phase, who, (plan.phase[who] + 1) % 4),
        phase_second=_with(plan.phase_second, who, 0),
        random=_with(plan.random, who, random),
        target_soc=_with(plan.target_soc, who, state.soc[who] - depths[(depth * len(depths)).astype(np.int64)]),
        intensity=_with(plan.intensity, who, _between(profile.intensity, intensity)),
        charge_c=_with(plan.charge_c, who, _between(profile.charge_c_rate, charge)),
        rest_second=_with(plan.rest_second, who, _between(profile.rest_second, rest)),
        piece_end=_with(plan.piece_end, who, 0),
    )


def _next_piece(plan: Plan) -> Plan:
    """Draw a new piece for every discharging cell that has driven its last one to the end."""
    who = np.flatnonzero((plan.phase == DISCHARGE) & (plan.cursor >= plan.piece_end))
    if not len(who):
        return plan
    random, draw = _uniform(plan.random[who])
    cuts = pieces()
    piece = (draw * (len(cuts) - 1)).astype(np.int64)
    return replace(
        plan,
        random=_with(plan.random, who, random),
        cursor=_with(plan.cursor, who, cuts[piece]),
        piece_end=_with(plan.piece_end, who, cuts[piece + 1]),
    )


def _with(array: NDArray[T], who: Int, values: NDArray[T] | int) -> NDArray[T]:
    changed = array.copy()
    changed[who] = values
    return changed


def _between(ends: tuple[float, float], share: Float) -> Float:
    return ends[0] + (ends[1] - ends[0]) * share


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _uniform(random: UInt64) -> tuple[UInt64, Float]:
    """Draw from [0, 1) once per stream (splitmix64, Steele, Lea, Flood 2014)."""
    random = random + _GOLDEN
    return random, (_mix(random) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(x: UInt64) -> UInt64:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
