"""What models say of cases, and how right they are. A case is one number of one cell that somebody wants to know."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars
from numpy.typing import NDArray

from estimators.regression.regression import NINETY, Answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Float = NDArray[np.float64]
IN_POINTS = ("soh", "soc")  # targets that people read in hundredths


@dataclass(frozen=True, slots=True)
class Options:
    """What an evaluation is asked for besides its folder. `None`: the model's usual."""

    model: str
    folds: int = 0  # learn anew so many times, each without some of the cells; 0: score the weights that there are
    seeds: int = 1
    horizons: tuple[int, ...] | None = None  # cycles ahead
    soc: str = "unknown"
    known_cycles: int | None = None
    sources: tuple[float, ...] | None = None  # ambient temperatures whose cells are known whole
    alone: bool = False  # without the plain methods


@dataclass(frozen=True, slots=True)
class Cases:
    """Cases of one set, and what each method says of them; the first method is the one that was asked for."""

    name: str  # the set and what the methods were shown
    identity: polars.DataFrame  # [case] the source row's own columns: cell, cycle, ...
    target: str  # soc | soh | capacity_ah | rul_cycle | dccr
    horizon: NDArray[np.int64]  # [case] cycles ahead; 0: now
    truth: Float  # [case] NaN: not known
    said: Mapping[str, Answer]
    unscored: tuple[str, ...] = field(default=())  # rows left out, each with its reason
    points_of: float | None = None  # errors are told in hundredths of this much


class Score(NamedTuple):
    """How right one method is on the cases whose truth is known, in the target's unit."""

    set: str
    target: str
    method: str
    cases: int
    rmse: float
    mae: float
    mape_percent: float  # of truths that are not zero
    worst_cell_rmse: float
    worst_cell_mape_percent: float
    held_percent: float  # truths inside of the 90 % interval
    worst_cell_held_percent: float
    in_domain_percent: float


def score(cases: Cases) -> list[Score]:
    """Score each method; none where no truth is known. A cell is told by the `cell` column, else each row is one."""
    known = np.isfinite(cases.truth)
    if not known.any():
        return []
    columns = cases.identity.columns
    cell = cases.identity["cell"].to_numpy() if "cell" in columns else np.arange(len(cases.truth))
    return [_score(cases, name, answer, known, cell) for name, answer in cases.said.items()]


def _score(cases: Cases, method: str, said: Answer, known: NDArray[np.bool_], cell: NDArray[np.generic]) -> Score:
    whole = cases.points_of or (1.0 if cases.target in IN_POINTS else 100.0)
    unit = 100.0 / whole
    usable = known & np.isfinite(said.mean)
    truth, error = cases.truth[usable], (said.mean - cases.truth)[usable]
    if not len(error):
        return Score(cases.name, cases.target, method, 0, *[float("nan")] * 8)
    std, percent = said.std[usable], 100.0 * np.abs(error) / np.where(truth == 0, np.nan, np.abs(truth))
    held = np.where(np.isfinite(std), np.abs(error) <= NINETY * std, np.nan)
    by_cell = [np.flatnonzero(cell[usable] == c) for c in np.unique(cell[usable])]
    return Score(
        set=f"{cases.name}, in points of {cases.points_of:g}" if cases.points_of else cases.name,
        target=cases.target,
        method=method,
        cases=len(error),
        rmse=unit * _rms(error),
        mae=unit * float(np.abs(error).mean()),
        mape_percent=_mean(percent),
        worst_cell_rmse=unit * max(_rms(error[rows]) for rows in by_cell),
        worst_cell_mape_percent=float(np.fmax.reduce([_mean(percent[rows]) for rows in by_cell])),
        held_percent=100.0 * float(held.mean()),
        worst_cell_held_percent=100.0 * min(float(held[rows].mean()) for rows in by_cell),
        in_domain_percent=100.0 * float(said.in_domain[usable].mean()),
    )


def write(path: Path, found: Iterable[Cases]) -> None:
    """Write one row a case of the first method's word; what is not known stays empty."""
    frames = []
    for cases in found:
        said = next(iter(cases.said.values()))
        frames.append(
            cases.identity.with_columns(
                polars.Series("target", [cases.target] * len(cases.truth), dtype=polars.String),
                polars.Series("horizon", cases.horizon),
                *(
                    polars.Series(name, values, dtype=polars.Float64, nan_to_null=True)
                    for name, values in (("truth", cases.truth), ("predicted", said.mean), ("predicted_std", said.std))
                ),
                polars.Series("in_domain", said.in_domain),
            )
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    polars.concat(frames, how="diagonal_relaxed").write_csv(path)


def _mean(percent: Float) -> float:
    known = percent[np.isfinite(percent)]
    return float(known.mean()) if len(known) else float("nan")


def _rms(error: Float) -> float:
    return float(np.sqrt(np.mean(error**2)))
