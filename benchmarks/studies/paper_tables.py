"""Tables 3, 4 and 5 of the cross-stitch paper, rebuilt on simulated ageing, with the baselines that it leaves out.

    python benchmarks/studies/paper_tables.py [--steps 800] [--rows 8] [--seeds 3] [--out runs/paper-tables]

Three loss weightings (end to end), four training plans (empirical weighting), and all of them on a load pattern
that trained nothing; each network is trained `--seeds` times, begun at random, with equal steps and batch. The
cells that measure are other cells than those that train, at room temperature as in the paper, of SOH 0.75 to 1,
ageing so fast that a day costs them several points. Beside them: the initial SOH held, counting, and the Kalman filter.
The SOH that everyone is told at the start is wrong by the same draw (standard deviation 3 points). Networks get
no SOC to start with; nor do counting and filter, which find one in the first voltage.

Every finished training is a line of results.jsonl in `--out`: a run that was cut goes on with the next one.
The tables are printed as markdown, means over the trainings plus or minus their standard deviation.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from estimators.cell_type import CellType
from estimators.contract import Second, Start
from estimators.coulomb import Coulomb
from estimators.cross_stitch.network import Network
from estimators.cross_stitch.sequence import run as run_network
from estimators.cross_stitch.train import Settings, fit_range, train
from estimators.cross_stitch.windows import Run
from estimators.ekf import Ekf
from simulators.cell import Parameters, draw_soc, initial, step
from simulators.recording import simulate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from estimators.contract import Estimator

CELL_TYPE, CHEMISTRY, CAPACITY_AH = "generic-nca", "nca", 2.9
TRAINING_CELLS, TRAINING_SECOND, TRAINING_SEED = 64, 43_200, 11
UNSEEN_CELLS, UNSEEN_SECOND, UNSEEN_SEED = 12, 28_800, 911
CELSIUS, SOH = (20.0, 28.0), (0.75, 1.0)  # a room's temperature, as in the paper
AGEING_SPEED = 100.0  # some three points of SOH in eight hours, as much as the SOH that is told is wrong
SOH_ERROR, SOH_ERROR_SEED = 0.03, 5
SETTLED_SECOND = 600  # scores leave out what belongs to the unknown start
PULSE_C, PULSE_SECOND, PAUSE_SECOND, CHARGE_C = -0.7, 600, 300, 0.5
EMPTY_SOC = 0.08


class Row(NamedTuple):
    """One line of a table and the trainings that it needs; two are a pair, SOC of one and SOH of the other."""

    name: str
    runs: tuple[str, ...]


CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "empirical": {},
    "uncertainty": {"weighting": "uncertainty"},
    "dynamic_average": {"weighting": "dynamic_average"},
    "towers_first": {"plan": "towers_first"},
    "shared_trunk": {"plan": "shared_trunk"},
    "soc_alone": {"plan": "soc_alone"},
    "soh_alone": {"plan": "soh_alone"},
}
WEIGHTINGS = (
    Row("empirical, w = 5", ("empirical",)),
    Row("uncertainty", ("uncertainty",)),
    Row("dynamic weight average", ("dynamic_average",)),
)
PLANS = (
    Row("end to end", ("empirical",)),
    Row("towers first, then stitches", ("towers_first",)),
    Row("shared trunk, no stitches", ("shared_trunk",)),
    Row("separate single-task pair", ("soc_alone", "soh_alone")),
)
BASELINES = ("hold SOH_0", "counting", "counting, right start", "ekf")


def cells(count: int, seconds: int, seed: int) -> list[Run]:
    """Cells of one lot on FUDS random pulses, ageing."""
    ambient, soh = _draw(count, seed)
    shown = simulate(
        count,
        seconds,
        seed,
        chemistry=CHEMISTRY,
        nominal_capacity_ah=CAPACITY_AH,
        ambient_temperature_celsius=ambient,
        initial_soh=soh,
        ageing_speed=AGEING_SPEED,
    )
    c_rate = shown.current_ampere / np.float32(CAPACITY_AH)
    return _runs(shown.voltage_volt, c_rate, shown.temperature_celsius, shown.soc, shown.soh)


def pulsed_cells(count: int, seconds: int, seed: int) -> list[Run]:
    """Such cells on a pattern that trained nothing: constant pulses and pauses down to empty, then a charge."""
    ambient, soh = _draw(count, seed)
    parameters = Parameters.draw(count, seed, CHEMISTRY, CAPACITY_AH, AGEING_SPEED)
    state = initial(parameters, draw_soc(count, seed), soh, ambient)
    low, high = parameters.chemistry.voltage_min_volt, parameters.chemistry.voltage_max_volt
    charging = np.zeros(count, dtype=bool)
    shown = np.empty((5, count, seconds), dtype=np.float32)
    for k in range(seconds):
        charging = np.where(charging, state.voltage_volt < high, (state.soc < EMPTY_SOC) | (state.voltage_volt < low))
        pulse = PULSE_C if k % (PULSE_SECOND + PAUSE_SECOND) < PULSE_SECOND else 0.0
        state = step(state, np.where(charging, CHARGE_C, pulse) * CAPACITY_AH, ambient, parameters)
        c_rate = state.current_ampere / CAPACITY_AH
        shown[:, :, k] = state.voltage_volt, c_rate, state.temperature_celsius, state.soc, state.soh
    return _runs(*shown)


def _draw(count: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    random = np.random.default_rng(seed)
    return random.uniform(*CELSIUS, count), random.uniform(*SOH, count)


def _runs(*columns: NDArray[np.float32]) -> list[Run]:
    return [Run(f"simulated-{i}", *row) for i, row in enumerate(zip(*columns, strict=True))]


def told_soh(runs: list[Run]) -> NDArray[np.float64]:
    """Make the SOH that everyone is told, wrong as drawn."""
    error = np.random.default_rng(SOH_ERROR_SEED).normal(0.0, SOH_ERROR, len(runs))
    return np.array([run.soh[0] for run in runs], dtype=np.float64) + error


Scores = tuple[float, float, float, float]  # SOC MAE and RMSE, SOH MAE and RMSE, in points; NaN: does not say


def scores(runs: list[Run], soc: NDArray[np.float64] | None, soh: NDArray[np.float64] | None) -> Scores:
    """Score what was said [second, cell] of SOC each second, and of SOH at the end of each hour."""
    found = []
    for said, name, which in ((soc, "soc", slice(SETTLED_SECOND, None)), (soh, "soh", slice(3_599, None, 3_600))):
        if said is None:
            found += [float("nan")] * 2
            continue
        error = 100.0 * (said - np.stack([getattr(run, name) for run in runs], axis=1))[which]
        found += [float(np.abs(error).mean()), float(np.sqrt((error**2).mean()))]
    return found[0], found[1], found[2], found[3]


def of_network(network: Network, runs: list[Run]) -> Scores:
    """Score a network from the sensors alone and the SOH that it is told."""
    device = next(network.parameters()).device
    raw = torch.from_numpy(np.stack([run.inputs() for run in runs], axis=1)).to(device)
    soc, soh = run_network(network, raw, torch.from_numpy(told_soh(runs)).float().to(device))
    return scores(runs, soc.cpu().numpy().astype(np.float64), soh.cpu().numpy().astype(np.float64))


def of_baseline(name: str, runs: list[Run]) -> Scores:
    """Score a baseline on what the networks were given."""
    soh = told_soh(runs)
    if name == "hold SOH_0":
        return scores(runs, None, np.broadcast_to(soh, (len(runs[0]), len(runs))))
    cell_type = CellType.load(CELL_TYPE)
    right = np.array([run.soc[0] for run in runs], dtype=np.float64)
    start = Start.told(right if name == "counting, right start" else np.full(len(runs), np.nan), soh)
    estimator: Estimator = Ekf(cell_type) if name == "ekf" else Coulomb(cell_type)
    state, said = estimator.init(start), []
    columns = np.stack([run.inputs() for run in runs]).transpose(1, 2, 0).astype(np.float64)
    for voltage, c_rate, temperature in columns:
        state, estimate = estimator.step(state, Second(voltage, c_rate * CAPACITY_AH, temperature))
        said.append(estimate.soc)
    return scores(runs, np.array(said), None)


def results(args: argparse.Namespace) -> dict[str, dict[str, list[Scores]]]:
    """Train and score what is not yet in the file; give name -> pattern -> scores of each seed."""
    path = args.out / "results.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    done = {(line["name"], line["seed"], line["steps"], line["rows"]): line for line in lines}
    wanted = [(name, 0, 0, 0) for name in BASELINES]
    wanted += [(name, seed, args.steps, args.rows) for seed in range(1, args.seeds + 1) for name in CONFIGURATIONS]
    missing = [key for key in wanted if key not in done]
    if missing:
        args.out.mkdir(parents=True, exist_ok=True)
        patterns = {
            "usual": cells(UNSEEN_CELLS, UNSEEN_SECOND, UNSEEN_SEED),
            "unseen": pulsed_cells(UNSEEN_CELLS, UNSEEN_SECOND, UNSEEN_SEED + 1),
        }
        training = cells(TRAINING_CELLS, TRAINING_SECOND, TRAINING_SEED)
        fade = 100.0 * np.mean([run.soh[0] - run.soh[-1] for run in patterns["usual"]])
        _say(f"{len(missing)} of {len(wanted)} results to make; unseen cells lose {fade:.1f} points of SOH on average")
    for key in missing:
        name, seed, *_ = key
        if name in BASELINES:
            found = {pattern: of_baseline(name, runs) for pattern, runs in patterns.items()}
        else:
            network = trained(name, seed, training, args)
            found = {pattern: of_network(network, runs) for pattern, runs in patterns.items()}
        done[key] = dict(zip(("name", "seed", "steps", "rows"), key, strict=True)) | {"scores": found}
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(done[key]) + "\n")
        _say(f"{name}, seed {seed}: " + ", ".join(f"{p} {np.round(s, 2).tolist()}" for p, s in found.items()))
    gathered: dict[str, dict[str, list[Scores]]] = {}
    for key in wanted:
        for pattern, found_scores in done[key]["scores"].items():
            gathered.setdefault(key[0], {}).setdefault(pattern, []).append(found_scores)
    return gathered


def trained(name: str, seed: int, training: list[Run], args: argparse.Namespace) -> Network:
    """Train one configuration with one seed."""
    torch.manual_seed(seed)
    network = Network()
    fit_range(network, training)
    settings = Settings(
        steps=args.steps,
        rows=args.rows,
        seed=seed,
        learning_rate=args.learning_rate,
        warm_up_steps=args.steps // 10,
        checkpoint_steps=args.steps,
        average_decay=0.99,
    )
    settings = replace(settings, **CONFIGURATIONS[name])
    folder = args.out / f"{name}-{seed}-{args.steps}-{args.rows}"
    return train(network.to(args.device), training, settings, folder, _say)


def table(title: str, rows: tuple[Row, ...], pattern: str, found: dict[str, dict[str, list[Scores]]]) -> str:
    """Write one table, the baselines below."""
    lines = [f"### {title}", "", "| | SOC MAE | SOC RMSE | SOH MAE | SOH RMSE |", "|---|---|---|---|---|"]
    for row in rows:
        soc, soh = (np.array(found[name][pattern]) for name in (row.runs[0], row.runs[-1]))
        columns = [soc[:, 0], soc[:, 1], soh[:, 2], soh[:, 3]]
        lines.append(f"| {row.name} | " + " | ".join(f"{c.mean():.2f} ± {_spread(c):.2f}" for c in columns) + " |")
    for name in BASELINES:
        (values,) = found[name][pattern]
        lines.append(f"| *{name}* | " + " | ".join("-" if np.isnan(v) else f"{v:.2f}" for v in values) + " |")
    return "\n".join(lines)


def _spread(values: NDArray[np.float64]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def main() -> None:
    """Make what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=800, help="optimiser steps of each training (the paper: 4500)")
    parser.add_argument("--rows", type=int, default=8, help="batch (the paper: 4, 8 or 16)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/paper-tables"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = results(args)
    print(f"{args.seeds} trainings each, {args.steps} steps of {args.rows} rows; errors in points, on unseen cells.")
    print("\n" + table("Loss weighting (Table 3)", WEIGHTINGS, "usual", found))
    print("\n" + table("Training plan (Table 4)", PLANS, "usual", found))
    print("\n" + table("Training plan, unseen load pattern (Table 5)", PLANS, "unseen", found))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
