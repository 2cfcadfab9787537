"""A second physics for the same schedules: PyBaMM's single particle model with electrolyte (SPMe), with lumped heat.

    parameters = Parameters.draw(cells, seed, "nmc")
    state = initial(parameters, soc, soh, temperature_celsius)
    state = step(state, current_ampere, ambient_celsius, parameters)       # as in `simulators.cell`

What an estimator learnt from `simulators.cell` is judged here by particles, electrolyte and electrode potentials
(Marquis et al. 2019; parameter sets of Kim 2011, Chen 2020, Prada 2013) that share nothing with it. PyBaMM
discretises the equations dx/dt = f(x, I); we step them by linearly implicit Euler, all cells at once,

    x(t + 1) = x(t) + (1 - J)^-1 f(x(t), I),       J = df/dx, made anew every `JACOBIAN_SECOND`

Currents are scaled by capacity, so a set serves a cell of any size. Age enters as it is given and stays: lithium
lost in side reactions, and with it, by a share drawn for each cell, active material of both electrodes, so that
the slow discharge between the two voltage limits gives SOH times that of a new cell; contacts grow worse. Of what
makes one cell differ from the next, hysteresis, fading and growth do nothing here.
Needs PyBaMM: `pip install 'bmsd[train]'`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from simulators import cell
from simulators.cell import HOUR_SECOND, KELVIN, Parameters, draw_soc
from simulators.electrodes import Electrodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import ArrayLike

    from simulators.chemistry import Chemistry, Float

__all__ = ["Parameters", "State", "draw_soc", "initial", "step"]

T = TypeVar("T")

SETS = {"nca": "NCA_Kim2011", "nmc": "Chen2020", "lfp": "Prada2013"}
HEAT_SET = "Chen2020"  # lends what a set lacks of heat: densities, heat capacities, collectors, the can
POINTS = {"x_n": 8, "x_s": 6, "x_p": 8, "r_n": 20, "r_p": 20}
JACOBIAN_SECOND = 300
CONTACT_VOLT_PER_C, CONTACT_VOLT_PER_C_LOST = 0.01, 0.2  # of a new cell, and more per SOH lost
GRID_POINTS = 4_001  # of the electrodes' open-circuit curves

MATERIAL = tuple(f"{side} electrode active material volume fraction" for side in ("Negative", "Positive"))
LITHIUM = tuple(f"Initial concentration in {side} electrode [mol.m-3]" for side in ("negative", "positive"))
INPUTS = (  # rows of what PyBaMM's functions take beside the state
    "Current function [A]",
    "Ambient temperature [K]",
    "Initial temperature [K]",
    "Contact resistance [Ohm]",
    "Total heat transfer coefficient [W.m-2.K-1]",
    *MATERIAL,
    *LITHIUM,
)
SHOWN = ("Voltage [V]", "Volume-averaged cell temperature [K]")


@dataclass(frozen=True, slots=True)
class State(cell.State):
    """What the terminals show, and PyBaMM's own state beside it."""

    inner: Float  # [cell, x] concentrations and temperature
    inputs: Float  # [cell, input]
    implicit: Float  # [cell, x, x] (1 - J)^-1
    implicit_second: int  # how long it serves already


def initial(parameters: Parameters, soc: ArrayLike, soh: ArrayLike, temperature_celsius: ArrayLike) -> State:
    """Make cells long at rest at the given SOC, SOH and temperature (each a number or [cell]).

    Raises ValueError where a SOH is not above 0.5 or is above 1, and for a speed of ageing other than 1: these cells do
    not age. ModuleNotFoundError without PyBaMM.
    """
    if parameters.ageing_speed != 1.0:
        raise ValueError("cells of the physics `spme` keep the SOH that they start with: leave the ageing speed")
    kind, share = parameters.chemistry, parameters.electrode_share
    charge, health, celsius = (
        np.broadcast_to(np.asarray(v, float), share.shape) for v in (soc, soh, temperature_celsius)
    )
    if not np.all((health > cell.DEAD_SOH) & (health <= 1.0)):
        raise ValueError(f"the SOH of a cell of the physics `spme` must be above {cell.DEAD_SOH}, and not above 1")
    physics = _physics(kind)
    pair = physics.electrodes.aged(health, share)
    empty, full = pair.window()
    negative = empty + charge * (full - empty)
    contact = CONTACT_VOLT_PER_C * parameters.resistance + CONTACT_VOLT_PER_C_LOST * (1.0 - health)
    cooling = kind.cooling_watt_per_kelvin_ah * parameters.cooling * physics.capacity_ah
    rows = (
        np.zeros_like(charge),
        celsius + KELVIN,
        celsius + KELVIN,
        contact / physics.capacity_ah,
        cooling / physics.cooling_square_metre,
        *(pair.active * fraction for fraction in physics.active_fraction),
        negative * physics.most_lithium[0],
        pair.positive(negative) * physics.most_lithium[1],
    )
    inputs = np.stack(rows, axis=1)
    inner = physics.start(inputs.T)[:, :, 0]
    zero = np.zeros_like(charge)
    at_rest = State(
        soc=charge,
        soh=health,
        resistance_ratio=contact / CONTACT_VOLT_PER_C,
        hysteresis=zero,
        fast_c=zero,
        slow_c=zero,
        temperature_celsius=celsius,
        throughput_ah=zero,
        current_ampere=zero,
        voltage_volt=zero,
        resistance_ohm=zero,
        inner=inner,
        inputs=inputs,
        implicit=np.zeros((*inner.shape, inner.shape[1])),
        implicit_second=JACOBIAN_SECOND,
    )
    return step(at_rest, zero, celsius, parameters)


def step(state: State, current_ampere: Float, ambient_celsius: Float | float, parameters: Parameters) -> State:
    """Pass `current_ampere` [cell] (positive on charge) through every cell for one second."""
    physics = _physics(parameters.chemistry)
    i = current_ampere / parameters.nominal_capacity_ah
    inputs = state.inputs.copy()
    inputs[:, 0] = -i * physics.capacity_ah  # PyBaMM's current is positive on discharge
    inputs[:, 1] = ambient_celsius + KELVIN
    implicit, age = state.implicit, state.implicit_second
    if age >= JACOBIAN_SECOND:
        slope = physics.jacobian(state.inner.T, inputs.T)
        implicit, age = np.asarray(np.linalg.inv(np.eye(slope.shape[1]) - slope)), 0
    change = physics.change(state.inner.T, inputs.T)
    inner = state.inner + np.matmul(implicit, change)[:, :, 0]
    volt, kelvin, ohm = physics.shown(inner.T, inputs.T)[:, :, 0].T
    moved = np.abs(i) / HOUR_SECOND
    return replace(
        state,
        soc=state.soc + i / (HOUR_SECOND * state.soh),
        temperature_celsius=kelvin - KELVIN,
        throughput_ah=state.throughput_ah + moved * parameters.nominal_capacity_ah,
        current_ampere=current_ampere,
        voltage_volt=volt,
        resistance_ohm=-ohm * physics.capacity_ah / parameters.nominal_capacity_ah,
        inner=inner,
        inputs=inputs,
        implicit=implicit,
        implicit_second=age + 1,
    )


class _Physics(NamedTuple):
    """PyBaMM's functions of one parameter set, over many cells: columns in, [cell, row, column] out."""

    electrodes: Electrodes
    capacity_ah: float  # new
    cooling_square_metre: float
    active_fraction: tuple[float, float]
    most_lithium: tuple[float, float]  # mol per cubic metre
    start: Callable[[Float], Float]
    change: Callable[[Float, Float], Float]
    jacobian: Callable[[Float, Float], Float]
    shown: Callable[[Float, Float], Float]  # volt, kelvin, ohm of the set's own cell


@cache
def _physics(kind: Chemistry) -> _Physics:
    """Build the model. PyBaMM is told to send nothing home."""
    os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")
    import casadi
    import pybamm

    values = pybamm.ParameterValues(SETS[kind.name])
    lent = pybamm.ParameterValues(HEAT_SET)
    values.update({key: lent[key] for key in lent if key not in values}, check_already_exists=False)
    symbols = pybamm.LithiumIonParameters()
    sides = (symbols.n.prim, symbols.p.prim)
    grid = np.linspace(0.0, 1.0, GRID_POINTS)[1:-1]
    electrodes = Electrodes(
        grid=grid,
        volt=_pair(values.process_symbol(s.U(pybamm.Vector(grid), symbols.T_ref)).evaluate()[:, 0] for s in sides),
        limits_volt=(kind.voltage_min_volt, kind.voltage_max_volt),
        sites_ah=_pair(np.full(1, values.evaluate(s.Q_init)) for s in sides),
        lithium_ah=np.full(1, values.evaluate(symbols.Q_Li_particles_init)),
    )
    active_fraction = _pair(float(values[name]) for name in MATERIAL)
    most_lithium = _pair(float(values.evaluate(s.c_max)) for s in sides)
    area = float(values["Cell cooling surface area [m2]"])
    values.update(dict.fromkeys(INPUTS, "[input]"), check_already_exists=False)
    model = pybamm.lithium_ion.SPMe({"thermal": "lumped", "contact resistance": "true"})
    geometry = model.default_geometry
    values.process_model(model)
    values.process_geometry(geometry)
    mesh = pybamm.Mesh(geometry, model.default_submesh_types, POINTS)
    pybamm.Discretisation(mesh, model.default_spatial_methods).process_model(model)
    out = model.export_casadi_objects(list(SHOWN), input_parameter_order=list(INPUTS))
    x, inputs, volt = out["x"], out["inputs"], out["variables"][SHOWN[0]]
    shown = casadi.vertcat(volt, out["variables"][SHOWN[1]], casadi.jacobian(volt, inputs)[0])
    given = [x, inputs]
    return _Physics(
        electrodes,
        float(electrodes.capacity()[0]),
        area,
        active_fraction,
        most_lithium,
        start=_over_cells(casadi.Function("start", [inputs], [out["x0"]])),
        change=_over_cells(casadi.Function("change", given, [out["rhs"]])),
        jacobian=_over_cells(casadi.Function("jacobian", given, [casadi.densify(out["jac_rhs"])])),
        shown=_over_cells(casadi.Function("shown", given, [shown])),
    )


def _over_cells(function: Any) -> Callable[..., Float]:  # noqa: ANN401 - a casadi.Function, it has no types
    """Call a function of columns for many cells at once: arrays [value, cell] in, [cell, row, column] out."""
    rows, columns = function.size_out(0)

    def call(*arrays: Float) -> Float:
        cells = arrays[0].shape[1]
        out = np.asarray(function.map(cells)(*arrays))
        return out.reshape(rows, cells, columns).transpose(1, 0, 2)

    return call


def _pair(two: Iterable[T]) -> tuple[T, T]:
    first, second = two
    return first, second
