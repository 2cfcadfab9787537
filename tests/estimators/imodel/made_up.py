"""Cells that fade in a straight line, told almost plainly by charge and rest."""

import numpy as np

from estimators.imodel.features import KINDS, Events
from estimators.imodel.rows import Rows

NCA = KINDS["nca"]


def rows(cells=8, cycles=200, conditions=((25.0, 0.5), (45.0, 0.5))):
    random = np.random.default_rng(3)
    parts = []
    for number in range(cells):
        celsius, rate = conditions[number % len(conditions)]
        cycle = np.arange(2, cycles + 2)
        pace = (0.0006 + 0.0006 * (celsius == 25.0)) * (1 + 0.02 * number)
        share = 0.95 - pace * cycle
        curve = 0.6 * 3.5 * share[:, None] * np.linspace(0, 1, 50)
        fall = np.log1p(np.arange(1.0, 15.0)) * 0.01 * (1.5 - share[:, None])
        rest = 4.19 - fall + 1e-5 * random.normal(size=fall.shape)
        same = np.ones(cycles)
        events = Events(curve, rest, celsius * same, rate * same, same)
        parts.append(Rows(events, np.repeat(f"cell{number}", cycles), cycle, 3.5 * share))
    return joined(parts)


def joined(parts):
    events = Events(*(np.concatenate([getattr(p.events, f) for p in parts]) for f in Events.__dataclass_fields__))
    return Rows(events, *(np.concatenate([p[i] for p in parts]) for i in (1, 2, 3)))
