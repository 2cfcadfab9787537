"""Simulated nine-step charges as features, capacities and losses, and the ridges that learn from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from estimators.early_life.features import NAMES, in_cycle
from estimators.early_life.process import Cells
from estimators.early_life.train import train_modes
from simulators import nine_step
from simulators.nine_step import NOMINAL_AH, Modes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from estimators.contract import Float
    from estimators.early_life.process import Cells
    from estimators.regression.regression import Regression

TEMPERATURES = (25.0, 35.0, 45.0, 55.0)
NOISE_VOLT = 5e-4
READINGS = 5  # charges in a row whose features are averaged


class Looked(NamedTuple):
    """Cells of one temperature, and what they have lost."""

    cells: Cells
    lost: Float  # [cell, look, mode]


def look(lot: nine_step.Lot, temperature_celsius: float, aged: Modes, cycle: Float, seed: int) -> Looked:
    """Charge cells as they stand at each of [cell, look] in `aged`, and read features and capacity."""
    cells, looks = aged.lithium.shape
    new = nine_step.circuit(lot, Modes(*(mode[:, :1] * 0 for mode in aged)), temperature_celsius)
    cutoff_volt = nine_step.cutoffs(new)
    rows = nine_step.circuit(lot, aged, temperature_celsius)
    log = nine_step.charge(rows, np.repeat(cutoff_volt, looks, axis=0))
    features = read(log, seed).reshape(cells, looks, len(NAMES))
    capacity_ah = log.capacity_ah.reshape(cells, looks)
    slow = 1.0 - (rows.slow_capacity_ah / np.repeat(new.slow_capacity_ah, looks)).reshape(cells, looks)
    lost = np.stack([*aged, slow, 1.0 - capacity_ah / capacity_ah[:, :1] - slow], axis=2)
    return Looked(Cells(temperature_celsius, cutoff_volt, cycle, features, capacity_ah), lost)


def read(log: nine_step.Log, seed: int) -> Float:
    """Give the features [row, 42], each a mean of some charges in a row, read with noise."""
    rng = np.random.default_rng([seed, 11])
    second = np.arange(len(log.voltage_volt), dtype=np.float64)
    found = []
    for volt, c_rate in zip(log.voltage_volt.T, log.c_rate.T, strict=True):
        seen = [in_cycle(second, volt + rng.normal(0.0, NOISE_VOLT, len(volt)), c_rate * NOMINAL_AH)
                for _ in range(READINGS)]  # fmt: skip
        found.append(np.mean([f for f in seen if f is not None], axis=0))
    return np.array(found)


def lives(cells: int, seed: int, cycle: Float, temperatures: Sequence[float] = TEMPERATURES) -> list[Looked]:
    """Let cells age, other ones at each temperature."""
    found = []
    for i, temperature in enumerate(temperatures):
        lot = nine_step.draw(cells, 100 * seed + i)
        found.append(look(lot, temperature, nine_step.modes(lot, temperature, cycle), cycle, 100 * seed + i))
    return found


def learn_modes(seed: int, unrelated: int = 120, aged: int = 20) -> dict[str, Regression]:
    """Fit the modes on cells whose modes have nothing to do with each other, and on cells that aged."""
    found = lives(aged, 10 * seed + 1, np.arange(0.0, 1001.0, 200.0))
    for i, temperature in enumerate(TEMPERATURES):
        lot = nine_step.draw(unrelated, 1000 * seed + 500 + i)
        modes = nine_step.unrelated_modes(lot, 1000 * seed + i)
        found.append(look(lot, temperature, modes, np.array([0.0, 1.0]), 1000 * seed + i))
    features, new, warm, truth, cell, _ = (np.concatenate(column) for column in zip(*map(rows_of, found), strict=True))
    names = np.char.add(np.repeat(np.arange(len(found)), [f.lost[:, 1:, 0].size for f in found]).astype(str), cell)
    return train_modes(features, new, warm, truth, names, seed)


def rows_of(of: Looked) -> tuple[Float, Float, Float, Float, Float, Float]:
    """Lay cells and looks after the first out as rows."""
    c = of.cells
    count, looks, width = c.features.shape
    each = count * (looks - 1)
    new = np.repeat(c.features[:, :1], looks - 1, axis=1).reshape(each, width)
    cell = np.array([f"/{i}" for i in range(count)]).repeat(looks - 1)
    warm = np.full(each, c.temperature_celsius)
    truth = of.lost[:, 1:].reshape(each, -1)
    return c.features[:, 1:].reshape(each, width), new, warm, truth, cell, np.tile(c.cycle[1:], count)
