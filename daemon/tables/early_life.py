"""Later capacity of new cells, from their first cycles and from cells known whole at other temperatures."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars

from daemon.errors import UsageError
from daemon.tables.capacity_trajectory import read
from daemon.tables.cases import Cases
from estimators.early_life import plain
from estimators.early_life.estimate import known_with
from estimators.early_life.transfer import FEWEST_CYCLES, foresee, pool
from estimators.regression.regression import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from daemon.tables.capacity_trajectory import Life
    from daemon.tables.cases import Options
    from estimators.contract import Float
    from estimators.early_life.transfer import Source

    Said = tuple[Float, Float, bool]
    Method = Callable[[Float, float, Sequence[Source], int], Said]

KNOWN_CYCLES = 200
LAST_CYCLE = 1000  # predictions run on to it where a record ends before
SOURCES_CELSIUS = (25.0, 55.0)
OURS = "early-life"
DATA_SET = "tbsi-sunwoda-capacity"


def evaluate(folder: Path, options: Options) -> list[Cases]:
    """Foresee every cell that is no source, each target temperature a set; with folds, sources lack some cells."""
    known = options.known_cycles or KNOWN_CYCLES
    temperatures = options.sources or SOURCES_CELSIUS
    if known < FEWEST_CYCLES:
        raise UsageError(f"{known} cycles are too few", where="--known-cycles", mend=f"at least {FEWEST_CYCLES}")
    lives, unread = read(folder)
    whole = [
        life for life in lives if life.temperature_celsius in temperatures and len(life.told()) > known + FEWEST_CYCLES
    ]
    targets = [life for life in lives if life not in whole]
    if not targets:
        raise UsageError("every cell is a source", where="--sources", mend="leave the temperatures out that you ask of")
    if not options.folds:
        sources = known_with(_pooled(whole), temperatures)
        if not sources:
            raise UsageError(f"no cell is known whole at {temperatures}", where="--sources", mend="name others")
        by_cell = dict.fromkeys((t.cell for t in targets), sources)
        return _with(unread, _by_temperature(targets, by_cell, known, options.alone, ""))
    fewest = min(sum(v.temperature_celsius == t for v in whole) for t in temperatures)
    if options.folds < 2 or fewest < 2:
        raise UsageError(
            f"{options.folds} folds of {fewest} cells leave nothing to learn from", where="--folds", mend="at least 2"
        )
    found = [
        cases
        for seed in range(options.seeds)
        for cases in _by_temperature(
            targets, dict(_folded(whole, targets, options.folds, seed)), known, options.alone, f", seed {seed}"
        )
    ]
    return _with(unread, found)


def train(folder: Path, out: Path | None, seed: int, progress: Callable[[str], None]) -> None:
    """Pool the cells of the source temperatures, learn the modes from simulated cells, write what both are good for.

    The seed is of the simulated cells alone: pooling draws nothing.
    """
    from daemon.card import write_section
    from daemon.tables.nine_step import learn_modes
    from daemon.tables.nine_step_study import report
    from estimators.early_life.estimate import HOME
    from estimators.early_life.train import keep_modes, train_family

    lives, _ = read(folder / DATA_SET if (folder / DATA_SET).is_dir() else folder)
    train_family({t: [v.told() for v in lives if v.temperature_celsius == t] for t in SOURCES_CELSIUS}, out, progress)
    progress("learning degradation modes from simulated charges")
    models = learn_modes(seed)
    progress(f"wrote {keep_modes(models, out, seed)}")
    found = report(models, seed, progress)
    progress(found)
    write_section((out or HOME) / "CARD.md", "early-life", found)


def _with(unread: tuple[str, ...], found: list[Cases]) -> list[Cases]:
    """Say beside the scores what was not read."""
    return [replace(cases, unscored=unread + cases.unscored) for cases in found]


def _by_temperature(
    targets: Sequence[Life], sources: Mapping[str, Sequence[Source]], known: int, alone: bool, suffix: str
) -> list[Cases]:
    found = []
    for temperature in sorted({t.temperature_celsius for t in targets}):
        here = [t for t in targets if t.temperature_celsius == temperature]
        usable = [t for t in here if len(t.told(known)) == known]
        short = [f"{t.cell}: fewer than {known} cycles are told" for t in here if t not in usable]
        if usable:
            of = ", ".join(f"{s.temperature_celsius:g}" for s in sources[usable[0].cell])
            name = f"{temperature:g} °C from {of} °C, {known} cycles known{suffix}"
            found.append(_cases(name, usable, sources, known, alone, tuple(short)))
    if not found:
        raise UsageError(f"no cell has {known} cycles", where="--known-cycles", mend="ask with fewer")
    return found


def _cases(
    name: str,
    targets: Sequence[Life],
    sources: Mapping[str, Sequence[Source]],
    known: int,
    alone: bool,
    unscored: tuple[str, ...],
) -> Cases:
    rows, truth = [], []
    for life in targets:
        later = np.arange(known + 1, max(LAST_CYCLE, int(life.cycle[-1])) + 1)
        true = np.full(len(later), np.nan)
        told = life.cycle > known
        true[life.cycle[told] - known - 1] = life.capacity_ah[told]
        rows.append(
            polars.DataFrame(
                {
                    "cell": life.cell,
                    "ambient_temperature_celsius": life.temperature_celsius,
                    "cycle": known,
                    "horizon": later - known,
                }
            )
        )
        truth.append(true)
    methods = _methods(sources[targets[0].cell], alone)
    said = {
        method: _answer([ask(t.told(known), t.temperature_celsius, sources[t.cell], known + len(true))
                         for t, true in zip(targets, truth, strict=True)])
        for method, ask in methods.items()
    }  # fmt: skip
    table = polars.concat(rows)
    return Cases(
        name=name,
        identity=table.drop("horizon"),
        target="capacity_ah",
        horizon=table["horizon"].to_numpy(),
        truth=np.concatenate(truth),
        said=said,
        unscored=unscored,
    )


def _methods(sources: Sequence[Source], alone: bool) -> dict[str, Method]:
    methods: dict[str, Method] = {OURS: _ours}
    if alone:
        return methods
    methods |= {"hold": _plain(plain.hold), "line": _plain(plain.line)}
    for at, source in enumerate(sources):
        methods[f"warped {source.temperature_celsius:g} °C"] = _plain(partial(plain.warped, at=at))
    return methods | {"acceleration factors": _plain(plain.factors), "Gaussian process": _plain(plain.process)}


def _ours(early_ah: Float, temperature_celsius: float, sources: Sequence[Source], cycles: int) -> Said:
    found = foresee(early_ah, temperature_celsius, sources, cycles)
    return found.mean_ah, found.std_ah, found.in_domain


def _plain(ask: Callable[[Float, float, Sequence[Source], int], plain.Said]) -> Method:
    return lambda *asked: (*ask(*asked), True)


def _answer(said: Sequence[Said]) -> Answer:
    mean, std, inside = zip(*said, strict=True)
    in_domain = np.concatenate([np.full(len(m), i) for m, i in zip(mean, inside, strict=True)])
    return Answer(np.concatenate(mean), np.concatenate(std), in_domain)


def _pooled(whole: Sequence[Life]) -> list[Source]:
    temperatures = sorted({life.temperature_celsius for life in whole})
    return [pool([v.told() for v in whole if v.temperature_celsius == t], t) for t in temperatures]


def _folded(
    whole: Sequence[Life], targets: Sequence[Life], folds: int, seed: int
) -> Iterator[tuple[str, list[Source]]]:
    """Give each target cell sources that lack one part of `folds` of their cells, drawn by temperature."""
    rng = np.random.default_rng(seed)
    part: dict[str, int] = {}
    for temperature in sorted({life.temperature_celsius for life in (*whole, *targets)}):
        cells = [life.cell for life in (*whole, *targets) if life.temperature_celsius == temperature]
        part |= {cells[i]: place % folds for place, i in enumerate(rng.permutation(len(cells)))}
    pooled = [_pooled([life for life in whole if part[life.cell] != fold]) for fold in range(folds)]
    return ((target.cell, pooled[part[target.cell]]) for target in targets)
