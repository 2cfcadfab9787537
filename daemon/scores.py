"""Traces of known truth -> how wrong, how sure, and how soon right. Arrays in, numbers out.

Every figure is first taken of one file, then averaged over the files of an ambient temperature, then over the
temperatures, so that neither a long file nor a temperature with many of them outweighs the rest. The maximum is the
largest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from daemon.evaluate import Trace
from estimators.regression.regression import NINETY

Float = NDArray[np.float64]
Figure = TypeVar("Figure")
Grouped = dict[tuple[str, str], dict[float, list[Figure]]]
FIRST_MINUTE_SECOND = 60
LEVELS = tuple(round(0.1 * k, 1) for k in range(1, 10))  # nominal shares of the central intervals
RECOVERED_POINT, STAYS_SECOND = 3.0, 300
LEAST_POINT = 1e-6  # a standard deviation of zero is taken for this


class Region(NamedTuple):
    """A range of the true SOC; the outermost ones hold what lies beyond empty and full too."""

    name: str
    low: float = -np.inf
    high: float = np.inf


WHOLE = Region("all")
REGIONS = (Region("0-0.2", high=0.2), Region("0.2-0.8", 0.2, 0.8), Region("0.8-1", low=0.8))


class Score(NamedTuple):
    """Errors in points; the maximum leaves the first minute out."""

    mae_point: float
    rmse_point: float
    max_point: float
    inside_90: float  # share of seconds whose 90 % interval holds the truth
    crps_point: float  # mean continuous ranked probability score of the normal distribution that is published
    interval_90_point: float  # mean interval score: width, plus 20 times what the truth lies outside


class Line(NamedTuple):
    """One estimator in one case and region of SOC."""

    estimator: str
    case: str
    soc: str
    files: int
    by_celsius: dict[float, Score]  # highest first; NaN where the ambient is unknown
    mean: Score


class Reliability(NamedTuple):
    """The share of seconds whose central interval of each nominal share of `LEVELS` holds the truth."""

    estimator: str
    case: str
    inside: tuple[float, ...]


class Recovery(NamedTuple):
    """How long an estimator took from wrong starts; infinite where it never arrived."""

    estimator: str
    ambient_temperature_celsius: float | None  # None: of all
    minutes: tuple[float, ...]  # of each start, in order

    def quantile(self, share: float) -> float:
        """Say after how many minutes this share of the starts had arrived."""
        return float(np.quantile(self.minutes, share, method="inverted_cdf"))

    @property
    def never(self) -> float:
        """Share of the starts that did not arrive within their data."""
        return float(np.mean(np.isinf(self.minutes)))


@dataclass(frozen=True, slots=True)
class Findings:
    """All that is measured in one evaluation."""

    lines: list[Line]  # whole runs
    regions: list[Line]
    reliability: list[Reliability]
    recovery: list[Recovery]  # empty where no start inside a run was tried

    def records(self) -> Iterator[dict[str, object]]:
        """Give everything as flat rows; `table` says of what kind. An infinite time is None."""
        key: dict[str, object]
        for line in (*self.lines, *self.regions):
            for celsius, score in (*line.by_celsius.items(), (None, line.mean)):
                key = {"table": "score", "estimator": line.estimator, "case": line.case, "soc": line.soc}
                yield key | _ambient(celsius) | _rounded(score._asdict())
        for held in self.reliability:
            key = {"table": "reliability", "estimator": held.estimator, "case": held.case}
            shares = zip(LEVELS, held.inside, strict=True)
            yield key | _rounded({f"inside_{level * 100:.0f}": share for level, share in shares})
        for took in self.recovery:
            key = {"table": "switch_on", "estimator": took.estimator, "starts": len(took.minutes)}
            figures = {"median_minute": took.quantile(0.5), "p90_minute": took.quantile(0.9), "never": took.never}
            yield key | _ambient(took.ambient_temperature_celsius) | _rounded(figures)


def find(traces: list[Trace], switched: list[Trace]) -> Findings:
    """Sum up the labelled traces, and those of starts inside a run."""
    traces = [t for t in traces if t.run.labelled]
    return Findings(
        lines=summarise(traces),
        regions=[line for region in REGIONS for line in summarise(traces, region)],
        reliability=reliability(traces),
        recovery=recovery(switched),
    )


def summarise(traces: list[Trace], region: Region = WHOLE) -> list[Line]:
    """Sum up one region of SOC, a line for each estimator and case that has been there."""
    lines = []
    for (estimator, case), by in _grouped(traces, lambda trace: score(trace, region)).items():
        means = {celsius: _mean(scores) for celsius, scores in by.items()}
        lines.append(Line(estimator, case, region.name, sum(map(len, by.values())), means, _mean([*means.values()])))
    return lines


def reliability(traces: list[Trace]) -> list[Reliability]:
    """Hold the published deviations against what happened, for each estimator and case."""
    return [
        Reliability(*key, tuple(np.mean([np.mean(shares, axis=0) for shares in by.values()], axis=0).tolist()))
        for key, by in _grouped(traces, inside).items()
    ]


def recovery(switched: list[Trace]) -> list[Recovery]:
    """Gather the times of each estimator: of all starts first, then of each ambient temperature's."""
    took: dict[str, dict[float | None, list[float]]] = {}
    for trace in _by_temperature(switched):
        minute, by = recovery_minute(trace), took.setdefault(trace.estimator, {None: []})
        for celsius in (None, trace.run.ambient_temperature_celsius):
            by.setdefault(celsius, []).append(minute)
    return [Recovery(name, c, tuple(sorted(m))) for name, by in took.items() for c, m in by.items()]


def score(trace: Trace, region: Region = WHOLE) -> Score | None:
    """Sum one trace up; None where it never is in the region."""
    error, std, late = _known(trace, region)
    if not len(error):
        return None
    settled = error[late] if late.any() else error
    beyond = np.maximum(error - NINETY * std, 0.0)
    return Score(
        float(error.mean()),
        float(np.sqrt((error**2).mean())),
        float(settled.max()),
        float((beyond == 0.0).mean()),
        float(crps(error, std).mean()),
        float((2.0 * NINETY * std + 2.0 / 0.1 * beyond).mean()),
    )


def crps(error: Float, std: Float) -> Float:
    """Score a normal distribution by what happened: 0 is best, the absolute error where it is sure.

    Gneiting and Raftery, J. Am. Stat. Assoc. 102, 2007, section 4.2. Same unit as its arguments.

    >>> crps(np.array([2.0, 0.0]), np.array([1e-6, 1.0])).round(3).tolist()
    [2.0, 0.234]
    """
    z = error / std
    density = np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    return np.asarray(std * (z * (2.0 * ndtr(z) - 1.0) + 2.0 * density - 1.0 / math.sqrt(math.pi)))


def recovery_minute(trace: Trace) -> float:
    """Say when the error falls below 3 points and stays there for five minutes; infinite where it does not."""
    known = np.isfinite(trace.truth)
    time = trace.test_time_second[known]
    far = np.concatenate([[0], np.cumsum(np.abs(trace.error[known]) >= RECOVERED_POINT)])
    stays = np.flatnonzero(far[STAYS_SECOND:] == far[:-STAYS_SECOND])
    return float(time[stays[0]] - time[0]) / 60.0 if len(stays) else np.inf


def inside(trace: Trace) -> list[float]:
    """Say which share of the seconds lies inside each central interval of `LEVELS`."""
    error, std, _ = _known(trace)
    return [float((error <= ndtri(0.5 + level / 2.0) * std).mean()) for level in LEVELS]


def _known(trace: Trace, region: Region = WHOLE) -> tuple[Float, Float, NDArray[np.bool_]]:
    """Pick the seconds of known truth in a region: absolute error, deviation, whether the first minute is over."""
    pick = np.isfinite(trace.truth) & (region.low <= trace.truth) & (trace.truth < region.high)
    late = np.arange(len(pick)) >= FIRST_MINUTE_SECOND
    return np.abs(trace.error[pick]), np.maximum(trace.soc_std[pick] * 100.0, LEAST_POINT), late[pick]


def _grouped(traces: list[Trace], figure: Callable[[Trace], Figure | None]) -> Grouped[Figure]:
    """Take a figure of each trace: by estimator and case, then by ambient temperature, the highest first."""
    grouped: Grouped[Figure] = {}
    for trace in _by_temperature(traces):
        if (found := figure(trace)) is not None:
            by = grouped.setdefault((trace.estimator, trace.case), {})
            by.setdefault(trace.run.ambient_temperature_celsius, []).append(found)
    return grouped


def _by_temperature(traces: list[Trace]) -> list[Trace]:
    return sorted(traces, key=lambda t: -np.nan_to_num(t.run.ambient_temperature_celsius, nan=-np.inf))


def _mean(scores: list[Score]) -> Score:
    """Mean of all but the maximum, which is the largest."""
    mean = np.mean(scores, axis=0)
    return Score(*map(float, mean))._replace(max_point=max(s.max_point for s in scores))


def _ambient(celsius: float | None) -> dict[str, object]:
    known = None if celsius is None or math.isnan(celsius) else celsius
    return {"ambient_temperature_celsius": known, "mean_over_temperatures": celsius is None}


def _rounded(figures: dict[str, float]) -> dict[str, object]:
    return {name: round(value, 4) if math.isfinite(value) else None for name, value in figures.items()}
