"""A cell type with untrained weights: what is tested here does not depend on what was learnt."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml

from estimators.cell_type import CellType
from estimators.cross_stitch import weights
from estimators.cross_stitch.network import Network


@pytest.fixture(scope="session")
def untrained(tmp_path_factory) -> CellType:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("untrained")
    facts = {
        "name": "untrained",
        "chemistry": "nca",
        "nominal_capacity_ah": 2.0,
        "voltage_min_volt": 2.5,
        "voltage_max_volt": 4.2,
        "current_min_ampere": -20.0,
        "current_max_ampere": 6.0,
        "temperature_min_celsius": -20.0,
        "temperature_max_celsius": 60.0,
    }
    (folder / "cell.yaml").write_text(yaml.safe_dump(facts))
    torch.manual_seed(3)
    network = Network()
    network.low.copy_(torch.tensor([2.5, -5.0, -20.0]))
    network.high.copy_(torch.tensor([4.2, 3.0, 40.0]))
    with torch.no_grad():
        network.stitches.add_(0.1 * torch.randn_like(network.stitches))
    weights.save(weights.Weights(network, 0.95, np.array([0.0, 25.0]), np.array([0.02, 0.01]), 0.03), folder)
    return CellType.load(folder)


@pytest.fixture
def drive():
    """Make [second, cell, 3] of volt, ampere, degree Celsius."""

    def make(seconds: int, cells: int, seed: int = 0) -> np.ndarray:
        random = np.random.default_rng(seed)
        volt = 3.7 + 0.2 * random.standard_normal((seconds, cells))
        ampere = 2.0 * random.standard_normal((seconds, cells))
        celsius = 15.0 + 5.0 * random.standard_normal((seconds, cells))
        return np.stack([volt, ampere, celsius], axis=-1).astype(np.float32).astype(np.float64)

    return make
