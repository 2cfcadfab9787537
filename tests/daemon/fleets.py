"""Streams of many cells with every fault that a stream may have, and fleets that take them."""

from __future__ import annotations

import numpy as np

from daemon.batch import Batch
from daemon.config import Cells, Config, PackRule

CELL_TYPE = "panasonic-18650pf"
BEGIN = 1.7e9
ESTIMATORS = {"f": "fused", "e": "ekf", "n": "cross_stitch", "c": "coulomb"}


def config(**sections):
    """Make a configuration with a pack for each estimator, under short patience so that cells also retire."""
    packs = [PackRule(pattern=f"{p}*", cell_type=CELL_TYPE, estimator=name) for p, name in ESTIMATORS.items()]
    packs[1] = packs[1].model_copy(update={"soc_reference": "nominal", "current_sign": -1})
    return Config(cells=Cells(packs=packs, retire_after_day=0.05), **sections)


def stream(seed, seconds=50, packs="fenc", cells=2):
    """Draw batches of samples: uneven times, gaps, copies, late ones, clocks that jump, temperatures that lack."""
    rng = np.random.default_rng(seed)
    names = (*(f"{pack}{k % 2}/c{k}" for pack in packs for k in range(cells)), "stranger/c0")
    parts = []
    for index in range(len(names)):
        count = int(rng.integers(seconds // 2, seconds))
        step = rng.choice([0.5, 1.0, 2.0, 5.0, 400.0], count, p=[0.2, 0.6, 0.1, 0.09, 0.01])
        time = BEGIN + np.cumsum(step)
        if rng.random() < 0.3:
            time[count // 2 :] += rng.choice([-40_000.0, 200_000.0])
        if rng.random() < 0.3:
            time[count // 3 :] += 5_000.0  # silent for so long that it retires
        celsius = np.where(rng.random(count) < 0.2, np.nan, rng.uniform(15, 35, count))
        part = np.stack([np.full(count, index), time, rng.uniform(3.2, 4.1, count), rng.uniform(-5, 2, count), celsius])
        again = np.sort(rng.integers(0, count, count // 20))
        part = np.concatenate([part, part[:, again]], axis=1)  # copies and late ones, at their end
        parts.append(part)
    samples = np.concatenate(parts, axis=1)
    order = np.concatenate([np.arange(part.shape[1]) + rng.normal(0, 0.1) for part in parts])
    samples = samples[:, np.argsort(order, kind="stable")]
    cuts = np.sort(rng.integers(0, samples.shape[1], seconds // 2))
    for piece in np.split(samples, cuts, axis=1):
        if piece.shape[1]:
            yield Batch(names, piece[0].astype(np.int32), *piece[1:].copy())
