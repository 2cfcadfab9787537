"""Cell physics, one second at a time, for any number of cells at once. State in, state out; no clock.

    V = OCV(soc) + dOCV/dT (T - 25) + M h + R0 i + 2RT/F asinh(i / 2 i0) + R1 x1 + R2 x2

    i       C-rate: current / nominal capacity, positive on charge
    soc     dsoc = i dt / (3600 soh): SOC is of the *present* capacity
    h       hysteresis, one state: dh = g (sign(i) - h) |dsoc|, so it moves with charge, not with time
    x1, x2  currents through two RC pairs: dx = (i - x) dt / tau
    T       C dT = [i (V - OCV) + i T dOCV/dT - k (T - ambient)] dt: resistive and reversible heat, cooling

R0, R1, R2 and 1/i0 follow Arrhenius over temperature, curves over SOC and the resistance ratio of age; tau of
the pairs grows in the cold with R2. Ageing is an empirical law; with loss L = 1 - soh,

    dL  = speed * shape(L) * (cyclic + calendar)
    cyclic    = per throughput * |i| dt/3600 * (1 + C_RATE_AGEING (|i| - 1/3)) * arrhenius_cyclic(T) * plating
    calendar  = per year * arrhenius_calendar(T) * (0.3 + 1.4 soc)
    plating   = 1 + (10 - T) / 8 on charge below 10 degrees, else 1
    shape(L)  = 0.7 + 0.9 exp(-L / 0.03) + 8 max(0, L - knee)       fast at first, then linear, then a knee
    dR  = growth * (1.6 cyclic + 3.0 calendar) * shape * speed

Resistance grows more by calendar than by cyclic ageing, so that it does not tell capacity by itself. Each cell
has its own factors on resistance, hysteresis, cooling, fading and growth (`Parameters.draw`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from simulators.chemistry import CHEMISTRIES, GRID_LOW, GRID_POINTS, GRID_STEP, Chemistry, Float, curves

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

KELVIN = 273.15
REFERENCE_KELVIN = 298.15
THERMAL_VOLT_PER_KELVIN = 2.0 * 8.314462618 / 96_485.33212  # 2R/F: transfer coefficient one half
YEAR_SECOND = 365.25 * 86_400.0
HOUR_SECOND = 3_600.0

C_RATE_AGEING = 0.25  # extra cyclic fade per C above C/3
ACTIVATION_CYCLIC_KELVIN = 2_400.0
ACTIVATION_CALENDAR_KELVIN = 6_000.0
PLATING_BELOW_CELSIUS, PLATING_SPAN_KELVIN = 10.0, 8.0
DEAD_SOH = 0.5  # ageing ends here; the law says nothing beyond
RESISTANCE_PER_CYCLIC, RESISTANCE_PER_CALENDAR = 1.6, 3.0  # relative growth per capacity lost
RESISTANCE_PER_LOSS = 2.0  # of a cell that starts aged, its history being unknown

SPREAD = {  # standard deviation, of the logarithm, of a factor between cells of one lot
    "resistance": 0.05,
    "hysteresis": 0.10,
    "cooling": 0.15,
    "ageing": 0.15,
    "growth": 0.15,
}


@dataclass(frozen=True, slots=True)
class Parameters:
    """What makes one cell differ from the next; it does not change while the cell lives."""

    chemistry: Chemistry
    nominal_capacity_ah: float
    ageing_speed: float  # 1: real life; 100: a hundred times as fast
    resistance: Float  # [cell] factors about 1
    hysteresis: Float  # [cell]
    cooling: Float  # [cell]
    ageing: Float  # [cell]
    growth: Float  # [cell] of resistance per capacity lost
    electrode_share: Float  # [cell] `simulators.spme` alone: 0: age took lithium alone; 1: as much of both electrodes

    @classmethod
    def draw(
        cls,
        cells: int,
        seed: int,
        chemistry: str = "nca",
        nominal_capacity_ah: float | None = None,
        ageing_speed: float = 1.0,
    ) -> Parameters:
        """Draw `cells` cells of one lot; a seed gives the same lot again. ValueError: unknown chemistry."""
        if chemistry not in CHEMISTRIES:
            raise ValueError(f"no chemistry `{chemistry}`; there are {', '.join(CHEMISTRIES)}")
        kind = CHEMISTRIES[chemistry]
        rng = np.random.default_rng([seed, 1])
        factors = {name: np.exp(spread * rng.standard_normal(cells)) for name, spread in SPREAD.items()}
        share = np.random.default_rng([seed, 5]).random(cells)
        capacity = nominal_capacity_ah or kind.nominal_capacity_ah
        return cls(kind, capacity, ageing_speed, **factors, electrode_share=share)


@dataclass(frozen=True, slots=True)
class State:
    """All that a cell remembers, and what its terminals show. Every array is [cell]."""

    soc: Float  # of present capacity: 0 empty, 1 full
    soh: Float  # present / nominal capacity
    resistance_ratio: Float  # present / new
    hysteresis: Float  # -1 on the discharge branch, 1 on the charge branch
    fast_c: Float  # C-rate through the first RC pair
    slow_c: Float  # C-rate through the second
    temperature_celsius: Float
    throughput_ah: Float  # charge moved, either way
    current_ampere: Float  # during the last second
    voltage_volt: Float  # at its end
    resistance_ohm: Float  # dV/dI of a step from zero current: ohmic and charge transfer


def draw_soc(cells: int, seed: int) -> Float:
    """Draw a state of charge for each cell, evenly between 0.1 and 1."""
    return np.random.default_rng([seed, 2]).uniform(0.1, 1.0, cells)


def initial(parameters: Parameters, soc: ArrayLike, soh: ArrayLike, temperature_celsius: ArrayLike) -> State:
    """Make cells long at rest at the given SOC, SOH and temperature (each a number or [cell]).

    Raises ValueError where a SOH is not above 0.
    """
    cells = len(parameters.resistance)
    health = _per_cell(soh, cells)
    if not np.all(health > 0.0):
        raise ValueError("a cell's SOH must be above 0")
    zero = np.zeros(cells)
    at_rest = State(
        soc=_per_cell(soc, cells),
        soh=health,
        resistance_ratio=1.0 + RESISTANCE_PER_LOSS * parameters.growth * np.maximum(1.0 - health, 0.0),
        hysteresis=zero,
        fast_c=zero,
        slow_c=zero,
        temperature_celsius=_per_cell(temperature_celsius, cells),
        throughput_ah=zero,
        current_ampere=zero,
        voltage_volt=zero,
        resistance_ohm=zero,
    )
    return step(at_rest, zero, at_rest.temperature_celsius, replace(parameters, ageing_speed=0.0))


def step(state: State, current_ampere: Float, ambient_celsius: Float | float, parameters: Parameters) -> State:
    """Pass `current_ampere` [cell] (positive on charge) through every cell for one second."""
    p, kind = parameters, parameters.chemistry
    i = current_ampere / p.nominal_capacity_ah
    moved = np.abs(i) / HOUR_SECOND
    soc = state.soc + i / (HOUR_SECOND * state.soh)
    kelvin = state.temperature_celsius + KELVIN
    ocv, entropy, resistance_shape, exchange_shape = _curves_at(soc, kind)
    ocv = ocv + entropy * (kelvin - REFERENCE_KELVIN)

    coldness = 1.0 / kelvin - 1.0 / REFERENCE_KELVIN
    diffusion = np.exp(kind.activation_diffusion_kelvin * coldness)
    age = state.resistance_ratio * p.resistance
    ohmic = age * resistance_shape * (kind.ohmic_volt_per_c * np.exp(kind.activation_ohmic_kelvin * coldness))
    exchange = kind.exchange_c * exchange_shape * np.exp(-kind.activation_transfer_kelvin * coldness) / age
    thermal = THERMAL_VOLT_PER_KELVIN * kelvin
    fast = state.fast_c + (i - state.fast_c) / (1.0 + kind.fast_second * diffusion)
    slow = state.slow_c + (i - state.slow_c) / (1.0 + kind.slow_second * diffusion)
    branch = np.sign(i)
    reach = np.exp(-kind.hysteresis_per_soc * moved / state.soh)
    hysteresis = branch + (state.hysteresis - branch) * reach
    hysteresis = np.where(i == 0.0, state.hysteresis, hysteresis)

    over = (
        kind.hysteresis_volt * p.hysteresis * hysteresis
        + ohmic * i
        + thermal * np.arcsinh(i / exchange)
        + (age * resistance_shape * diffusion) * (kind.fast_volt_per_c * fast + kind.slow_volt_per_c * slow)
    )
    heat = i * over + i * kelvin * entropy
    cooling = kind.cooling_watt_per_kelvin_ah * p.cooling * (state.temperature_celsius - ambient_celsius)
    soh, resistance_ratio = _age(state, i, moved, coldness, p)
    return State(
        soc=soc,
        soh=soh,
        resistance_ratio=resistance_ratio,
        hysteresis=hysteresis,
        fast_c=fast,
        slow_c=slow,
        temperature_celsius=state.temperature_celsius + (heat - cooling) / kind.heat_joule_per_kelvin_ah,
        throughput_ah=state.throughput_ah + moved * p.nominal_capacity_ah,
        current_ampere=current_ampere,
        voltage_volt=ocv + over,
        resistance_ohm=(ohmic + thermal / exchange) / p.nominal_capacity_ah,
    )


def _curves_at(soc: Float, kind: Chemistry) -> Float:
    """Look up the four curves at each SOC, [4, cell]; straight on beyond the grid."""
    position = (soc - GRID_LOW) / GRID_STEP
    index = np.minimum(np.maximum(position, 0.0), GRID_POINTS - 1.0).astype(np.intp)
    rows = curves(kind).take(index, axis=0).T
    return np.asarray(rows[:4] + (position - index) * rows[4:])


def _age(state: State, i: Float, moved: Float, coldness: Float, p: Parameters) -> tuple[Float, Float]:
    """SOH and resistance ratio after one second of the ageing law above."""
    if p.ageing_speed == 0.0:
        return state.soh, state.resistance_ratio
    kind = p.chemistry
    loss = 1.0 - state.soh
    plating = np.maximum(PLATING_BELOW_CELSIUS - state.temperature_celsius, 0.0) * (i > 0.0) / PLATING_SPAN_KELVIN
    strain = (1.0 - C_RATE_AGEING / 3.0) + C_RATE_AGEING * np.abs(i)
    cyclic = kind.fade_per_throughput * moved * strain * np.exp(-ACTIVATION_CYCLIC_KELVIN * coldness) * (1.0 + plating)
    storage = (kind.fade_per_year / YEAR_SECOND) * (0.3 + 1.4 * state.soc)
    calendar = storage * np.exp(-ACTIVATION_CALENDAR_KELVIN * coldness)
    shape = 0.7 + 0.9 * np.exp(loss / -0.03) + 8.0 * np.maximum(loss - kind.knee, 0.0)
    pace = (p.ageing_speed * p.ageing) * shape * (state.soh > DEAD_SOH)
    grown = p.growth * pace * (RESISTANCE_PER_CYCLIC * cyclic + RESISTANCE_PER_CALENDAR * calendar)
    return state.soh - pace * (cyclic + calendar), state.resistance_ratio + grown


def _per_cell(value: ArrayLike, cells: int) -> Float:
    return np.broadcast_to(np.asarray(value, dtype=np.float64), (cells,)).copy()
