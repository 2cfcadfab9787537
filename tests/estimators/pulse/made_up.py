"""Pulse tests of cells that do not exist, and recordings in which such a test can be found."""

from __future__ import annotations

import numpy as np

from estimators.pulse.features import AMPLITUDES_C_RATE, PER_AMPLITUDE, WHOLE

LEVELS = np.arange(5.0, 51.0, 5.0)


def voltages(soh, soc, points=WHOLE, noise=1e-4, random=None):
    """Voltages [row, point] of SOH and nominal SOC [row]: a weak cell is fuller at the same charge, and resists."""
    own = soc / soh
    rest = 3.0 + 0.9 * own - 0.3 * own**2
    ohmic, slow = 0.03 * (2.2 - soh), 0.02 * (2.0 - soh) * (1.5 - own)
    volt = np.empty((len(soh), WHOLE))
    volt[:, 0] = rest
    for i, c in enumerate(AMPLITUDES_C_RATE):
        jump, drift = c * ohmic, c * slow
        steps = (jump, jump + drift, drift, 0.1 * drift, -jump, -jump - drift, -drift, -0.1 * drift)
        for k, step in enumerate(steps):
            volt[:, 1 + PER_AMPLITUDE * i + k] = rest + step
    random = random or np.random.default_rng(0)
    return np.round(volt + random.normal(0, noise, volt.shape), 4)[:, :points]


def table(cells=16, levels=LEVELS, points=WHOLE, seed=0):
    """Give voltages [row, point], SOH, SOC in percent and cell [row] of cells tested at each level."""
    random = np.random.default_rng(seed)
    soh = np.repeat(random.uniform(0.6, 1.0, cells), len(levels))
    soc = np.tile(levels, cells)
    cell = np.repeat([f"cell{i:02}" for i in range(cells)], len(levels))
    return voltages(soh, soc / 100, points, random=random), soh, soc, cell


def played(volt, nominal_ah, width_second=5.0, hertz=100.0, rest_second=660.0, cut=None):
    """Play the test whose turning points are `volt` [21 or 41]: time, voltage and current of a tester's log.

    `cut`: number of a pulse that ends at four fifths of its width.
    """
    second, voltage, current = [], [], []
    now = 0.0

    def step(length, begin, end, ampere):
        nonlocal now
        samples = max(round(length * hertz), 1)
        second.append(now + np.arange(samples) / hertz)
        voltage.append(begin + (end - begin) * np.sqrt(np.linspace(0.0 if samples > 1 else 1.0, 1.0, samples)))
        current.append(np.full(samples, ampere))
        now += samples / hertz

    step(rest_second, volt[0], volt[0], 0.0)
    for number in range((len(volt) - 1) // 4):
        ampere = nominal_ah * AMPLITUDES_C_RATE[number // 2] * (-1.0 if number % 2 else 1.0)
        at = 1 + 4 * number
        step(width_second * (0.8 if cut == number else 1.0), volt[at], volt[at + 1], ampere)
        step(15.0 * width_second, volt[at + 2], volt[at + 3], 0.0)
    step(10.0, volt[-1], volt[-1], 0.0)
    return np.concatenate(second), np.concatenate(voltage), np.concatenate(current)


def on_the_grid(second, voltage, current, phase=0.37):
    """Average the current and keep the last voltage of each second, as the service's grid does."""
    whole = np.floor(second + phase).astype(int)
    count = np.bincount(whole)
    last = np.searchsorted(whole, np.arange(whole[-1] + 1), side="right") - 1
    return np.arange(whole[-1] + 1.0), voltage[last], np.bincount(whole, current) / count
