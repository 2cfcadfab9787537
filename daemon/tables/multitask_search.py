"""Search for the settings of the network that learns SOH, cycles left and fade rate together, and say if it paid.

Of each set every fifth cell is kept aside: it chooses nothing, and is what found and usual settings are compared on.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import yaml

from daemon.tables.cycle_features import read
from daemon.tables.multitask import MOST, home_of_data, lessons_of
from estimators.multitask.network import Settings
from estimators.multitask.search import CHOICES, RATES, asked, search
from estimators.multitask.train import MEMBERS, TOGETHER, thinned
from estimators.regression.fit import by_cell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from estimators.multitask.train import Lesson

ASIDE = 5  # one cell in so many
FOLDS = 3  # of the others
FILE = "searched.yaml"


def settings_found(folder: Path, work: Path, trials: int, seed: int, say: Callable[[str], None]) -> None:
    """Search for each set under `folder`; write what was found to `work`. Raises UsageError where there is no set."""
    usual = Settings(**next(member.options for member in MEMBERS.values() if member.kind == TOGETHER))
    found = {}
    for cycles in read(home_of_data(folder)).sets:
        name = cycles.configuration.name
        say(f"{name}:")
        rows = thinned(cycles.cell, np.ones(len(cycles.cell), bool), MOST)
        lessons = [lesson.pick(rows) for lesson in lessons_of(cycles)]
        best, errors = _searched(lessons, usual, trials, seed, say)
        found[name] = {key: value for key, value in asdict(best).items() if key in (*RATES, *CHOICES)} | errors
        say(f"{name}, cells kept aside, in deviations: {errors}")
    work.mkdir(parents=True, exist_ok=True)
    (work / FILE).write_text(yaml.safe_dump(found, sort_keys=False), encoding="utf-8")
    say(f"wrote {work / FILE}")


def _searched(
    lessons: Sequence[Lesson], usual: Settings, trials: int, seed: int, say: Callable[[str], None]
) -> tuple[Settings, dict[str, float]]:
    """Search on most cells, and compare on those kept aside."""
    cell, protocol = lessons[0].cell, lessons[0].protocol
    others, aside = next(by_cell(cell, ASIDE, seed, protocol))
    best = search(
        [lesson.pick(np.flatnonzero(others)) for lesson in lessons],
        usual,
        trials=trials,
        folds=FOLDS,
        seed=seed,
        say=say,
    )
    errors = {"found": best, "usual": usual}
    return best, {f"{n}_error": round(asked(lessons, others, aside, s, seed), 4) for n, s in errors.items()}
