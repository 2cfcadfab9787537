"""Train the mixture of experts on fade."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from estimators.imodel.mixture import Mixture
from estimators.imodel.network import STEP, STEPS, Network, Seen, seen
from estimators.imodel.rows import ahead
from estimators.imodel.train import thin
from estimators.regression.fit import by_cell

if TYPE_CHECKING:
    from estimators.contract import Bool, Float
    from estimators.imodel.features import Kind
    from estimators.imodel.rows import Rows

BALANCE = 3e-3  # weight of the experts' evenness, beside a loss of the order of 0.1
UPDATES, BATCH, RATE, DECAY = 1000, 128, 4e-3, 1e-3
ROWS_A_CELL = 80
MEASURED_ON = 6  # one in so many cells trains nothing: the deviation is measured there
LEAST_SPREAD = 1e-4
LARGEST_GRADIENT = 1.0


def fit_mixture(kind: Kind, rows: Rows, seed: int = 0, updates: int = UPDATES) -> Mixture:
    """Learn fade from rows with a measured capacity now and later; the use planned is the use that was.

    Raises ValueError for fewer than two cells.
    """
    fade = np.stack([rows.capacity_ah - ahead(rows, STEP * (step + 1)) for step in range(STEPS)], axis=1)
    fade /= kind.nominal_capacity_ah
    usable: Bool = np.any(np.isfinite(fade), axis=1)
    rows, fade = rows.pick(usable), fade[usable]
    learnt, held = next(iter(by_cell(rows.cell, MEASURED_ON, seed, rows.events.use[:, 0])))
    learnt &= thin(rows.cell, ROWS_A_CELL)
    network = _fit(seen(rows.events.pick(learnt), kind), fade[learnt], seed, updates)
    mixture = Mixture(kind, network)
    off = mixture.fade(rows.events.pick(held))[0] / kind.nominal_capacity_ah - fade[held]
    network.error.copy_(torch.from_numpy(_growing(off)))
    return mixture


def _growing(off: Float) -> Float:
    """Give the deviation [step] of errors [row, step]; where few are told it is not below that of earlier steps."""
    told = np.isfinite(off)
    squared = np.where(told, off, 0.0) ** 2
    return np.maximum.accumulate(np.sqrt(squared.sum(axis=0) / np.maximum(told.sum(axis=0), 1)))


def _fit(shown: Seen, fade: Float, seed: int, updates: int) -> Network:
    torch.manual_seed(seed)
    truth = torch.from_numpy(fade.astype(np.float32))
    told = torch.isfinite(truth)
    truth = torch.nan_to_num(truth)
    mean = truth.sum(dim=0) / told.sum(dim=0).clamp(min=1)
    squared = torch.where(told, truth - mean, 0.0) ** 2
    spread = (squared.sum(dim=0) / told.sum(dim=0).clamp(min=1)).sqrt().clamp(min=LEAST_SPREAD)
    network = Network()
    network.fit_scales(shown)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=updates)
    network.train()
    for _ in range(updates):
        drawn = torch.randint(len(truth), (min(BATCH, len(truth)),))
        said, weight = network(Seen(*(part[drawn] for part in shown)))
        error = torch.where(told[drawn], (said - truth[drawn]) / spread, 0.0)
        load = weight.sum(dim=0)
        loss = (error**2).sum() / told[drawn].sum() + BALANCE * load.var() / load.mean() ** 2
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), LARGEST_GRADIENT)
        optimiser.step()
        schedule.step()
    return network.eval()
