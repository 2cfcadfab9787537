"""SOH from a full charge by what is counted, corrected by a regression: the plain model beside SRSE, and the default.

A charge that follows a full discharge is the capacity but for the charger's losses, and for what the discharge
takes below the voltage at which its capacity is read: in the NASA set below 2.7 V, though cells are emptied to
2.0 to 2.7 V. How much that is, was seen in the discharge before. So counted charge less that part is the base; the
regression learns what is left. Where no discharge was seen, another one learns that part too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from estimators.regression.inputs import Inputs
from estimators.regression.regression import Answer, Regression, load, save
from estimators.srse.features import STATISTICS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from estimators.contract import Bool, Float

CHARGE = STATISTICS.index("charge_of_nominal")
ALL = tuple(range(len(STATISTICS)))


@dataclass(frozen=True, slots=True)
class Looks:
    """Charges as plain models see them."""

    statistics: Float  # [row, 8] as `features.STATISTICS` names them
    below: Float  # [row] share of nominal that the discharge before gave below the reading voltage; NaN: not seen
    configuration: NDArray[np.str_]  # [row]

    def pick(self, rows: Bool | NDArray[np.int64]) -> Looks:
        """Take some rows."""
        return Looks(self.statistics[rows], self.below[rows], self.configuration[rows])

    @property
    def base(self) -> Float:
        """Counted charge, less what the discharge took below, as far as it was seen."""
        return self.statistics[:, CHARGE] - np.nan_to_num(self.below)


@dataclass(frozen=True, slots=True)
class Shown:
    """Which inputs a correction has."""

    columns: tuple[int, ...]  # of the statistics
    below: bool
    configuration: bool

    def inputs(self, looks: Looks, configurations: Sequence[str]) -> Float:
        """Lay the inputs side by side, [row, input]."""
        parts = [looks.statistics[:, list(self.columns)]]
        parts += [looks.below[:, None]] if self.below else []
        which = looks.configuration[:, None] == np.array(configurations)
        parts += [which.astype(float)] if self.configuration else []
        return np.concatenate(parts, axis=1)


@dataclass(frozen=True, slots=True)
class Correction:
    """Corrections for charges of a known and of an unknown configuration, after a discharge that was seen or not."""

    configurations: tuple[str, ...]
    shown: dict[str, Shown]
    models: dict[str, Regression]  # by `known` or `unknown`, and `below` or `charge`

    def predict(self, looks: Looks) -> Answer:
        """Give SOH; a row of an unknown configuration is out of domain."""
        mean, std = np.full((2, len(looks.below)), np.nan)
        inside = np.zeros(len(mean), bool)
        known, seen = np.isin(looks.configuration, self.configurations), np.isfinite(looks.below)
        for name in self.models:
            of_known, with_below = name.split("/")
            rows = (known == (of_known == "known")) & (seen == (with_below == "below"))
            if rows.any():
                some = looks.pick(rows)
                said = self.models[name].predict(self.shown[name].inputs(some, self.configurations))
                mean[rows], std[rows] = some.base + said.mean, said.std
                inside[rows] = said.in_domain & known[rows]
        return Answer(mean, std, inside)

    def keep(self, path: Path) -> None:
        """Write to one safetensors file."""
        about = {"configurations": "\n".join(self.configurations)}
        about |= {f"columns {name}": " ".join(map(str, shown.columns)) for name, shown in self.shown.items()}
        save(path, self.models, about)

    @classmethod
    def read(cls, path: Path) -> Correction:
        """Read what `keep` wrote. Raises FileNotFoundError or ValueError."""
        models, about = load(path)
        columns = {name: tuple(int(c) for c in about[f"columns {name}"].split()) for name in models}
        shown = {n: Shown(c, n.endswith("/below"), n.startswith("known")) for n, c in columns.items()}
        return cls(tuple(about["configurations"].split("\n")), shown, models)


def learn(looks: Looks, soh: Float, cell: NDArray[np.str_], seed: int = 0) -> Correction:
    """Fit corrections, each with the inputs and the members that are best on cells left out (scikit-learn).

    Those for unknown configurations are chosen, and their deviation measured, on whole configurations left out.
    """
    from estimators.regression.fit import fit

    configurations = tuple(np.unique(looks.configuration).tolist())
    models, shown = {}, {}
    for below in (True, False):
        rows = np.isfinite(soh) & (np.isfinite(looks.below) if below else True)
        some, wanted = looks.pick(rows), soh[rows]
        if not below:
            some = Looks(some.statistics, np.full(len(wanted), np.nan), some.configuration)
        for known in (True, False):
            group = cell[rows] if known else some.configuration
            if len(np.unique(group)) < 2:
                continue
            choices = [
                (Shown(columns, below, known), kinds)
                for columns in ((), (CHARGE,), ALL)
                for kinds in (["ridge"], ["ridge", "svr"])
                if columns or below
            ]
            left = wanted - some.base
            errors = [_held_errors(v.inputs(some, configurations), left, group, kinds, seed) for v, kinds in choices]
            best = int(np.argmin([np.mean(e) for e in errors]))
            view, kinds = choices[best]
            model = fit(view.inputs(some, configurations), left, group, kinds, seed, len(np.unique(group)))
            if not (known and below):  # what was not seen differs by group, and there are few: the worst one counts
                worst = float(np.sqrt(np.max(errors[best])))
                model = replace(model, noise=replace(model.noise, base=max(model.noise.base, worst)))
            name = f"{'known' if known else 'unknown'}/{'below' if below else 'charge'}"
            shown[name], models[name] = view, model
    return Correction(configurations, shown, models)


def _held_errors(x: Float, y: Float, group: NDArray[np.str_], kinds: Sequence[str], seed: int) -> list[float]:
    """Find the mean squared error on each group, left out of the learning."""
    from estimators.regression.fit import FITS, by_cell

    squared = []
    for train, held in by_cell(group, len(np.unique(group)), seed):
        scale = Inputs.learn(x[train]).scale
        said = [FITS[kind](scale(x[train]), y[train], seed).predict(scale(x[held])) for kind in kinds]
        squared.append(float(np.mean((np.mean(said, axis=0) - y[held]) ** 2)))
    return squared
