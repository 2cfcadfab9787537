"""Findings as tables of text, for a terminal and for a page alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from daemon.scores import Findings, Line, Recovery, Score

AIM_INSIDE_90 = (0.86, 0.94)
HOT_POINT = 3.0  # an error from here on is painted in full


class Cell(NamedTuple):
    """A figure, what stands smaller beside it, and how bad it is: 0 fine, 1 bad."""

    text: str
    small: str = ""
    heat: float = 0.0


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of words, then of figures."""

    key: str
    title: str
    note: str
    words: tuple[str, ...]  # headings of the first columns
    figures: tuple[str, ...]  # headings of the others
    rows: list[tuple[tuple[str, ...], list[Cell]]]

    def groups(self) -> list[list[tuple[tuple[str, ...], list[Cell]]]]:
        """Part the rows by their first word."""
        return [list(rows) for _, rows in groupby(self.rows, key=lambda row: row[0][0])]


def tables(findings: Findings) -> list[Table]:
    """Make every table of which there is anything to say."""
    lines = findings.lines
    if not lines:
        return []
    right = lines[0].case
    names = list(dict.fromkeys(line.estimator for line in lines))
    cases = list(dict.fromkeys(line.case for line in lines))
    by_case = [((line.case, line.estimator), line) for line in sorted(lines, key=lambda line: cases.index(line.case))]
    regions = sorted((r for r in findings.regions if r.case == right), key=lambda r: names.index(r.estimator))
    low, high = AIM_INSIDE_90
    found = [
        _by_temperature(
            "error",
            f"Error of SOC, {lines[0].files} files",
            "Mean absolute, root mean square and largest error after the first minute, in points.",
            ("case", "estimator"),
            by_case,
            lambda s: Cell(f"{s.mae_point:.2f}", f"{s.rmse_point:.2f} / {s.max_point:.1f}", s.mae_point / HOT_POINT),
        ),
        _by_temperature(
            "coverage",
            "How far the interval can be trusted",
            f"Share of the seconds whose 90 % interval holds the truth (aim: {percent(low)} to {percent(high)}), and "
            "the continuous ranked probability score in points, which is the better the smaller.",
            ("case", "estimator"),
            by_case,
            lambda s: Cell(percent(s.inside_90), f"{s.crps_point:.2f}", _missed(s.inside_90)),
        ),
        _by_temperature(
            "region",
            "Error by temperature and SOC",
            f"Mean absolute and largest error in points, case: {right}.",
            ("estimator", "true SOC"),
            [((line.estimator, line.soc), line) for line in regions],
            lambda s: Cell(f"{s.mae_point:.2f}", f"{s.max_point:.1f}", s.mae_point / HOT_POINT),
        ),
    ]
    found += [_margin(lines)] if len(names) > 1 else []
    return [*found, _switch_on(findings.recovery)] if findings.recovery else found


def percent(share: float) -> str:
    """Say a share."""
    return f"{100.0 * share:.0f} %"


def minutes(value: float) -> str:
    """Say a time; an infinite one is none."""
    return f"{value:.1f}" if math.isfinite(value) else "never"


def _by_temperature(
    key: str,
    title: str,
    note: str,
    words: tuple[str, ...],
    rows: Sequence[tuple[tuple[str, ...], Line]],
    cell: Callable[[Score], Cell],
) -> Table:
    celsius = _sorted(c for _, line in rows for c in line.by_celsius)
    return Table(
        key,
        title,
        note,
        words,
        (*map(_degrees, celsius), "mean"),
        [
            (
                name,
                [*(cell(line.by_celsius[c]) if c in line.by_celsius else Cell("–") for c in celsius), cell(line.mean)],
            )
            for name, line in rows
        ],
    )


def _margin(lines: list[Line]) -> Table:
    """Set the first estimator against the best of the others, case by case."""
    asked = lines[0].estimator
    celsius = _sorted(c for line in lines for c in line.by_celsius)
    rows: list[tuple[tuple[str, ...], list[Cell]]] = []
    for own in (line for line in lines if line.estimator == asked):
        others = [line for line in lines if line.case == own.case and line.estimator != asked]
        cells = [_more(own.by_celsius[c], {o.estimator: o.by_celsius[c] for o in others}) for c in celsius]
        rows.append(((own.case,), [*cells, _more(own.mean, {o.estimator: o.mean for o in others})]))
    return Table(
        "margin",
        f"{asked} against the best of the others",
        "By how many points the mean absolute error is larger (+) or smaller (−) than that of the estimator named.",
        ("case",),
        (*map(_degrees, celsius), "mean"),
        rows,
    )


def _more(own: Score, others: dict[str, Score]) -> Cell:
    best = min(others, key=lambda name: others[name].mae_point)
    more = own.mae_point - others[best].mae_point
    return Cell(f"{more:+.2f}".replace("-", "−"), best, more / HOT_POINT)


def _switch_on(recovery: list[Recovery]) -> Table:
    celsius = _sorted(r.ambient_temperature_celsius for r in recovery if r.ambient_temperature_celsius is not None)
    took = {(r.estimator, r.ambient_temperature_celsius): r for r in recovery}
    names = list(dict.fromkeys(r.estimator for r in recovery))
    return Table(
        "switch-on",
        f"Switched on anywhere, 30 points wrong: {len(took[names[0], None].minutes)} starts",
        "Minutes until the error is under 3 points and stays so for five: in half of the starts, in nine of ten; "
        "and the share that never arrived.",
        ("estimator",),
        (*map(_degrees, celsius), "all", "never"),
        [((name,), [*(_took(took[name, c]) for c in (*celsius, None)), _never(took[name, None])]) for name in names],
    )


def _took(recovery: Recovery) -> Cell:
    return Cell(minutes(recovery.quantile(0.5)), minutes(recovery.quantile(0.9)))


def _never(recovery: Recovery) -> Cell:
    return Cell(percent(recovery.never), heat=recovery.never)


def _missed(inside_90: float) -> float:
    """Say how far a share is from what is aimed at: too sure is worse than too careful."""
    low, high = AIM_INSIDE_90
    return min(1.0, max((low - inside_90) / 0.3, (inside_90 - high) / 0.2, 0.0))


def _sorted(celsius: Iterable[float]) -> list[float]:
    return sorted(dict.fromkeys(celsius), key=lambda c: math.inf if math.isnan(c) else -c)


def _degrees(celsius: float) -> str:
    return "? °C" if math.isnan(celsius) else f"{celsius:g} °C".replace("-", "−")
