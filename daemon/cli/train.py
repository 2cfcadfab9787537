"""`bmsd train`: make a cell type's weights again, by its own recipe."""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path

EXAMPLE = "bmsd train cross-stitch --cell-type panasonic-18650pf --data shared/data --out weights/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("model", choices=["cross-stitch"])
    parser.add_argument("--cell-type", required=True, help="name or folder of a cell type with a training.yaml")
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("BMSD_DATA"), help="folder of data sets (default: $BMSD_DATA)"
    )
    parser.add_argument("--out", type=Path, help="where weights go (default: the cell type's folder)")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("runs"),
        help="checkpoints; a run that was cut goes on from here (default: runs/)",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=1, help="processor cores (default: 1)")


def run(args: argparse.Namespace) -> int:
    """Train, calibrate on the validation runs, save."""
    import torch
    import yaml

    from daemon.card import network_section, write_section
    from daemon.errors import UsageError
    from daemon.models import load_cell_type
    from daemon.training_runs import gather
    from estimators.cell_type import NETWORK_FILE
    from estimators.cross_stitch import weights
    from estimators.cross_stitch.calibrate import calibrate, table
    from estimators.cross_stitch.network import Network
    from estimators.cross_stitch.recipe import Recipe
    from estimators.cross_stitch.train import fit_range, train

    torch.set_num_threads(args.threads)
    cell_type = load_cell_type(args.cell_type, "--cell-type")
    path = cell_type.folder / "training.yaml"
    if not path.is_file():
        raise UsageError(
            f"{cell_type.name} has no recipe", where=str(path), mend="copy a shipped type's training.yaml and edit it"
        )
    recipe = Recipe.from_dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    if recipe.data and (args.data is None or not (Path(args.data) / recipe.data).is_dir()):
        raise UsageError(
            f"the recipe wants the data set {recipe.data}", where=str(args.data), mend="give --data or set BMSD_DATA"
        )
    split = gather(recipe, cell_type, Path(args.data) if args.data else None)
    hours = sum(map(len, split.train)) / 3600
    _say(f"{len(split.train)} training runs of {hours:.0f} h, {len(split.validation)} validation runs")

    torch.manual_seed(recipe.settings.seed)
    network = Network()
    if recipe.start_from:
        network.load_state_dict(
            weights.load(load_cell_type(recipe.start_from, "start_from").folder).network.state_dict()
        )
        network.requires_grad_(True)
    fit_range(network, split.train, learnt=recipe.start_from is not None)
    network.to(args.device)
    work = args.work / cell_type.name
    initial_soh = cell_type.typical_soh if recipe.data else None  # nobody knows it of a measured cell

    def check(trained: Network) -> str:
        return table(trained, split.validation, initial_soh)

    average = train(network, split.train, recipe.settings, work, _say, check).cpu()
    out = args.out or cell_type.folder
    out.mkdir(parents=True, exist_ok=True)
    reference_soh = cell_type.typical_soh if cell_type.soc_reference == "nominal" else math.nan
    weights.save(calibrate(average, split.validation, reference_soh, initial_soh), out)
    validated = check(average)
    write_section(out / "CARD.md", cell_type.name, network_section(sys.argv, split, recipe, validated))
    _say(f"wrote {out / NETWORK_FILE}\n{validated}")
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
