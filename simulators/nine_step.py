"""Nine-step fast charging of cells that do not exist, with what they have lost known mode by mode.

    lot = draw(cells, seed)
    aged = modes(lot, temperature_celsius, cycles)               # [cell, cycle] of each mode
    log = charge(circuit(lot, aged, temperature_celsius), cutoff_volt)

Charging is that of the set of 32 NMC811 cells at four temperatures: nine constant currents, each ending at a voltage
that is fixed for the cell when it is new, a rest, and a discharge at 1C that measures capacity. Cycles between are not
run: the modes are laid on as they would stand then,

    loss_m(n) = size_m cell_m exp(E_m / k (1 / 298 K - 1 / T)) (n / 1000)^power_m

for lithium in side reactions, active material of either electrode, and resistance (a growth). How a cell was made
shows in its first voltages, and in part in how fast it ages.

`circuit` is our own physics: two electrodes at rest (`simulators.electrodes`), and over them ohmic drop, charge
transfer and two RC pairs; `particles` is PyBaMM's (`simulators.spme`), which loses both electrodes' material alike.
Rows are cells at cycles, all advanced together, isothermal in the circuit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulators.cell import KELVIN, REFERENCE_KELVIN, THERMAL_VOLT_PER_KELVIN, Parameters
from simulators.chemistry import NCA, NMC, Float, smooth
from simulators.electrodes import Electrodes

if TYPE_CHECKING:
    from collections.abc import Callable

NOMINAL_AH = 1.1
RATES_C = (0.33, 3.0, 2.9, 2.8, 2.4, 2.0, 1.8, 1.4, 0.33)
ENDS = (0.08, 0.20, 0.30, 0.40, 0.50, 0.611, 0.711, 0.811, 0.97)  # of a new cell's charge, after each step
REST_SECOND = 1800  # of the two hours: what voltage falls by is over
DISCHARGE_C, EMPTY_VOLT = 1.0, 2.5
LONGEST_SECOND = 9000  # a charge that takes longer never ends

GRID = np.linspace(0.0, 1.0, 2001)[1:-1]
NEGATIVE = ((0.0, 1.4), (0.02, 0.55), (0.05, 0.32), (0.1, 0.22), (0.2, 0.165), (0.32, 0.128), (0.45, 0.118),
            (0.52, 0.10), (0.6, 0.088), (0.8, 0.083), (0.95, 0.07), (1.0, 0.01))  # fmt: skip
POSITIVE = ((0.0, 4.75), (0.15, 4.40), (0.24, 4.27), (0.3, 4.17), (0.4, 4.02), (0.5, 3.90), (0.6, 3.79), (0.7, 3.69),
            (0.8, 3.60), (0.9, 3.50), (0.95, 3.36), (0.98, 3.1), (1.0, 1.5))  # fmt: skip
SITES_AH, LITHIUM_AH = (1.35, 1.66), 1.57
OHMIC_VOLT_PER_C, EXCHANGE_C = 0.018, 2.5
FAST_VOLT_PER_C, FAST_SECOND = 0.006, 10.0
SLOW_VOLT_PER_C, SLOW_SECOND = 0.018, 360.0

BOLTZMANN_EV = 8.617333e-5
MODE_NAMES = ("lithium", "negative", "positive", "resistance")
SIZE = (0.12, 0.06, 0.05, 0.6)  # lost, or grown, after 1,000 cycles at 25 degrees
ACTIVATION_EV = (0.25, 0.20, 0.15, 0.30)
POWER = (0.75, 1.1, 1.2, 0.9)
OWN_SPREAD, MADE_SPREAD = 0.15, 0.12  # of the logarithm of a mode's speed: by chance, by how the cell was made
MADE = (0.015, 0.010, 0.06)  # deviation of lithium, positive sites and resistance between new cells
MOST = (0.32, 0.16, 0.12, 1.6)  # of each mode, where they are drawn without regard to each other


class Modes(NamedTuple):
    """What is lost, [cell, cycle] or [row]: shares of lithium and of both materials, growth of resistance."""

    lithium: Float
    negative: Float
    positive: Float
    resistance: Float


class Lot(NamedTuple):
    """Cells of one making."""

    made: Float  # [cell, 3] standard scores of lithium, positive sites, resistance
    speed: Float  # [cell, 4] factors of the modes


class Log(NamedTuple):
    """One charge and the rest after it, for each row."""

    voltage_volt: Float  # [second, row]
    c_rate: Float  # [second, row] of the second that ends there
    step: Float  # [second, row] 0 to 8, 9: rest
    capacity_ah: Float  # [row] of the discharge that follows


class Rows(NamedTuple):
    """Cells to be charged: a state of theirs, and what brings it a second further."""

    state: object
    advance: Callable[[object, Float], tuple[object, Float]]  # state, C-rate [row] -> state, volt [row]
    rows: int
    slow_capacity_ah: Float  # [row] between the voltage limits at no current


def draw(cells: int, seed: int) -> Lot:
    """Draw cells; a seed gives the same again."""
    rng = np.random.default_rng([seed, 9])
    made = rng.standard_normal((cells, 3))
    by_make = np.stack([-made[:, 0], made[:, 2], -made[:, 1], made[:, 2]], axis=1)
    return Lot(made, np.exp(MADE_SPREAD * by_make + OWN_SPREAD * rng.standard_normal((cells, 4))))


def modes(lot: Lot, temperature_celsius: float, cycle: Float) -> Modes:
    """Say what each cell has lost at each cycle: arrays [cell, cycle]."""
    warmth = 1.0 / REFERENCE_KELVIN - 1.0 / (temperature_celsius + KELVIN)
    return Modes(
        *(
            size * factor[:, None] * np.exp(activation / BOLTZMANN_EV * warmth) * (cycle[None] / 1000.0) ** power
            for size, factor, activation, power in zip(SIZE, lot.speed.T, ACTIVATION_EV, POWER, strict=True)
        )
    )


def unrelated_modes(lot: Lot, seed: int) -> Modes:
    """Draw modes that have nothing to do with each other: arrays [cell, 2], new and aged.

    What is learnt from such cells tells one mode from another, and not how far along a usual life a cell is.
    """
    rng = np.random.default_rng([seed, 10])
    cells = len(lot.made)
    return Modes(*(np.column_stack([np.zeros(cells), rng.uniform(0.0, most, cells)]) for most in MOST))


@dataclass(frozen=True, slots=True)
class Circuit:
    """State of the circuit's rows, and what they are made of. Every array is [row]."""

    negative: Float  # stoichiometry
    fast_c: Float
    slow_c: Float
    sites_ah: tuple[Float, Float]
    lithium_ah: Float
    ohmic: Float  # volt per C
    exchange: Float  # C
    slow: Float  # volt per C
    slow_second: float
    thermal_volt: float


def circuit(lot: Lot, aged: Modes, temperature_celsius: float) -> Rows:
    """Make empty cells at rest, a row for each of [cell, cycle] in `aged`, cycles of a cell together."""
    lithium, negative, positive, grown = (np.ravel(mode) for mode in aged)
    made = np.repeat(lot.made, aged.lithium.shape[1], axis=0) * MADE
    sites = SITES_AH[0] * (1.0 - negative), SITES_AH[1] * (1.0 + made[:, 1]) * (1.0 - positive)
    pair = Electrodes(
        grid=GRID,
        volt=(smooth(NEGATIVE, GRID), smooth(POSITIVE, GRID)),
        limits_volt=(NMC.voltage_min_volt, NMC.voltage_max_volt),
        sites_ah=sites,
        lithium_ah=LITHIUM_AH * (1.0 + made[:, 0]) * (1.0 - lithium),
    )
    coldness = 1.0 / (temperature_celsius + KELVIN) - 1.0 / REFERENCE_KELVIN
    resistance = np.exp(made[:, 2]) * (1.0 + grown)
    diffusion = float(np.exp(NMC.activation_diffusion_kelvin * coldness))
    area = (1.0 - negative) * (1.0 - positive)
    state = Circuit(
        negative=pair.window()[0],
        fast_c=np.zeros_like(lithium),
        slow_c=np.zeros_like(lithium),
        sites_ah=sites,
        lithium_ah=pair.lithium_ah,
        ohmic=OHMIC_VOLT_PER_C * resistance * np.exp(NMC.activation_ohmic_kelvin * coldness),
        exchange=EXCHANGE_C * area * np.exp(-NMC.activation_transfer_kelvin * coldness) / np.sqrt(resistance),
        slow=SLOW_VOLT_PER_C * diffusion / (1.0 - negative),
        slow_second=SLOW_SECOND * diffusion,
        thermal_volt=THERMAL_VOLT_PER_KELVIN * (temperature_celsius + KELVIN),
    )
    return Rows(state, lambda s, c: _pass(s, c, pair), len(lithium), pair.capacity())  # type: ignore[arg-type]


def _pass(s: Circuit, c_rate: Float, pair: Electrodes) -> tuple[Circuit, Float]:
    """Bring the circuit a second further."""
    negative = s.negative + c_rate * NOMINAL_AH / 3600.0 / s.sites_ah[0]
    fast = s.fast_c + (c_rate - s.fast_c) / (1.0 + FAST_SECOND)
    slow = s.slow_c + (c_rate - s.slow_c) / (1.0 + s.slow_second)
    positive = (s.lithium_ah - negative * s.sites_ah[0]) / s.sites_ah[1]
    rest = np.interp(positive, GRID, pair.volt[1]) - np.interp(negative, GRID, pair.volt[0])
    over = s.ohmic * c_rate + s.thermal_volt * np.arcsinh(c_rate / s.exchange)
    over += FAST_VOLT_PER_C * fast + s.slow * slow
    return replace(s, negative=negative, fast_c=fast, slow_c=slow), rest + over


def particles(soh: Float, material_share: Float, resistance: Float, temperature_celsius: float) -> tuple[Rows, Modes]:
    """Make empty cells of PyBaMM's physics, and say what they have lost; all [row].

    `soh` of the slow capacity is left; `material_share` of the lithium lost is lost of both materials too;
    `resistance` is that of the contacts, 1 for a new cell, to which lost capacity adds.
    Raises ModuleNotFoundError without PyBaMM.
    """
    from simulators import spme

    one = np.ones_like(soh)
    parameters = Parameters(NCA, NOMINAL_AH, 1.0, resistance, one, one, one, one, material_share)
    state = spme.initial(parameters, 0.0 * one, soh, temperature_celsius)
    new = spme.initial(parameters, 0.0 * one, one, temperature_celsius)

    def column(name: str, of: spme.State) -> Float:
        return np.asarray(of.inputs[:, spme.INPUTS.index(name)])

    lost = [1.0 - column(name, state) / column(name, new) for name in spme.MATERIAL]
    lithium = lost[0] / np.maximum(material_share, 1e-9)
    grown = column("Contact resistance [Ohm]", state) / column("Contact resistance [Ohm]", new)
    celsius = np.full(len(soh), temperature_celsius)

    def advance(s: object, c_rate: Float) -> tuple[object, Float]:
        assert isinstance(s, spme.State)
        after = spme.step(s, c_rate * NOMINAL_AH, celsius, parameters)
        return after, after.voltage_volt

    truth = Modes(lithium, lost[0], lost[1], grown * resistance - 1.0)
    return Rows(state, advance, len(soh), soh * NOMINAL_AH), truth


def cutoffs(new: Rows) -> Float:
    """Find the voltages [row, 9] at which the steps of a new cell end: where it holds the planned charge."""
    found = np.zeros((new.rows, len(RATES_C)))
    state = new.state
    charged = 0.0
    for k, (rate, end) in enumerate(zip(RATES_C, ENDS, strict=True)):
        for _ in range(round((end - charged) * 3600.0 / rate)):
            state, volt = new.advance(state, np.full(new.rows, rate))
        found[:, k] = volt
        charged = end
    return found


def charge(rows: Rows, cutoff_volt: Float) -> Log:
    """Charge by cutoff_volt [row, 9], rest, discharge. Raises ValueError where a step never ends."""
    state, index = rows.state, np.arange(rows.rows)
    step, rested = np.zeros(rows.rows, int), 0
    rates, limits = np.array([*RATES_C, 0.0]), np.column_stack([cutoff_volt, np.full(rows.rows, np.inf)])
    volts, currents, steps = [], [], []
    while rested < REST_SECOND:
        state, volt = rows.advance(state, rates[step])
        volts.append(volt)
        currents.append(rates[step])
        steps.append(step)
        rested += bool((step == len(RATES_C)).all())
        step = step + (volt >= limits[index, step])
        if len(volts) > LONGEST_SECOND:
            raise ValueError(f"step {int(step.min()) + 1} of a charge does not end")
    return Log(np.array(volts), np.array(currents), np.array(steps), _discharge(rows, state))


def _discharge(rows: Rows, state: object) -> Float:
    """Measure capacity [row] in Ah, from where a row stands to `EMPTY_VOLT`."""
    going, capacity, before = np.ones(rows.rows, bool), np.zeros(rows.rows), np.full(rows.rows, NMC.voltage_max_volt)
    each = DISCHARGE_C * NOMINAL_AH / 3600.0
    while going.any():
        state, volt = rows.advance(state, np.where(going, -DISCHARGE_C, 0.0))
        part = np.clip((before - EMPTY_VOLT) / np.maximum(before - volt, 1e-9), 0.0, 1.0)
        capacity += going * each * np.where(volt > EMPTY_VOLT, 1.0, part)
        going &= volt > EMPTY_VOLT
        before = volt
    return capacity
