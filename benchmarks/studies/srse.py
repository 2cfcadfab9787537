"""SRSE taken apart: without its parts, with other backbones, and on configurations that it has not seen.

python benchmarks/studies/srse.py --data shared/data/zhu2022-voltage-relaxation --what parts --folds 3 --seeds 3

RMSE of SOH in points, cells left out, mean and standard deviation over seeds; `--what` parts, backbones or unseen.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from daemon.tables import charges
from daemon.tables.srse import ROWS_OF_A_CELL, folds_of
from estimators.regression.fit import FITS
from estimators.regression.inputs import Inputs
from estimators.srse.features import CODE_CHANNELS
from estimators.srse.network import BACKBONES
from estimators.srse.train import (
    Recipe,
    add_configuration,
    learn_configuration_scale,
    predict,
    specialise,
    train,
    train_joint,
    train_pair,
)

if TYPE_CHECKING:
    from daemon.tables.charges import Charges

FEWER = "the code's four channels"
LABELLED = (0, 1, 5)  # cells of the unseen configuration
PARTS = {
    "srse": {},
    "begun at the joint head": {"from_joint": True},
    "without weights": {"weights": False},
    "without adversary": {"adversary": False},
    "without either": {"weights": False, "adversary": False},
    "one stage": {"two_stages": False},
}


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--what", choices=["parts", "backbones", "unseen"], required=True)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="rows to print")
    args = parser.parse_args()
    torch.set_num_threads(1)
    known = charges.read(args.data)
    known = known.pick(np.isfinite(known.soh)).thinned(ROWS_OF_A_CELL)
    if args.what == "unseen":
        _unseen(known, args.seeds)
        return
    rows = PARTS if args.what == "parts" else {b: {"backbone": b} for b in BACKBONES}
    names = np.unique(known.configuration).tolist()
    print("RMSE, points:", *names, "all", sep=" | ")
    for row, changes in rows.items():
        if args.only and row not in args.only:
            continue
        recipe = replace(known.recipe, **changes)
        _row(row if args.what == "parts" else f"{row}, srse", known, recipe, args)
        if args.what == "backbones":
            _row(f"{row}, single-task", known, recipe, args, alone=True)
    if args.what == "parts" and known.x.shape[1] > len(CODE_CHANNELS) and FEWER in (args.only or [FEWER]):
        fewer = replace(known, x=known.x[:, list(CODE_CHANNELS)], recipe=replace(known.recipe, outliers=()))
        _row(FEWER, fewer, fewer.recipe, args)


def _row(name: str, known: Charges, recipe: Recipe, args: argparse.Namespace, alone: bool = False) -> None:
    """Train and score in every fold of every seed."""
    names = np.unique(known.configuration).tolist()
    errors = np.array([_by_configuration(known, recipe, args.folds, seed, alone) for seed in range(args.seeds)])
    cells = [f"{100 * m:.2f} ± {100 * s:.2f}" for m, s in zip(errors.mean(0), errors.std(0), strict=True)]
    assert len(cells) == len(names) + 1
    print(name, *cells, sep=" | ", flush=True)


def _by_configuration(known: Charges, recipe: Recipe, folds: int, seed: int, alone: bool) -> list[float]:
    names = np.unique(known.configuration).tolist()
    said = np.full(len(known), np.nan)
    for learnt, held in folds_of(known, folds, seed):
        some, judged = known.pick(learnt), known.pick(held)
        if alone:
            part = np.full(len(judged), np.nan)
            for name in np.unique(judged.configuration):
                rows = judged.configuration == name
                part[rows] = predict(train_pair(some.rows([name]), recipe, seed).net, judged.pick(rows).x)
            said[held] = part
        else:
            task = [names.index(c) for c in judged.configuration.tolist()]
            said[held] = predict(train(some.rows(names), recipe, seed).net, judged.x, task)
    error = said - known.soh
    of_each = [error[known.configuration == n] for n in names]
    return [float(np.sqrt(np.nanmean(e**2))) for e in (*of_each, error)]


def _unseen(known: Charges, seeds: int) -> None:
    """Leave each configuration out, then label none, one or five of its cells."""
    methods = ("srse", "begun at the joint head", "single-task network", "ridge")
    print("RMSE, points: configuration, labelled cells", *methods, sep=" | ")
    names = np.unique(known.configuration).tolist()
    for name in names:
        found: dict[int, list[list[float]]] = defaultdict(list)
        for seed in range(seeds):
            for count, errors in _adapted(known, name, [n for n in names if n != name], seed):
                found[count].append(errors)
        for count, of_seeds in found.items():
            mean, spread = 100 * np.mean(of_seeds, axis=0), 100 * np.std(of_seeds, axis=0)
            cells = [f"{m:.2f} ± {s:.2f}" for m, s in zip(mean, spread, strict=True)]
            print(f"{name}, {count}", *cells, sep=" | ", flush=True)


def _adapted(known: Charges, name: str, others: list[str], seed: int) -> list[tuple[int, list[float]]]:
    """Errors of SRSE, of a network of its own and of ridge, on cells that none of the labels are of."""
    some, new = known.pick(known.configuration != name), known.pick(known.configuration == name)
    net = train_joint(some.rows(others), known.recipe, seed)
    cells = np.random.default_rng(seed).permutation(np.unique(new.cell))
    found = []
    for count in LABELLED:
        if count >= len(cells):
            continue
        rows = np.isin(new.cell, cells[:count])
        judged, told = new.pick(~rows), new.pick(rows)
        if count == 0:
            joint, none = predict(net, judged.x, [-1] * len(judged)), np.full(len(judged), np.nan)
            answers = [joint, joint, none, _ridge(some, judged)]
        else:
            labelled = told.rows([name])
            answers = []
            for from_joint in (False, True):
                recipe, task = replace(known.recipe, from_joint=from_joint), add_configuration(net)
                learn_configuration_scale(net, task, labelled, recipe)
                specialise(net, task, labelled, labelled.take(np.array([], int)), recipe, seed)
                answers.append(predict(net, judged.x, [task] * len(judged)))
            answers += [predict(train_pair(labelled, known.recipe, seed).net, judged.x), _ridge(told, judged)]
        found.append((count, [float(np.sqrt(np.mean((a - judged.soh) ** 2))) for a in answers]))
    return found


def _ridge(some: Charges, judged: Charges) -> np.ndarray:
    scale = Inputs.learn(some.plain).scale
    return FITS["ridge"](scale(some.plain), some.soh, 0).predict(scale(judged.plain))


if __name__ == "__main__":
    main()
