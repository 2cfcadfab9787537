"""CARD.md of a cell type: what its numbers were made from, by which command, and how good they are."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.fine_tuning import Tuned
    from daemon.fitting import Fitted, Parts, Score
    from daemon.training_runs import Split
    from estimators.cell_type import Tables
    from estimators.cross_stitch.recipe import Recipe
    from estimators.ekf.identify import Run


def write_section(path: Path, name: str, section: str) -> None:
    """Put the section in the place of the one of its heading, or at the end; the rest of the card stays."""
    heading = section.partition("\n")[0]
    card = path.read_text(encoding="utf-8") if path.is_file() else f"# {name}\n"
    before, found, rest = card.partition(heading + "\n")
    after = rest[match.start() :] if found and (match := re.search(r"^## ", rest, re.MULTILINE)) else ""
    path.write_text("\n\n".join(p.strip() for p in (before, section, after) if p.strip()) + "\n", encoding="utf-8")


def tables_section(argv: Sequence[str], parts: Parts, fitted: Fitted) -> str:
    """Write all that is known of the tables."""
    tables = fitted.tables
    nodes = zip(tables.temperature_celsius.tolist(), tables.residual_volt.tolist(), strict=True)
    residuals = ", ".join(f"{celsius:g}: {1000 * volt:.0f}" for celsius, volt in nodes)
    tau_1, tau_2 = tables.rc_second.tolist()
    lines = [
        *_made("## Tables", argv),
        f"tau {tau_1:g} s, {tau_2:g} s; i0 {tables.charge_transfer_ampere[0]:.3g} A; SOH {tables.reference_soh[0]:g};",
        f"{_hysteresis(tables)}.",
        f"Residual on their own data in mV, by temperature in degC: {residuals}.",
        "",
        "Runs, by whole file; in brackets those that only help where no other has been:",
        "",
        *(f"- {name}: {_names(runs)}" for name, runs in zip(parts._fields, parts, strict=True) if runs),
    ]
    for title, scores in (
        ("Validation runs, tables from the training runs alone", fitted.validation),
        ("Test runs, the tables as shipped (training and validation runs)", fitted.test),
        ("The same runs, tables of the similar or generic type (before)", fitted.before),
    ):
        if scores:
            lines += ["", f"{title}:", "", _table(scores)]
    return "\n".join(lines)


def _made(heading: str, argv: Sequence[str]) -> list[str]:
    """Begin a section: what it is about, and the command that makes it again."""
    return [heading, "", "Made by", "", f"    {_command(argv)}", ""]


def _hysteresis(tables: Tables) -> str:
    if not tables.hysteresis_volt.any():
        return "no hysteresis"
    middle = tables.hysteresis_volt[len(tables.soc) // 2]
    low, high = 1000 * middle.min(), 1000 * middle.max()
    return f"hysteresis {low:.0f} to {high:.0f} mV either way at half charge, g {tables.hysteresis_per_soc[0]:g}"


def network_section(argv: Sequence[str], split: Split, recipe: Recipe, validated: str) -> str:
    """Write what a network was trained on and how it did on the runs that only measured."""
    measured = sorted(run.name for run in split.train if not run.name.startswith("simulated-"))
    simulated = len(split.train) - len(measured)
    settings = recipe.settings
    begun = f"the weights of {recipe.start_from}" if recipe.start_from else "random weights"
    lines = [
        *_made("## Network", argv),
        f"from `training.yaml`: {settings.steps} steps of {settings.rows} rows of {settings.seconds} s,",
        f"seed {settings.seed}, {settings.weighting} weighting, plan {settings.plan}, begun with {begun}.",
        "",
        f"- train: {', '.join(measured) or 'no measured run'}; {simulated} simulated runs",
        "- validation, mean / maximum absolute error of SOC in points, from no known start:",
        f"  {validated.strip()}",
        "",
        "Limits: cells of this kind alone, near what the training runs held of voltage, current and temperature over",
        "half an hour; farther off its word is flagged `out_of_domain`. SOH is learnt from labels that are coarse",
        "(measured cells) or simulated: take it as a trend.",
    ]
    return "\n".join(lines)


def tuned_section(
    argv: Sequence[str],
    tuned: Tuned,
    like: str,
    train: Sequence[Run],
    held_out: Sequence[str],
    published_point: tuple[float, float],
    *,
    kept: bool,
) -> str:
    """Write how a similar type's network was tuned, or why it stays as it was; what it is worth to what is published.

    `published_point`: the error of what is published, with the network and without it; `kept`: with it, from now on.
    """
    before, after = tuned.before, tuned.after
    lines = [
        *_made("## Network", argv),
        f"The weights of {like}, trained further: {tuned.steps} steps on {_names(train)} and on simulated cells that",
        "speak with these tables. Held out, they set how sure it is: " + ", ".join(held_out) + ".",
        "SOC there from no known start, mean / maximum absolute error in points:",
        "",
        f"- before: {before.mean_point:.2f} / {before.max_point:.1f}",
        f"- after: {after.mean_point:.2f} / {after.max_point:.1f}",
    ]
    if not tuned.kept:
        lines += ["", "The tuned one was not better: the weights are those from before, calibrated anew."]
    with_it, without = published_point
    verdict = "it is kept" if kept else "it is left out"
    lines += ["", f"`fused` is off by {with_it:.2f} points with this network and by {without:.2f} without: {verdict}."]
    return "\n".join(lines)


def estimators_section(held_out: Sequence[str], figures: str, chosen: str) -> str:
    """Write how every estimator does on the runs held out, before and after, and which one is published."""
    said = f"Mean absolute error of SOC in points, on {', '.join(held_out)}; before: by the similar or generic type;"
    after = (
        "after: by what the training runs made of it (the test runs, if any, else the validation runs are held out)."
    )
    return "\n".join(["## Estimators", "", said, after, "", figures, "", f"Smallest mean: `{chosen}`."])


def table_of(fitted: Fitted) -> str:
    """Give the scores of the runs that had no part in the fit, before it and after."""
    tables = {"Before, by the tables of the similar or generic type": fitted.before, "After": fitted.unseen}
    return "\n\n".join(f"{title}:\n\n{_table(scores)}" for title, scores in tables.items() if scores)


def _table(scores: Sequence[Score]) -> str:
    head = "| run | residual mV | right start, MAE points | 30 points too low, MAE points |\n|---|---|---|---|"
    rows = [f"| {s.run} | {_cell(s[1], 1)} | {_cell(s[2], 2)} | {_cell(s[3], 2)} |" for s in scores]
    figures = np.array([s[1:] for s in scores])
    known = [column[np.isfinite(column)] for column in figures.T]
    mean = [_cell(float(c.mean()) if len(c) else np.nan, d) for c, d in zip(known, (1, 2, 2), strict=True)]
    return "\n".join([head, *rows, f"| **mean** | {' | '.join(mean)} |"])


def _cell(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else "-"


def _names(runs: Sequence[Run]) -> str:
    return ", ".join(run.name if run.weight == 1.0 else f"({run.name})" for run in runs)


def _command(argv: Sequence[str]) -> str:
    """Spell the command with the data folder as $BMSD_DATA."""
    data = os.environ.get("BMSD_DATA")
    words = ["bmsd", *argv[1:]]
    said = shlex.join(words)
    return said.replace(data.rstrip("/"), "$BMSD_DATA") if data else said
