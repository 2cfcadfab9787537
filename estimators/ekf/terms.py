"""A recording of known SOC -> the circuit's inner states in each of its rows, and what its tables are multiplied by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from estimators.cell_type import Tables
    from estimators.contract import Float

HOLE_SECOND = 120.0  # a longer pause between rows is a hole: the label says what has flowed in it


@dataclass(frozen=True, slots=True)
class Run:
    """A recording of one cell whose SOC is known; rows in order of time, each held until the next."""

    name: str
    test_time_second: Float  # [row]
    voltage_volt: Float  # [row]
    current_ampere: Float  # [row] positive on charge
    temperature_celsius: Float  # [row]
    soc: Float  # [row] nominal SOC, as if the cell's SOH were the reference (see `Tables`)
    capacity_ah: float  # what one unit of `soc` holds: the nominal capacity, where the SOH is the reference
    hysteresis: float = 0.0  # h before the first row: 1 after a full charge, -1 after a full discharge
    weight: float = 1.0  # less for a test that shall only help where no other run has been


class Choice(NamedTuple):
    """What is chosen before the tables are solved for."""

    rc_second: tuple[float, float]
    charge_transfer_ampere: float
    hysteresis_per_soc: float = 0.0  # 0: no hysteresis

    @classmethod
    def of(cls, tables: Tables) -> Choice:
        """Take it from tables, as far as they tell."""
        tau_1, tau_2 = tables.rc_second.tolist()
        per_soc = float(tables.hysteresis_per_soc[0]) if tables.hysteresis_volt.any() else 0.0
        return cls((tau_1, tau_2), float(tables.charge_transfer_ampere[0]), per_soc)

    def __str__(self) -> str:
        tau_1, tau_2 = self.rc_second
        hysteresis = f"g {self.hysteresis_per_soc:g}" if self.hysteresis_per_soc else "no hysteresis"
        return f"tau {tau_1:g} s, {tau_2:g} s, i0 {self.charge_transfer_ampere:.3g} A, {hysteresis}"


class Inner(NamedTuple):
    """What the circuit remembers, one second into each row's hold, when its voltage is taken; every array is [row]."""

    rc_1_ampere: Float
    rc_2_ampere: Float
    hysteresis: Float  # between the branches, -1 to 1


def inner(run: Run, choice: Choice) -> Inner:
    """Follow the circuit through a run that begins after a long rest."""
    branch = _branch(run, choice.hysteresis_per_soc) if choice.hysteresis_per_soc else np.zeros_like(run.current_ampere)
    fast, slow = (_filtered(run, tau) for tau in choice.rc_second)
    return Inner(fast, slow, branch)


def terms(run: Run, choice: Choice) -> list[Float]:
    """Give what the tables of OCV, R0, b, R1, R2, M are multiplied by in each row."""
    current = run.current_ampere
    return [np.ones_like(current), current, np.arcsinh(current / choice.charge_transfer_ampere), *inner(run, choice)]


def _holds(run: Run) -> tuple[Float, Float]:
    """Seconds that each row is held, and the current after the first of them: in a hole, what the label says."""
    hold = np.diff(run.test_time_second, append=run.test_time_second[-1] + 1.0)
    rest_of_hold = run.current_ampere.copy()
    hole = hold > HOLE_SECOND
    hole[-1] = False
    charge_ah = np.diff(run.soc, append=run.soc[-1]) * run.capacity_ah
    rest_of_hold[hole] = charge_ah[hole] * 3600.0 / hold[hole]
    return hold, rest_of_hold


def _filtered(run: Run, tau: float) -> Float:
    """Filter the current by dx/dt = (I - x) / tau; x one second into each row's hold, when its voltage is taken."""
    hold, rest_of_hold = _holds(run)
    first = -np.expm1(-np.minimum(hold, 1.0) / tau)
    later = -np.expm1(-np.maximum(hold - 1.0, 0.0) / tau)
    filtered, x = np.empty_like(run.current_ampere), 0.0
    steps = zip(run.current_ampere.tolist(), rest_of_hold.tolist(), first.tolist(), later.tolist(), strict=True)
    for row, (begin, rest, share, share_later) in enumerate(steps):
        x += share * (begin - x)
        filtered[row] = x
        x += share_later * (rest - x)
    return filtered


def _branch(run: Run, per_soc: float) -> Float:
    """Follow h by dh = g (sign(I) - h) |dsoc|; h one second into each row's hold, when its voltage is taken."""
    hold, rest_of_hold = _holds(run)
    moved = np.stack([run.current_ampere * np.minimum(hold, 1.0), rest_of_hold * np.maximum(hold - 1.0, 0.0)], axis=1)
    kept = np.exp(-per_soc / (3600.0 * run.capacity_ah) * np.abs(moved))
    branch, h = np.empty_like(run.current_ampere), run.hysteresis
    steps = zip(np.sign(moved).tolist(), kept.tolist(), strict=True)
    for row, ((begin, rest), (kept_first, kept_later)) in enumerate(steps):
        h = begin + (h - begin) * kept_first
        branch[row] = h
        h = rest + (h - rest) * kept_later
    return branch
