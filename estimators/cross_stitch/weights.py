"""A trained network on disk: safetensors with its calibration and its domain beside the weights.

Its large matrices are kept in half precision, which halves the file, and computed with in single.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from estimators.cell_type import NETWORK_FILE
from estimators.cross_stitch.domain import Domain
from estimators.cross_stitch.network import Network
from estimators.cross_stitch.uncertainty import Uncertainty

CALIBRATION = ("reference_soh", "temperature_celsius", "soc_std", "soh_std")
LARGE = 4_096  # numbers; what is smaller (ranges, biases, stitches) stays as it is


@dataclass(frozen=True, slots=True)
class Weights:
    """A network, what its errors were on runs that did not train it, and where it was trained."""

    network: Network
    reference_soh: float  # its SOC is the nominal one of a cell with this SOH; NaN: that of present capacity
    temperature_celsius: NDArray[np.float64]  # [node] ascending
    soc_std: NDArray[np.float64]  # [node] of SOC at that temperature, where `uncertainty` says 0
    soh_std: float
    uncertainty: Uncertainty = field(default_factory=Uncertainty)
    domain: Domain | None = None  # None: nothing is known but the range of each input


def save(weights: Weights, folder: Path) -> None:
    """Write the weights into a cell type's folder."""
    network = weights.network.state_dict()
    tensors = {f"network.{k}": v.half() if v.numel() >= LARGE else v for k, v in network.items()}
    tensors |= {f"uncertainty.{k}": v for k, v in weights.uncertainty.state_dict().items()}
    tensors |= {f"calibration.{k}": _tensor(getattr(weights, k)) for k in CALIBRATION}
    if weights.domain is not None:
        tensors |= {f"domain.{f.name}": _tensor(getattr(weights.domain, f.name)) for f in fields(Domain)}
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, folder / NETWORK_FILE)
    (folder / NETWORK_FILE).chmod(0o644)  # the library writes for its owner alone


def load(folder: Path) -> Weights:
    """Read the weights of a cell type. Raises FileNotFoundError, or ValueError naming the damaged file.

    A file made before there were uncertainty and domain has neither: the table alone speaks.
    """
    path = folder / NETWORK_FILE
    network, uncertainty = Network(), Uncertainty()
    try:
        tensors = load_file(path)
        if wrong := [k for k, v in tensors.items() if not _sound(k, v)]:
            raise ValueError(f"{path}: {wrong[0]} is not of finite numbers")
        network.load_state_dict(_part(tensors, "network."))
        if layer := _part(tensors, "uncertainty."):
            uncertainty.load_state_dict(layer)
        known = {k: v.numpy() for k, v in _part(tensors, "calibration.").items()}
        place = {k: v.numpy() for k, v in _part(tensors, "domain.").items()}
        return Weights(
            network.eval().requires_grad_(False),
            float(known["reference_soh"][0]),
            known["temperature_celsius"],
            known["soc_std"],
            float(known["soh_std"][0]),
            uncertainty.eval().requires_grad_(False),
            Domain(place["points"], place["spread"], float(place["radius"][0])) if place else None,
        )
    except (SafetensorError, RuntimeError, KeyError) as err:
        raise ValueError(f"{path} is not a set of cross-stitch weights: {err}") from err


def _sound(name: str, tensor: Tensor) -> bool:
    may_be_nan = name == "calibration.reference_soh"
    return tensor.is_floating_point() and (may_be_nan or bool(tensor.isfinite().all()))


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _tensor(value: float | NDArray[np.float32] | NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.atleast_1d(value))
