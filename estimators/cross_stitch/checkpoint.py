"""Everything that a later start of a training needs, in one file that is written at once or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from estimators.cross_stitch.network import Network
from estimators.cross_stitch.weighting import Weighting

FILE = "checkpoint.safetensors"


@dataclass(frozen=True, slots=True)
class Training:
    """What a training changes."""

    network: Network
    average: Network
    weighting: Weighting
    optimiser: torch.optim.Optimizer

    def modules(self) -> dict[str, nn.Module]:
        """Name what has tensors, as the file does."""
        return {"network": self.network, "average": self.average, "weighting": self.weighting}

    def parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """List what the optimiser moves."""
        yield from self.network.named_parameters()
        yield from self.weighting.named_parameters()


def write(folder: Path, step: int, settings: str, training: Training) -> None:
    """Write the state after `step` steps; `settings` says how it came about."""
    tensors = {f"{name}.{k}": v for name, module in training.modules().items() for k, v in module.state_dict().items()}
    for name, parameter in training.parameters():
        if moments := training.optimiser.state.get(parameter):  # none before its first gradient
            tensors |= {f"mean.{name}": moments["exp_avg"], f"square.{name}": moments["exp_avg_sq"]}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    text = {"step": str(step), "settings": settings}
    save_file({k: v.contiguous() for k, v in tensors.items()}, path.with_suffix(".new"), metadata=text)
    path.with_suffix(".new").replace(path)


def resume(folder: Path, training: Training) -> int:
    """Take up a checkpoint if there is one; return the next step."""
    path = folder / FILE
    if not path.exists():
        return 0
    tensors = load_file(path)
    for name, module in training.modules().items():
        if part := _part(tensors, f"{name}."):  # a checkpoint of before there was a weighting has none
            module.load_state_dict(part)
    with safe_open(path, framework="pt") as file:
        step = int(file.metadata()["step"])
    for name, parameter in training.parameters():
        if f"mean.{name}" in tensors:
            training.optimiser.state[parameter] = {
                "step": torch.tensor(float(step)),
                "exp_avg": tensors[f"mean.{name}"].to(parameter.device),
                "exp_avg_sq": tensors[f"square.{name}"].to(parameter.device),
            }
    return step


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
