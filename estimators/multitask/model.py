"""Models of one number that are asked together, each shown its own view of a charge; kept as safetensors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from estimators.regression.regression import Answer, Noise, Regression, load, save

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from estimators.contract import Bool, Float
    from estimators.multitask.features import Views

AT_ONCE = 4096  # rows that a kernel is held against at once
TARGETS = ("capacity_ah", "rul_cycle", "dccr")
ROOTED = "rul_cycle"  # learnt as its square root: an error of ten rows matters more near the end


@dataclass(frozen=True, slots=True)
class Model:
    """Members with equal say, grouped by the view that they are shown."""

    parts: dict[str, Regression]  # name of a view -> members
    noise: Noise  # of the mean of all members

    def predict(self, views: Views) -> Answer:
        """Answer for rows in the unit that was learnt; NaN where a view that is needed is not finite."""
        said = self.each(views)
        inside: Bool = np.ones(len(views.own), dtype=bool)
        for name, part in self.parts.items():
            inside &= ~part.inputs.outside(getattr(views, name))
        return Answer(said.mean(axis=0), self.noise.std(said.std(axis=0)), inside)

    def each(self, views: Views) -> Float:
        """What each member says [member, row]; NaN where its view is not finite."""
        return np.concatenate([_each(part, getattr(views, name)) for name, part in self.parts.items()])


def _each(part: Regression, x: Float) -> Float:
    said = np.full((len(part.members), len(x)), np.nan)
    known = np.flatnonzero(np.isfinite(x).all(axis=1))
    for rows in np.array_split(known, max(1, -(-len(known) // AT_ONCE))):
        if len(rows):
            said[:, rows] = part.each(x[rows])
    return said


def learnt(target: str, value: Float) -> Float:
    """Turn a target into what is learnt of it."""
    return np.sqrt(value) if target == ROOTED else value


def told(target: str, answer: Answer) -> Answer:
    """Turn what was learnt back into the target, its deviation with it."""
    if target != ROOTED:
        return answer
    root = np.maximum(answer.mean, 0.0)
    return answer._replace(mean=root**2, std=2.0 * np.maximum(root, answer.std) * answer.std)


def keep(path: Path, models: Mapping[str, Model], about: Mapping[str, str] | None = None) -> None:
    """Write models by name into one file."""
    flat = {f"{name}/{view}": part for name, m in models.items() for view, part in m.parts.items()}
    noise = {f"{name}/{view}": m.noise for name, m in models.items() for view in m.parts}
    save(path, {name: replace(part, noise=noise[name]) for name, part in flat.items()}, about)


def kept(path: Path) -> tuple[dict[str, Model], dict[str, str]]:
    """Read what `keep` wrote. Raises FileNotFoundError or ValueError, naming the file."""
    flat, about = load(path)
    models: dict[str, Model] = {}
    for name, part in flat.items():
        head, view = name.rsplit("/", 1)
        models.setdefault(head, Model({}, part.noise)).parts[view] = part
    return models, about
