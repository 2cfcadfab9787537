"""Score SOH, cycles left and fade rate from the end of a charge; make the weights that do it.

A set's default is the mean of some models of the charge, of its cell's age and of its earlier charges: of a few such
means the one that was nearest on cells that trained nothing. A cell that the table does not show from its beginning is
judged by the charge alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from daemon.errors import UsageError, WeightsError
from daemon.tables.cases import Cases, score
from daemon.tables.cycle_features import read
from estimators.multitask import model as models
from estimators.multitask import train as learning
from estimators.multitask.features import views
from estimators.multitask.model import TARGETS, Model, told
from estimators.multitask.train import DEFAULT, MEMBERS, ONE_CHARGE, Lesson
from estimators.multitask.train_network import compare
from estimators.regression.regression import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from daemon.tables.cases import Options, Score
    from daemon.tables.cycle_features import Cycles, Folder
    from estimators.contract import Float
    from estimators.multitask.features import Views
    from estimators.multitask.train import Crossed

WEIGHTS = Path(models.__file__).parent / "weights"
FILE = "charge_end.safetensors"
SOH, RUL, DCCR = TARGETS
FOLDS = 5  # of cells, that members are chosen by
MOST = 12_000  # rows of a set that members are compared on
FEWEST_CELLS = 4  # with a label, for a target to be learnt
SHIPPED = {"default": DEFAULT, "one charge": ONE_CHARGE, "ridge": (("ridge",),)}


def evaluate(folder: Path, options: Options) -> list[Cases]:
    """Score the model that is asked for: cycles left alone, or all three. Raises UsageError, WeightsError."""
    return _scored(folder, options, (RUL,) if options.model == "rul" else TARGETS)


def soh_cases(folder: Path, options: Options) -> list[Cases]:
    """Score SOH now."""
    return _scored(folder, options, (SOH,))


def train(folder: Path, out: Path | None, seed: int, progress: Callable[[str], None]) -> None:
    """Learn from every set under `folder` that has a charge's sixteen numbers; write weights and their card."""
    from daemon.tables.multitask_card import card

    found = read(home_of_data(folder))
    shipped: dict[str, Model] = {}
    about: dict[str, str] = {}
    scores: list[Score] = []
    for cycles in found.sets:
        rows = learning.thinned(cycles.cell, np.ones(len(cycles.cell), bool), MOST)
        lessons = [lesson.pick(rows) for lesson in lessons_of(cycles)]
        crossed = learning.cross(lessons, {lesson.target: MEMBERS for lesson in lessons}, FOLDS, seed)
        studied = compare(lessons, FOLDS, seed)
        set_name = cycles.configuration.name
        for lesson in lessons:
            said = _crossed(crossed[lesson.target]) | studied[lesson.target]
            scores += score(_cases(found, cycles, lesson, set_name, said, rows))
        for (target, menu), (one, chosen) in learning.ship(lessons, crossed, SHIPPED, seed).items():
            key = f"{set_name}/{target}/{menu}"
            shipped[key], about[key] = one, ", ".join(chosen)
            progress(f"{key}: {about[key]}")
    place = out or WEIGHTS
    place.mkdir(parents=True, exist_ok=True)
    models.keep(place / FILE, shipped, about)
    (place / "CARD.md" if out else place.parent / "CARD.md").write_text(card(found, about, scores), encoding="utf-8")


def _scored(folder: Path, options: Options, targets: tuple[str, ...]) -> list[Cases]:
    found = read(folder)
    if not found.sets:
        reasons = "; ".join(r for left_out in found.unusable.values() for r in left_out)
        raise UsageError(f"no row that can be used: {reasons}", where=str(folder), mend="name files as the README does")
    return _shipped(found, options, targets) if not options.folds else _unseen(found, options, targets)


def _shipped(found: Folder, options: Options, targets: tuple[str, ...]) -> list[Cases]:
    """Ask the weights that there are."""
    known, _ = _weights()
    cases = []
    for cycles in found.sets:
        seen = _views(cycles)
        for target in targets:
            head = f"{cycles.configuration.name}/{target}"
            if f"{head}/default" not in known:
                continue
            said = {name: told(target, known[f"{head}/{name}"].predict(seen)) for name in SHIPPED}
            said["default"] = _or_else(said["default"], said["one charge"])
            lesson = _lesson(cycles, seen, target)
            cases.append(_cases(found, cycles, lesson, cycles.configuration.name, _alone(said, options)))
    return cases


def _unseen(found: Folder, options: Options, targets: tuple[str, ...]) -> list[Cases]:
    """Learn anew without some of the cells."""
    cases = []
    for cycles in found.sets:
        lessons = lessons_of(cycles)
        wanted = {lesson.target: MEMBERS for lesson in lessons if lesson.target in targets}
        for draw in range(options.seeds if wanted else 0):
            name = f"{cycles.configuration.name}, unseen cells" + (f", draw {draw + 1}" if options.seeds > 1 else "")
            crossed = learning.cross(lessons, wanted, options.folds, draw)
            studied = compare(lessons, options.folds, draw) if targets == TARGETS and not options.alone else {}
            for lesson in lessons:
                if lesson.target in wanted:
                    said = _crossed(crossed[lesson.target]) | studied.get(lesson.target, {})
                    cases.append(_cases(found, cycles, lesson, name, _alone(said, options)))
    return cases


def _crossed(crossed: Crossed) -> dict[str, Answer]:
    """What each method says of cells that it did not see."""
    said = {"default": learning.answer(crossed, DEFAULT), "one charge": learning.answer(crossed, ONE_CHARGE)}
    said |= {name: learning.answer(crossed, ((name,),)) for name in crossed.said}
    said = {name: told(crossed.target, answer) for name, answer in said.items()}
    return said | {"default": _or_else(said["default"], said["one charge"])}


def _alone(said: Mapping[str, Answer], options: Options) -> dict[str, Answer]:
    return {name: answer for name, answer in said.items() if not options.alone or name == "default"}


def _or_else(first: Answer, second: Answer) -> Answer:
    """Take the first's word where it has one."""
    has = np.isfinite(first.mean)
    return Answer(*(np.where(has, a, b) for a, b in zip(first, second, strict=True)))


def _cases(
    found: Folder,
    cycles: Cycles,
    lesson: Lesson,
    name: str,
    said: Mapping[str, Answer],
    rows: NDArray[np.int64] | None = None,
) -> Cases:
    """Put answers beside the truth; `rows` of the set are in the lesson (None: all)."""
    nominal = cycles.configuration.nominal_capacity_ah
    unit = nominal if lesson.target == SOH else 1.0
    return Cases(
        name=name,
        identity=cycles.identity if rows is None else cycles.identity[rows],
        target=lesson.target,
        horizon=np.zeros(len(lesson.value), np.int64),
        truth=lesson.value * unit,
        said={k: Answer(a.mean * unit, a.std * unit, a.in_domain) for k, a in said.items()},
        unscored=tuple(reason for reasons in found.unusable.values() for reason in reasons),
        points_of=nominal if lesson.target == SOH else None,
    )


def _value(cycles: Cycles, target: str) -> Float:
    return {SOH: cycles.soh, RUL: cycles.rul_row, DCCR: cycles.dccr}[target]


def _views(cycles: Cycles) -> Views:
    return views(cycles.shown, cycles.cell, cycles.row)


def _lesson(cycles: Cycles, seen: Views, target: str) -> Lesson:
    return Lesson(target, seen, _value(cycles, target), cycles.cell, cycles.protocol)


def lessons_of(cycles: Cycles) -> list[Lesson]:
    """Make a lesson of each target that enough cells have a label of."""
    seen = _views(cycles)
    lessons = [_lesson(cycles, seen, target) for target in TARGETS]
    return [one for one in lessons if len(np.unique(one.cell[np.isfinite(one.value)])) >= FEWEST_CELLS]


def _weights() -> tuple[dict[str, Model], dict[str, str]]:
    try:
        return models.kept(WEIGHTS / FILE)
    except (FileNotFoundError, ValueError) as err:
        raise WeightsError(str(err), where=str(WEIGHTS), mend="make them: bmsd train multitask") from err


def home_of_data(folder: Path) -> Path:
    """Find the one folder of data sets that has them; `folder` itself may be it. Raises UsageError."""
    from daemon.tables.cycle_features import looks_like

    for place in (folder, *sorted(p for p in folder.iterdir() if p.is_dir())):
        if looks_like(place):
            return place
    raise UsageError(
        f"no folder in {folder} has a charge's sixteen numbers", where="--data", mend="name the folder of data sets"
    )
