"""A trained SRSE on disk: safetensors, with what it was trained on and how wrong it was on cells left out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from estimators.regression.regression import Answer
from estimators.srse.network import Backbone, Srse
from estimators.srse.train import predict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

FOLDER = Path(__file__).parent / "weights"
PLAIN, FULL_CHARGE = "plain.safetensors", "full_charge.safetensors"


@dataclass(frozen=True, slots=True)
class Profile:
    """What charges of a configuration looked like in training."""

    name: str
    nominal_capacity_ah: float
    std: float  # of SOH, on cells left out
    begun_volt: float  # the highest after half a minute: beyond it the cell was not empty
    full_volt: float  # the lowest of those it ended at
    coldest_celsius: float  # medians over a charge
    warmest_celsius: float
    lowest_c_rate: float  # at constant current
    highest_c_rate: float


@dataclass(frozen=True, slots=True)
class Saved:
    """A network and its configurations, in the order of its heads."""

    net: Srse
    backbone: Backbone
    configurations: tuple[Profile, ...]
    unknown_std: float  # of the joint head, on whole configurations left out

    def predict(self, x: Tensor, configuration: Sequence[str]) -> Answer:
        """Give SOH of x [row, channel, point]; the joint head speaks for an unknown configuration, out of domain.

        A charge that looks like none of any configuration is out of domain, too.
        """
        order = {p.name: i for i, p in enumerate(self.configurations)}
        task = np.array([order.get(name, -1) for name in configuration])
        std = np.array([self.unknown_std if t < 0 else self.configurations[t].std for t in task])
        inside = (task >= 0) & ~self.net.shared.outside(x).numpy()
        return Answer(predict(self.net, x, task.tolist()), std, inside)


def save(saved: Saved, path: Path) -> None:
    """Write to one file."""
    shape = {"channels": saved.net.shared.channels, "points": saved.net.shared.points}
    about = {
        "backbone": saved.backbone,
        "shape": json.dumps(shape | {"each_point": saved.net.shared.each_point}),
        "unknown_std": repr(saved.unknown_std),
        "configurations": json.dumps([asdict(p) for p in saved.configurations]),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in saved.net.state_dict().items()}, path, about)
    path.chmod(0o644)  # the library writes for its owner alone


def load(path: Path) -> Saved:
    """Read what `save` wrote. Raises FileNotFoundError, or ValueError naming the damaged file."""
    try:
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no mapping)
            about = file.metadata()
        profiles = tuple(Profile(**p) for p in json.loads(about["configurations"]))
        net = Srse(len(profiles), about["backbone"], **json.loads(about["shape"]))
        net.load_state_dict(tensors)
        return Saved(net.eval(), about["backbone"], profiles, float(about["unknown_std"]))
    except (SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as err:
        raise ValueError(f"{path}: {err}") from err
