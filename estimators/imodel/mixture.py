"""The mixture of experts asked for capacities to come, from the capacity that a cell has now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from estimators.imodel.estimate import Known, Later, capacity
from estimators.imodel.network import STEP, STEPS, Network, seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from estimators.contract import Float
    from estimators.imodel.features import Events, Kind

HOME = Path(__file__).parent / "weights"


@dataclass(frozen=True, slots=True)
class Mixture:
    """A trained network of one kind of cell."""

    kind: Kind
    network: Network

    @torch.no_grad()
    def fade(self, events: Events, planned: Float | None = None, shuffle: int | None = None) -> tuple[Float, Float]:
        """Give fade (Ah) [n, step] since now and the experts' weights [n, expert].

        `planned` [n, 3]: temperature (°C), charge and discharge C-rate to come, None: as now. `shuffle` is a seed by
        which the gate is shown the features of other events: what its routing is worth.
        """
        shown = seen(events, self.kind, planned)
        if shuffle is not None:
            other = np.random.default_rng(shuffle).permutation(len(events))
            shown = shown._replace(features=shown.features[torch.from_numpy(other)])
        fade, weight = self.network(shown)
        return fade.numpy().astype(float) * self.kind.nominal_capacity_ah, weight.numpy().astype(float)

    def trajectory(
        self,
        known: Known,
        events: Events,
        horizon: Sequence[int] | NDArray[np.int64],
        planned: Float | None = None,
        shuffle: int | None = None,
    ) -> Later:
        """Give capacity `horizon` cycles ahead (Ah) [n, ahead], anchored at what `known` says it is now.

        NaN beyond the last step, of which nothing was learnt.
        """
        now = capacity(known, events)
        fade, _ = self.fade(events, planned, shuffle)
        ahead = np.asarray(horizon, dtype=np.int64)
        steps = STEP * np.arange(STEPS + 1)
        error = self.network.error.numpy().astype(float) * self.kind.nominal_capacity_ah
        std = np.hypot(now.std[:, None], np.interp(ahead, steps, np.concatenate([[0.0], error]), right=np.nan))
        lost = np.full((len(fade), len(ahead)), np.nan)
        for row, whole in enumerate(np.concatenate([np.zeros((len(fade), 1)), fade], axis=1)):
            lost[row] = np.interp(ahead, steps, whole, right=np.nan)
        return Later(ahead, now.mean[:, None] - lost, std, now.in_domain)


def save_mixture(mixture: Mixture, folder: Path = HOME) -> None:
    """Write `imodel-<kind>.safetensors`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = _path(mixture.kind, folder)
    save_file({name: tensor.contiguous() for name, tensor in mixture.network.state_dict().items()}, path)
    path.chmod(0o644)  # the library writes for its owner alone


def load_mixture(kind: Kind, folder: Path = HOME) -> Mixture | None:
    """Read it; None: there is none for this kind. Raises ValueError, naming the file, where it is damaged."""
    path = _path(kind, folder)
    if not path.is_file():
        return None
    network = Network()
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as err:
        raise ValueError(f"{path}: {err}") from err
    return Mixture(kind, network.eval())


def _path(kind: Kind, folder: Path) -> Path:
    return folder / f"imodel-{kind.name}.safetensors"
