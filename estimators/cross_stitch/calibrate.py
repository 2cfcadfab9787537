"""Errors on runs that trained nothing: the standard deviations that the weights carry."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from estimators.cross_stitch.network import Network
from estimators.cross_stitch.sequence import run
from estimators.cross_stitch.weights import Weights
from estimators.cross_stitch.windows import Run

SETTLED_SECOND = 120  # errors before belong to the start
NODE_CELSIUS = 10.0
SMALLEST_STD = 0.003


def errors(
    network: Network, runs: list[Run], initial_soh: float | None = None
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Errors of SOC and SOH of each run, [second] each. SOH_0 is `initial_soh`, or as labelled."""
    device = next(network.parameters()).device
    longest = max(map(len, runs))
    raw = np.stack([np.pad(r.inputs(), ((0, longest - len(r)), (0, 0)), mode="edge") for r in runs], axis=1)
    initial = torch.tensor([initial_soh or float(r.soh[0]) for r in runs], device=device)
    soc, soh = (x.cpu().numpy() for x in run(network, torch.from_numpy(raw).to(device), initial))
    return [(soc[: len(r), i] - r.soc, soh[: len(r), i] - r.soh) for i, r in enumerate(runs)]


def table(network: Network, runs: list[Run], initial_soh: float | None = None) -> str:
    """Say mean and maximum absolute SOC error of each run (of simulated ones only the mean of all), in points."""
    found = [np.abs(soc) * 100 for soc, _ in errors(network, runs, initial_soh)]
    mean = f"  mean {np.mean([e.mean() for e in found]):.3f}"
    if all(r.name.startswith("simulated") for r in runs):
        return f"  validation{mean}  max {max(e[SETTLED_SECOND:].max() for e in found):.1f}"
    return (
        "  validation  "
        + "  ".join(f"{r.name} {e.mean():.2f}/{e[SETTLED_SECOND:].max():.1f}" for r, e in zip(runs, found, strict=True))
        + mean
    )


def calibrate(network: Network, runs: list[Run], reference_soh: float, initial_soh: float | None = None) -> Weights:
    """Put the RMS error of each temperature beside the network."""
    found = errors(network, runs, initial_soh)
    temperature = np.concatenate([r.temperature_celsius[SETTLED_SECOND:] for r in runs])
    squared = np.concatenate([soc[SETTLED_SECOND:] for soc, _ in found]).astype(np.float64) ** 2
    nodes = np.round(temperature / NODE_CELSIUS) * NODE_CELSIUS
    at = np.unique(nodes)
    std = np.array([np.sqrt(squared[nodes == t].mean()) for t in at])
    soh_std = float(np.sqrt(np.mean(np.concatenate([soh for _, soh in found]).astype(np.float64) ** 2)))
    return Weights(network, reference_soh, at, np.maximum(std, SMALLEST_STD), max(soh_std, SMALLEST_STD))
