"""An evaluation as one HTML file that needs nothing else: tables, pictures, and how it was made."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, TypeVar

import jinja2
import numpy as np
from matplotlib.figure import Figure

from daemon import evaluation_plots as plots
from daemon.config import EstimatorName
from daemon.evaluate import CASES, Trace
from daemon.evaluation_tables import minutes, percent, tables
from daemon.runs import Run
from daemon.scores import Findings
from estimators.cell_type import CellType

T = TypeVar("T")
LEARNING_FILE = "learning.csv"
RIGHT, WRONG = CASES[0].name, CASES[1].name


@dataclass(frozen=True, slots=True)
class Subject:
    """What was evaluated, and how."""

    cell_type: CellType
    estimators: Mapping[EstimatorName, str]  # the one that is asked about first; each with the id of its numbers
    runs: list[Run]
    parts: Mapping[str, str]  # run -> its part of the cell type's split
    command: str
    refused: Mapping[str, str] = field(default_factory=dict)  # log -> why it was not scored
    learning: Path | None = None  # what a training wrote down; None: the cell type's, if it has one


class Picture(NamedTuple):
    """SVG, and what stands below it."""

    svg: str
    caption: str
    title: str = ""


class Tile(NamedTuple):
    """One figure in large."""

    value: str
    unit: str
    says: str


class Words(NamedTuple):
    """What a picture shows, for those who do not see it, and what stands below it."""

    says: str
    caption: str


RELIABILITY = Words(
    says="Share of seconds inside each nominal central interval, one panel a case",
    caption="On the dashed line an interval keeps what it says; below it the estimator is too sure, above it too "
    "careful. Mean over the files of each temperature, then over the temperatures.",
)
RECOVERY = Words(
    says="Share of starts whose error is under 3 points for good, over the time since they were switched on",
    caption="Eight starts inside each file, each told an SOC that is 30 points wrong. A start has arrived when its "
    "error is under 3 points and stays so for five minutes. Dotted: half, and nine of ten.",
)
LEARNING = Words(
    says="Losses and the sixteen stitch values over the steps of the training",
    caption="A stitch mixes the features of the two towers. Its four values are named by the tower that takes and the "
    "tower that gives; where they stay at 1 for its own and 0 for the other's, the towers learn apart.",
)


def write(path: Path, subject: Subject, findings: Findings, traces: list[Trace]) -> None:
    """Write the page. `traces` of any case; those with a right start and with a wrong one are drawn."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("daemon", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("report.html").render(
        subject=subject,
        asked=next(iter(subject.estimators)),
        tiles=_tiles(subject, findings),
        tables={t.key: t for t in tables(findings)},
        reliability=_drawn(plots.reliable, findings.reliability, RELIABILITY),
        recovery=_drawn(plots.recovered, findings.recovery, RECOVERY),
        files=_files(traces),
        learning=_drawn(plots.learnt, _learning(subject), LEARNING),
        runs=[_about(run, subject) for run in subject.runs],
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=_machine(),
        hues=list(enumerate(plots.HUES)),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _tiles(subject: Subject, findings: Findings) -> list[Tile]:
    """Sum up what was asked about."""
    asked = next(iter(subject.estimators))
    line = {line.case: line for line in findings.lines if line.estimator == asked}
    if not line:
        return []
    right = line[RIGHT].mean
    offset = max(line[case.name].mean.mae_point for case in CASES if case.offset_ampere)
    tiles = [
        Tile(f"{right.mae_point:.2f}", "points", "mean absolute error, right start"),
        Tile(f"{right.max_point:.1f}", "points", "largest error after the first minute, right start"),
        Tile(percent(right.inside_90), "", "of the seconds inside the 90\u00a0% interval"),
        Tile(f"{offset:.2f}", "points", "mean absolute error, sensor off by 0.3 A"),
    ]
    if took := [r for r in findings.recovery if r.estimator == asked]:
        value = f"{minutes(took[0].quantile(0.5))} / {minutes(took[0].quantile(0.9))}"
        tiles.append(Tile(value, "", "minutes until under 3 points, switched on 30 points wrong: half / nine of ten"))
    return tiles


def _drawn(draw: Callable[[T], Figure], shown: T | None, words: Words) -> Picture | None:
    """Draw what there is; None where there is nothing."""
    return Picture(plots.inline(draw(shown), words.says), words.caption) if shown else None


def _files(traces: list[Trace]) -> list[Picture]:
    pictures = []
    for name in dict.fromkeys(t.run.name for t in traces):
        right, wrong = ([t for t in traces if t.run.name == name and t.case == case] for case in (RIGHT, WRONG))
        says = f"{name}: SOC with 90 % band and truth, error of SOC, SOH"
        pictures.append(Picture(plots.inline(plots.traced(right, wrong), says), _said(right), name))
    return pictures


def _said(right: list[Trace]) -> str:
    """Say the errors of a run in words: what the picture shows."""
    if not right[0].run.labelled:
        return "No label: the estimates alone."
    worst = ", ".join(f"{t.estimator} {np.nanmean(np.abs(t.error)):.2f}" for t in right)
    return f"Mean absolute error in points from a right start: {worst}."


def _learning(subject: Subject) -> Path | None:
    path = subject.learning or subject.cell_type.folder / LEARNING_FILE
    return path if path.is_file() else None


def _about(run: Run, subject: Subject) -> dict[str, str]:
    return {
        "name": run.name,
        "ambient": f"{run.ambient_temperature_celsius:g} °C" if np.isfinite(run.ambient_temperature_celsius) else "?",
        "length": f"{(run.test_time_second[-1] - run.test_time_second[0]) / 3600:.2f} h",
        "label": "yes" if run.labelled else "no",
        "part": subject.parts.get(run.name, "–"),
    }


def _machine() -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in ("bmsd", "numpy", "torch"))
    system = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
    return f"{system}, Python {platform.python_version()}, {versions}"
