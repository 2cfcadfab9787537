"""A trained network on disk: safetensors with the calibration of its errors beside the weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from estimators.cell_type import NETWORK_FILE
from estimators.cross_stitch.network import Network


@dataclass(frozen=True, slots=True)
class Weights:
    """A network and what its errors were on runs that did not train it."""

    network: Network
    reference_soh: float  # its SOC is the nominal one of a cell with this SOH; NaN: that of present capacity
    temperature_celsius: NDArray[np.float64]  # [node] ascending
    soc_std: NDArray[np.float64]  # [node] RMS error of SOC at that temperature
    soh_std: float


def save(weights: Weights, folder: Path) -> None:
    """Write the weights into a cell type's folder."""
    tensors = {f"network.{k}": v.detach().cpu().contiguous() for k, v in weights.network.state_dict().items()}
    for name in ("reference_soh", "temperature_celsius", "soc_std", "soh_std"):
        tensors[f"calibration.{name}"] = torch.from_numpy(np.atleast_1d(getattr(weights, name)).astype(np.float64))
    save_file(tensors, folder / NETWORK_FILE)
    (folder / NETWORK_FILE).chmod(0o644)  # the library writes for its owner alone


def load(folder: Path) -> Weights:
    """Read the weights of a cell type. Raises FileNotFoundError, or ValueError naming the damaged file."""
    path = folder / NETWORK_FILE
    network = Network()
    try:
        tensors = load_file(path)
        network.load_state_dict({k[8:]: v for k, v in tensors.items() if k.startswith("network.")})
        known = {k[12:]: v.numpy() for k, v in tensors.items() if k.startswith("calibration.")}
        weights = Weights(
            network.eval().requires_grad_(False),
            float(known["reference_soh"][0]),
            known["temperature_celsius"],
            known["soc_std"],
            float(known["soh_std"][0]),
        )
    except (SafetensorError, RuntimeError, KeyError) as err:
        raise ValueError(f"{path} is not a set of cross-stitch weights: {err}") from err
    return weights
