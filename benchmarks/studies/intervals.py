"""How good are the intervals of SOC: the layer beside one network, its table alone, or networks that disagree.

    python benchmarks/studies/intervals.py CELL_TYPE WEIGHTS_FOLDER... [--data $BMSD_DATA]

The folders hold weights of the same cell type, trained with different seeds. On the validation runs, each run's
level being set by the other runs alone, so that no way is favoured: share of the seconds that 90 % intervals
hold (mean, lowest run), their mean width, and the interval score (Gneiting and Raftery, 2007; lower is better).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch
import yaml

from daemon.training_runs import gather
from estimators.cell_type import CellType
from estimators.cross_stitch import weights
from estimators.cross_stitch.calibrate import Errors, errors, half_widths
from estimators.cross_stitch.recipe import Recipe
from estimators.cross_stitch.uncertainty import Uncertainty
from estimators.cross_stitch.windows import Run

SMALLEST_SPREAD = 1e-3


def ensemble(members: list[list[Errors]], *, heads: bool) -> list[Errors]:
    """Mean of the members; std their spread, with what each says of itself or without."""
    joined = []
    for run in zip(*members, strict=True):
        soc = np.stack([e.soc for e in run])
        variance = soc.var(axis=0, ddof=1) + SMALLEST_SPREAD**2
        if heads:
            variance = variance + np.exp(2.0 * np.stack([e.log_std for e in run])).mean(axis=0)
        joined.append(Errors(soc.mean(axis=0), run[0].soh, 0.5 * np.log(variance)))
    return joined


def in_points(found: list[Errors], known: weights.Weights, runs: list[Run]) -> list[Errors]:
    """Turn a member's deviations, which are around its table's, into absolute ones."""
    tables = [np.interp(r.temperature_celsius, known.temperature_celsius, known.soc_std) for r in runs]
    return [e._replace(log_std=e.log_std + np.log(std)) for e, std in zip(found, tables, strict=True)]


def measure(runs: list[Run], found: list[Errors]) -> tuple[float, float, float, float]:
    """Coverage, the lowest of a run, width and interval score in points."""
    rows = []
    for half, e in zip(half_widths(runs, found), found, strict=True):
        beyond = np.maximum(np.abs(e.soc) - half, 0.0)
        rows.append((np.mean(beyond == 0.0), 200.0 * half.mean(), 100.0 * (2.0 * half + 20.0 * beyond).mean()))
    held, width, score = np.array(rows).T
    return float(held.mean()), float(held.min()), float(width.mean()), float(score.mean())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cell_type")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, default=os.environ.get("BMSD_DATA"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    cell_type = CellType.load(args.cell_type)
    recipe = Recipe.from_dict(yaml.safe_load((cell_type.folder / "training.yaml").read_text(encoding="utf-8")))
    runs = gather(recipe, cell_type, Path(args.data) if args.data else None).validation
    initial_soh = cell_type.typical_soh if recipe.data else None
    members = [weights.load(folder) for folder in args.folders]
    said = [in_points(errors(m.network, runs, initial_soh, m.uncertainty), m, runs) for m in members]
    ways = {
        "table by temperature, one network": errors(members[0].network, runs, initial_soh, Uncertainty()),
        "layer, one network": said[0],
    }
    if len(members) > 1:
        ways["spread of the networks"] = ensemble(said, heads=False)
        ways["spread and layers"] = ensemble(said, heads=True)
    print("| | 90 % interval holds | worst run | width, points | score | MAE |\n|---|---|---|---|---|---|")
    for name, found in ways.items():
        held, lowest, width, score = measure(runs, found)
        mae = 100.0 * np.mean([np.abs(e.soc).mean() for e in found])
        print(f"| {name} | {held:.0%} | {lowest:.0%} | {width:.2f} | {score:.2f} | {mae:.2f} |")


if __name__ == "__main__":
    main()
