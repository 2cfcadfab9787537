"""The forms that a folder's tables may have, and which of them each model reads."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from daemon.errors import LogError, UsageError
from daemon.tables import capacity_trajectory, charges, cycle_features, nasa, reading, relaxation

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from daemon.tables.cases import Cases, Options

    Way = tuple[Callable[[Path], bool], Callable[[Path, Options], list[Cases]]]


SOME = 60  # characters of a heading
NOTHING_TO_SCORE, FEW_CELLS = "there is nothing to score", "it takes more cells with a label, or leave --folds out"


class Form(NamedTuple):
    """One of them."""

    says: str
    fits: Callable[[str, Collection[str]], bool]  # (file name, columns)
    models: frozenset[str]  # that read it


FORMS = (
    Form("a recording", lambda file, _: nasa.part(file), frozenset({"soh", "srse"})),
    Form(
        "charges' ends", lambda _, columns: cycle_features.fits(columns), frozenset({"soh", "rul", "multitask", "srse"})
    ),
    Form(
        "charges and rests",
        lambda _, columns: relaxation.fits(columns),
        frozenset({"soh", "rul", "trajectory", "imodel"}),
    ),
    Form("parts of charges", lambda _, columns: charges.has_curve(columns), frozenset({"srse"})),
    Form("capacities", lambda _, columns: capacity_trajectory.fits(columns), frozenset({"early-life"})),
)


def left_out(folder: Path, model: str) -> list[str]:
    """Name the files of a folder that are no table of a form which the model reads; nothing of a model without one."""
    if not any(model in form.models for form in FORMS):
        return []
    alone = nasa.unpaired(folder) if model in FORMS[0].models else []
    return [*alone, *(reason for path in reading.files(folder) if (reason := _why_not(path, model)))]


def _why_not(path: Path, model: str) -> str:
    try:
        columns = reading.columns(path)
    except LogError as err:
        return reading.told(err)
    fitting = [form for form in FORMS if form.fits(path.name, columns)]
    if not fitting:
        heading = ",".join(columns)[:SOME]
        return f"{path.name}: a table of no known form; its heading, parted by commas, begins `{heading}`"
    if any(model in form.models for form in fitting):
        return ""
    return f"{path.name}: {fitting[0].says}, which {model} does not read (ask {', '.join(sorted(fitting[0].models))})"


def each(folder: Path, options: Options, ways: Iterable[Way]) -> list[Cases]:
    """Score every form that the folder holds; where one cannot be, its reason stands beside the others' scores.

    `ways`: whether the folder holds it, and what scores it. Raises UsageError where nothing can be scored.
    """
    present = [score for there, score in ways if there(folder)]
    if not present:
        mend = "put CSV or Parquet files there such as the READMEs of the data sets describe"
        raise reading.refused("no table that can be read", folder, mend, left_out(folder, options.model))
    found: list[Cases] = []
    refused: list[UsageError] = []
    for score in present:
        try:
            found += score(folder, options)
        except UsageError as err:
            refused.append(err)
    if found:
        reasons = tuple(map(reading.told, refused))
        return [replace(found[0], unscored=found[0].unscored + reasons), *found[1:]]
    raise refused[0] if refused else UsageError(NOTHING_TO_SCORE, where=str(folder), mend=FEW_CELLS)
