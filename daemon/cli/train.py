"""`bmsd train`: make the weights of a cell type, or of a health check, again."""

from __future__ import annotations

import argparse
import math
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.tables.models import TABLE_MODELS

if TYPE_CHECKING:
    from daemon.training_runs import Split
    from estimators.cell_type import CellType
    from estimators.cross_stitch.network import Network
    from estimators.cross_stitch.recipe import Recipe

EXAMPLE = "bmsd train cross-stitch --cell-type panasonic-18650pf --data shared/data --out weights/"
SEARCHED = "multitask"  # of the health checks, the one that has settings to search for
SEARCH_STEPS = 300  # of the recipe's batch, for each of the settings that --search tries


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("model", choices=["cross-stitch", *TABLE_MODELS])
    parser.add_argument("--cell-type", help="cross-stitch: name or folder of a cell type with a training.yaml")
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("BMSD_DATA"), help="folder of data sets (default: $BMSD_DATA)"
    )
    parser.add_argument("--out", type=Path, help="where weights go (default: where the package keeps them)")
    parser.add_argument("--seed", type=int, default=0, help="of a health check's training (default: 0)")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("runs"),
        help="checkpoints; a run that was cut goes on from here (default: runs/)",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=1, help="processor cores (default: 1)")
    only = parser.add_mutually_exclusive_group()
    only.add_argument(
        "--search",
        type=int,
        metavar="N",
        help="train nothing: try N settings briefly and write the best ones to --work",
    )
    only.add_argument(
        "--calibrate-only",
        action="store_true",
        help="train nothing: measure the weights there are, and write them again",
    )


def run(args: argparse.Namespace) -> int:
    """Train, measure, save."""
    return _train_on_tables(args) if args.model in TABLE_MODELS else _train_network(args)


def _train_on_tables(args: argparse.Namespace) -> int:
    """Train a health check's models, or search for their settings."""
    from importlib.util import find_spec

    from daemon.errors import UsageError
    from daemon.tables.models import home

    if args.calibrate_only or (args.search is not None and args.model != SEARCHED):
        option, for_whom = ("--calibrate-only", "") if args.calibrate_only else ("--search", f" and {SEARCHED}")
        raise UsageError(f"{option} is for cross-stitch{for_whom} alone", where=args.model, mend="leave it out")
    if args.search is not None:
        _may_search(args.search)

    if find_spec("sklearn") is None:
        raise UsageError("scikit-learn is not installed", where=args.model, mend="pip install 'bmsd[train]'")
    if not args.data or not Path(args.data).is_dir():
        raise UsageError(
            f"no folder {args.data}", where="--data", mend="name the folder of data sets, or set BMSD_DATA"
        )
    if args.search is None:
        home(args.model).train(Path(args.data), args.out, args.seed, _say)
        return 0
    from daemon.tables.multitask_search import settings_found

    settings_found(Path(args.data), args.work / args.model, args.search, args.seed, _say)
    return 0


def _train_network(args: argparse.Namespace) -> int:
    """Train, calibrate on the validation runs, save."""
    import torch

    from daemon.card import network_section, write_section
    from daemon.errors import UsageError
    from daemon.training_runs import gather
    from estimators.cell_type import NETWORK_FILE
    from estimators.cross_stitch import weights
    from estimators.cross_stitch.calibrate import calibrate, intervals, table
    from estimators.cross_stitch.train import LEARNING_FILE, train

    torch.set_num_threads(args.threads)
    if args.search is not None:
        _may_search(args.search)
    cell_type, recipe = _recipe(args)
    try:
        split = gather(recipe, cell_type, Path(args.data) if args.data else None)
    except (ValueError, ModuleNotFoundError) as err:
        mend = "mend `simulated` in the recipe; PyBaMM comes with `pip install 'bmsd[train]'`"
        raise UsageError(str(err), where=str(cell_type.folder / "training.yaml"), mend=mend) from err
    hours = sum(map(len, split.train)) / 3600
    _say(f"{len(split.train)} training runs of {hours:.0f} h, {len(split.validation)} validation runs")
    if args.search is not None:
        return _search(args, cell_type, recipe, split)
    out = args.out or cell_type.folder
    out.mkdir(parents=True, exist_ok=True)
    initial_soh = _initial_soh(cell_type, recipe)

    def check(trained: Network) -> str:
        return table(trained, split.validation, initial_soh)

    if args.calibrate_only:
        network = _known(out if (out / NETWORK_FILE).is_file() else cell_type.folder).to(args.device)
    else:
        begun = _begun(recipe, split).to(args.device)
        work = args.work / cell_type.name
        network = train(begun, split.train, recipe.settings, work, _say, check)
        shutil.copyfile(work / LEARNING_FILE, out / LEARNING_FILE)
    _say("calibrating")
    reference_soh = cell_type.typical_soh if cell_type.soc_reference == "nominal" else math.nan
    calibrated = calibrate(
        network, split.validation, reference_soh, initial_soh, training=split.train, settings=recipe.settings
    )
    weights.save(calibrated, out)
    validated = f"{check(network)}\n{intervals(calibrated, split.validation, initial_soh)}"
    made_by = [word for word in sys.argv if word != "--calibrate-only"]  # the training ends with the same calibration
    write_section(out / "CARD.md", cell_type.name, network_section(made_by, split, recipe, validated))
    _say(f"wrote {out / NETWORK_FILE}\n{validated}")
    return 0


def _may_search(trials: int) -> None:
    """Refuse a search that cannot be made, before anything is read. Raises UsageError."""
    from importlib.util import find_spec

    from daemon.errors import UsageError

    if trials < 1:
        raise UsageError(f"a search of {trials} trials finds nothing", where="--search", mend="try 20")
    if find_spec("optuna") is None:
        raise UsageError("Optuna is not installed", where="--search", mend="pip install 'bmsd[train]'")


def _search(args: argparse.Namespace, cell_type: CellType, recipe: Recipe, split: Split) -> int:
    """Try settings, and write the best ones as the `settings` of a training.yaml."""
    from dataclasses import replace

    import yaml

    from estimators.cross_stitch.search import search

    settings = replace(recipe.settings, steps=min(recipe.settings.steps, SEARCH_STEPS))
    best, error = search(
        lambda: _begun(recipe, split).to(args.device),
        split.train,
        split.validation,
        settings,
        trials=args.search,
        initial_soh=_initial_soh(cell_type, recipe),
        say=_say,
    )
    path = args.work / cell_type.name / "searched.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    made = f"# {args.search} trials of {settings.steps} steps of {settings.rows} rows; SOC + SOH off by {error:.3f}\n"
    path.write_text(made + yaml.safe_dump({"settings": best}), encoding="utf-8")
    _say(f"wrote {path}: put its settings into {cell_type.folder / 'training.yaml'}")
    return 0


def _initial_soh(cell_type: CellType, recipe: Recipe) -> float | None:
    """Say the SOH that validation runs begin with: nobody knows it of a measured cell; None: as labelled."""
    return cell_type.typical_soh if recipe.data else None


def _recipe(args: argparse.Namespace) -> tuple[CellType, Recipe]:
    """Read the cell type's recipe. Raises UsageError where it has none, or the data that it wants is missing."""
    import yaml

    from daemon.errors import UsageError
    from daemon.models import load_cell_type
    from estimators.cross_stitch.recipe import Recipe

    if args.cell_type is None:
        raise UsageError("whose weights?", where="--cell-type", mend="name a cell type; `bmsd models` lists them")
    cell_type = load_cell_type(args.cell_type, "--cell-type")
    path = cell_type.folder / "training.yaml"
    if not path.is_file():
        raise UsageError(
            f"{cell_type.name} has no recipe", where=str(path), mend="copy a shipped type's training.yaml and edit it"
        )
    try:
        recipe = Recipe.from_dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as err:
        raise UsageError(str(err), where=str(path), mend="compare it with a shipped type's training.yaml") from err
    if recipe.data and (args.data is None or not (Path(args.data) / recipe.data).is_dir()):
        raise UsageError(
            f"the recipe wants the data set {recipe.data}", where=str(args.data), mend="give --data or set BMSD_DATA"
        )
    return cell_type, recipe


def _begun(recipe: Recipe, split: Split) -> Network:
    """Make the network that a training begins with: drawn at random, or the one that the recipe starts from."""
    import torch

    from daemon.models import load_cell_type
    from estimators.cross_stitch.network import Network
    from estimators.cross_stitch.train import fit_range

    torch.manual_seed(recipe.settings.seed)
    network = Network()
    if recipe.start_from:
        network.load_state_dict(_known(load_cell_type(recipe.start_from, "start_from").folder).state_dict())
    fit_range(network, split.train, learnt=recipe.start_from is not None)
    return network


def _known(folder: Path) -> Network:
    """Read the network of a folder. Raises WeightsError where there is none."""
    from daemon.errors import WeightsError
    from estimators.cross_stitch import weights

    try:
        return weights.load(folder).network
    except (FileNotFoundError, ValueError) as err:
        raise WeightsError(str(err), where=str(folder), mend="train it first: bmsd train cross-stitch") from err


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
