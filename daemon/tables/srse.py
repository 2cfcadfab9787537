"""SRSE on folders of charges: its errors beside those of plain models and of networks that share nothing.

`evaluate` scores the weights that there are, or with `folds` learns anew without some of the cells of every
configuration; `soh_cases` is the same with the default model first; `train` makes the weights.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from daemon.errors import UsageError, WeightsError
from daemon.tables import charges
from daemon.tables.cases import Cases, Options
from daemon.tables.charges import Charges
from daemon.tables.forms import each
from estimators.regression.regression import Answer
from estimators.srse import plain, saved
from estimators.srse.network import Srse
from estimators.srse.plain import Correction, Looks
from estimators.srse.saved import Profile, Saved
from estimators.srse.train import predict, train_joint, train_pair
from estimators.srse.train import train as train_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Bool = NDArray[np.bool_]
    Method = Callable[[Charges, Charges, int], Answer]  # (those to learn from, those to judge, seed)

TARGET = "capacity_ah"
ROWS_OF_A_CELL = 40  # to learn from: neighbours are alike
ALONE = "not asked, since its configuration has no other cell with a label to learn from"
SETS = ("nasa-pcoe-aging", "zhu2022-voltage-relaxation", "pinn4soh-cycle-features")


def evaluate(folder: Path, options: Options) -> list[Cases]:
    """Score on a folder of recordings, charges' ends and partial charges, one block a configuration."""
    return each(folder, options, [(there, partial(_read_and_evaluate, read)) for there, read in charges.FORMS])


def _read_and_evaluate(read: Callable[[Path], Charges], folder: Path, options: Options) -> list[Cases]:
    return _evaluate(read(folder), options)


def soh_cases(folder: Path, options: Options) -> list[Cases]:
    """Score what the service says by default of a full charge, on a folder of recordings."""
    found = _evaluate(charges.full_charges(folder), options)
    return [_first(cases, DEFAULT) for cases in found]


def train(folder: Path, out: Path | None, seed: int, progress: Callable[[str], None]) -> None:
    """Make the weights of each form whose data set is under `folder`, and the card."""
    from daemon.tables.srse_card import write

    torch.set_num_threads(1)
    out = out or saved.FOLDER
    found = [folder / name for name in SETS if (folder / name).is_dir()]
    if not found:
        raise UsageError("none of SRSE's data sets is there", where=str(folder), mend=f"it needs {', '.join(SETS)}")
    made = []
    for path in found:
        known = charges.read(path)
        made.append((known, _make(known, out, seed, progress)))
    write((out.parent if out == saved.FOLDER else out) / "CARD.md", made, seed)


def _make(known: Charges, out: Path, seed: int, progress: Callable[[str], None]) -> Saved:
    """Train on all cells of one form and write what was learnt."""
    some = known.pick(np.isfinite(known.soh))
    if some.looks is not None:
        plain.learn(some.looks, some.soh, some.cell, seed).keep(_place(out, saved.PLAIN))
        progress(f"{known.form}: wrote {saved.PLAIN}")
    thin = some.thinned(ROWS_OF_A_CELL)
    names = np.unique(thin.configuration).tolist()
    trained = train_network(thin.rows(names), thin.recipe, seed)
    assert isinstance(trained.net, Srse)
    unknown = max(_unknown_error(thin, name, seed) for name in names)
    profiles = tuple(_profile(some, name, std) for name, std in zip(names, trained.std, strict=True))
    made = Saved(trained.net, thin.recipe.backbone, profiles, unknown)
    saved.save(made, _place(out, known.weights_file))
    progress(f"{known.form}: wrote {known.weights_file} for {', '.join(names)}")
    return made


def _place(out: Path, name: str) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    return out / name


def _unknown_error(known: Charges, name: str, seed: int) -> float:
    """Find the joint head's error on a configuration that it was not trained on."""
    others = [n for n in np.unique(known.configuration).tolist() if n != name]
    net = train_joint(known.rows(others), known.recipe, seed)
    left = known.rows([name])
    return float(np.sqrt(np.mean((predict(net, left.x, [-1] * len(left)) - left.y.numpy()) ** 2)))


def _profile(known: Charges, name: str, std: float) -> Profile:
    nominal = float(known.nominal_capacity_ah[known.configuration == name][0])
    some = [r for r, c in zip(known.recordings, known.configuration.tolist(), strict=False) if c == name]
    if not some:
        nan = float("nan")
        return Profile(name, nominal, std, nan, nan, nan, nan, nan, nan)
    rates = [float(r.ampere.max()) / r.nominal_capacity_ah for r in some]
    celsius = [r.temperature_celsius for r in some]
    begun, ended = max(r.begun_volt for r in some), min(float(r.volt.max()) for r in some)
    return Profile(name, nominal, std, begun, ended, min(celsius), max(celsius), min(rates), max(rates))


def _evaluate(known: Charges, options: Options) -> list[Cases]:
    torch.set_num_threads(1)
    if not options.folds:
        return _cases(known, {name: answer(known) for name, answer in _shipped(known, options.alone).items()}, "")
    methods = {n: m for n, m in _methods(known).items() if not options.alone or n == "srse"}
    found = []
    for seed in range(options.seeds):
        said = {name: _blank(len(known)) for name in methods}
        asked = np.zeros(len(known), bool)
        for learnt, held in folds_of(known, options.folds, seed):
            thin, judged = known.pick(learnt & np.isfinite(known.soh)).thinned(ROWS_OF_A_CELL), known.pick(held)
            asked |= held
            for name, method in methods.items():
                for into, values in zip(said[name], method(thin, judged, seed), strict=True):
                    into[held] = values
        reasons = tuple(f"{c}: {ALONE}" for c in np.unique(known.cell[~asked]))
        if not asked.any():
            raise UsageError("too few cells to learn from", where="--folds", mend="; ".join(known.unscored + reasons))
        draw = f", draw {seed + 1}" if options.seeds > 1 else ""
        found += _cases(replace(known, unscored=known.unscored + reasons), said, draw)
    return found


def folds_of(known: Charges, folds: int, seed: int) -> Iterator[tuple[Bool, Bool]]:
    """Part whole cells with a label, those of each configuration alike; one alone is always learnt from."""
    draw = np.random.default_rng(seed)
    fold = np.full(len(known), -1)
    for name in np.unique(known.configuration):
        cells = draw.permutation(np.unique(known.cell[(known.configuration == name) & np.isfinite(known.soh)]))
        for i, cell in enumerate(cells if len(cells) > 1 else []):
            fold[known.cell == cell] = i % folds
    for k in np.unique(fold[fold >= 0]):
        yield fold != k, fold == k


def _cases(known: Charges, said: dict[str, Answer], draw: str) -> list[Cases]:
    """One block a configuration; answers in Ah."""
    found = []
    for name in np.unique(known.configuration):
        rows = known.configuration == name
        ah = known.nominal_capacity_ah[rows]
        some = known.pick(rows)
        answers = {m: Answer(a.mean[rows] * ah, a.std[rows] * ah, a.in_domain[rows]) for m, a in said.items()}
        title = f"{known.form}, {name}{draw}"
        horizon = np.zeros(len(ah), np.int64)
        found.append(
            Cases(title, some.identity, TARGET, horizon, some.soh * ah, answers, known.unscored, points_of=float(ah[0]))
        )
    return found


def _first(cases: Cases, name: str) -> Cases:
    rest = {k: v for k, v in cases.said.items() if k != name}
    said = {name: cases.said[name]} | rest if name in cases.said else rest
    return replace(cases, said=said)


DEFAULT = "counted, corrected"


def _shipped(known: Charges, alone: bool) -> dict[str, Callable[[Charges], Answer]]:
    """What can be asked without learning."""
    try:
        network = saved.load(saved.FOLDER / known.weights_file)
        methods: dict[str, Callable[[Charges], Answer]] = {
            "srse": lambda c: network.predict(c.x, c.configuration.tolist())
        }
        if known.looks is None:
            return methods
        correction = Correction.read(saved.FOLDER / saved.PLAIN)
    except (FileNotFoundError, ValueError) as err:
        raise WeightsError(str(err), where=str(saved.FOLDER), mend="train it first: bmsd train srse") from err
    methods[DEFAULT] = lambda c: correction.predict(_looks(c))
    if alone:
        return methods
    return methods | {
        "the same, discharge unseen": lambda c: correction.predict(_unseen(c)),
        "charge counted": lambda c: _untold(c.looks.statistics[:, plain.CHARGE] if c.looks else c.soh),
        "hold": lambda c: _untold(c.held),
    }


def _methods(known: Charges) -> dict[str, Method]:
    """What learns."""
    networks: dict[str, Method] = {"srse": _srse, "single-task networks": _single, "pooled network": _pooled}
    kinds: dict[str, Method] = {kind: partial(_regression, kind) for kind in ("ridge", "boosting")}
    if known.looks is None:
        return networks | kinds
    return (
        networks
        | kinds
        | {
            DEFAULT: partial(_corrected, _looks),
            "the same, discharge unseen": partial(_corrected, _unseen),
            "charge counted": lambda _, held, __: _untold(_looks(held).statistics[:, plain.CHARGE]),
            "hold": lambda _, held, __: _untold(held.held),
        }
    )


def _srse(some: Charges, held: Charges, seed: int) -> Answer:
    names = np.unique(some.configuration).tolist()
    trained = train_network(some.rows(names), some.recipe, seed)
    task = [names.index(c) for c in held.configuration.tolist()]
    said = predict(trained.net, held.x, task)
    return Answer(said, np.array(trained.std)[task], np.ones(len(said), bool))


def _single(some: Charges, held: Charges, seed: int) -> Answer:
    said = _blank(len(held))
    for name in np.unique(held.configuration):
        rows = held.configuration == name
        trained = train_pair(some.rows([name]), some.recipe, seed)
        said.mean[rows], said.std[rows] = predict(trained.net, held.pick(rows).x), trained.std[0]
        said.in_domain[rows] = True
    return said


def _pooled(some: Charges, held: Charges, seed: int) -> Answer:
    names = np.unique(some.configuration).tolist()
    trained = train_pair(some.rows(names), some.recipe, seed)
    said = predict(trained.net, held.x)
    task = [names.index(c) for c in held.configuration.tolist()]
    return Answer(said, np.array(trained.std)[task], np.ones(len(said), bool))


def _corrected(view: Callable[[Charges], Looks], some: Charges, held: Charges, seed: int) -> Answer:
    return plain.learn(view(some), some.soh, some.cell, seed).predict(view(held))


def _regression(kind: str, some: Charges, held: Charges, seed: int) -> Answer:
    from estimators.regression.fit import fit

    return fit(some.plain, some.soh, some.cell, [kind], seed, 3).predict(held.plain)


def _blank(rows: int) -> Answer:
    mean, std = np.full((2, rows), np.nan)
    return Answer(mean, std, np.zeros(rows, bool))


def _looks(known: Charges) -> Looks:
    assert known.looks is not None
    return known.looks


def _unseen(known: Charges) -> Looks:
    looks = _looks(known)
    return Looks(looks.statistics, np.full(len(known), np.nan), looks.configuration)


def _untold(soh: NDArray[np.float64]) -> Answer:
    """Say a SOH without any word of how sure it is."""
    return Answer(soh, np.full(len(soh), np.nan), np.isfinite(soh))
