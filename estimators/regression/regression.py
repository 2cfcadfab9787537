"""Some fitted models that are asked together: their mean, and how sure it is.

The deviation has two parts, fitted on rows of cells that the members did not see: a constant one, and how far
the members disagree. Its scale is such that 90 % intervals hold the truth in nine of ten rows, each cell
counting the same.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from estimators.regression.forms import FORMS, Form
from estimators.regression.inputs import Inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from estimators.contract import Bool, Float

NINETY = 1.6448536269514722  # deviations to either side of the mean hold 90 % of a Gaussian


class Answer(NamedTuple):
    """What is predicted of some rows."""

    mean: Float  # [row]
    std: Float  # [row]
    in_domain: Bool  # [row]


@dataclass(frozen=True, slots=True)
class Noise:
    """std = sqrt(base^2 + (share * disagreement)^2)."""

    base: float
    share: float

    def std(self, disagreement: Float) -> Float:
        """Give the deviation [row]; disagreement [row] of the members."""
        return np.asarray(np.hypot(self.base, self.share * disagreement))


@dataclass(frozen=True, slots=True)
class Regression:
    """Members with equal say."""

    inputs: Inputs
    members: tuple[Form, ...]
    noise: Noise

    def predict(self, x: Float) -> Answer:
        """Answer for x [row, input], in the inputs' own units; a row with an input that is not finite gets NaN."""
        finite: Bool = np.all(np.isfinite(x), axis=1)
        said = self.each(np.where(finite[:, None], x, self.inputs.mean))
        mean, std = said.mean(axis=0), self.noise.std(said.std(axis=0))
        return Answer(np.where(finite, mean, np.nan), np.where(finite, std, np.nan), ~self.inputs.outside(x))

    def each(self, x: Float) -> Float:
        """What each member says, [member, row]."""
        scaled = self.inputs.scale(x)
        return np.stack([m.predict(scaled) for m in self.members])


def save(path: Path, models: Mapping[str, Regression], about: Mapping[str, str] | None = None) -> None:
    """Keep models by name in one safetensors file; `about` are words kept beside them."""
    arrays: dict[str, Float] = {}
    kinds = {kind: name for name, kind in FORMS.items()}
    for name, model in models.items():
        arrays |= {f"{name}/inputs/{f.name}": getattr(model.inputs, f.name) for f in fields(model.inputs)}
        arrays[f"{name}/noise"] = np.array([model.noise.base, model.noise.share])
        for i, member in enumerate(model.members):
            head = f"{name}/{i}/{kinds[type(member)]}"
            arrays |= {f"{head}/{f}": getattr(member, f) for f in member.__dataclass_fields__}
    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, path, dict(about or {}))
    path.chmod(0o644)  # the library writes for its owner alone


def load(path: Path) -> tuple[dict[str, Regression], dict[str, str]]:
    """Read the models and the words of a file. Raises FileNotFoundError or ValueError, naming it."""
    try:
        with safe_open(path, "np") as file:
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no mapping)
            about = dict(file.metadata() or {})
        names = dict.fromkeys(key.rsplit("/inputs/", 1)[0] for key in arrays if "/inputs/" in key)
        return {name: _read(name, arrays) for name in names}, about
    except (SafetensorError, KeyError, TypeError) as err:
        raise ValueError(f"{path}: {err}") from err


def _read(name: str, arrays: Mapping[str, Float]) -> Regression:
    inputs = Inputs(*(arrays[f"{name}/inputs/{f.name}"] for f in fields(Inputs)))
    base, share = arrays[f"{name}/noise"].tolist()
    parts: dict[tuple[int, str], dict[str, Float]] = {}
    for key, value in arrays.items():
        if key.startswith(f"{name}/") and key.count("/") == name.count("/") + 3:
            _, index, kind, field = key.rsplit("/", 3)
            parts.setdefault((int(index), kind), {})[field] = value
    members = tuple(FORMS[kind](**parts[index, kind]) for index, kind in sorted(parts))  # type: ignore[arg-type]
    return Regression(inputs, members, Noise(base, share))
