"""How right the chemical process and the degradation modes are on simulated cells that they have not seen.

The table that `bmsd train early-life` prints and writes into the card. All of it rests on simulated cells.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import spearmanr

from daemon.tables.nine_step import TEMPERATURES, lives, read, rows_of
from estimators.early_life import plain
from estimators.early_life.features import CHARGES, KINETIC, NAMES, THERMODYNAMIC
from estimators.early_life.modes import MODES, inputs
from estimators.early_life.process import carried, fit_process, fit_trajectory, foresee_capacity
from estimators.early_life.transfer import Source, foresee
from simulators import nine_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from daemon.tables.nine_step import Looked
    from estimators.contract import Float
    from estimators.early_life.process import Cells, Process
    from estimators.regression.regression import Regression

SOURCES, TARGETS = (25.0, 55.0), (35.0, 45.0)
KNOWN_CYCLES = 200
LOOKS = np.arange(0.0, 1001.0, 40.0)
FAR = 200  # cycles, before which there is little to rank
SEEDS = 5  # of unseen cells
CELLS = 8  # at each temperature, in one of them
PARTICLE_ROWS = 40


def report(models: Mapping[str, Regression], seed: int, progress: Callable[[str], None]) -> str:
    """Judge on cells of `SEEDS` other seeds, and write the figures down, mean and deviation between seeds."""
    others = [100 + SEEDS * seed + i for i in range(SEEDS)]
    progress("ranking unseen cells")
    ranked = [list(ranks(models, lives(CELLS, one, np.arange(0.0, 1001.0, 200.0)))) for one in others]
    progress("foreseeing unseen cells by their features")
    chains = [process_errors(CELLS, one) for one in others]
    firsts = [unseen_features(CELLS, one) for one in others]
    progress("charging cells of the other physics")
    particles = particle_ranks(models, PARTICLE_ROWS, seed) if find_spec("pybamm") else {}
    lines = [
        f"## Simulated nine-step charges, {SEEDS} seeds",
        "",
        f"Degradation modes of {CELLS} unseen cells at each of {len(TEMPERATURES)} temperatures, cycles {FAR} to",
        "1,000: rank correlation with the truth over all, and of cells of one temperature at one cycle (median); then",
        f"of {PARTICLE_ROWS} cells of PyBaMM's physics, as learnt from our own cells, and learnt from theirs (folds).",
        "",
        "| mode | over all | at one cycle | 90 % holds | PyBaMM, learnt from ours | PyBaMM, from theirs |",
        "|---|---|---|---|---|---|",
    ]
    for i, mode in enumerate(models):
        whole, same, held = (_spread([r[i][k] for r in ranked]) for k in range(3))
        ours, theirs = (f"{v:.2f}" for v in particles[mode]) if particles else ("-", "-")
        lines.append(f"| {mode} | {whole} | {same} | {held} | {ours} | {theirs} |")
    lines += [
        "",
        f"Capacity after {KNOWN_CYCLES} known cycles, MAPE % to cycle 1,000, from sources at 25 and 55 degrees:",
        "",
        "| way | 35 degrees | 45 degrees |",
        "|---|---|---|",
    ]
    errors = {way: [_spread([c[way][t] for c in chains]) for t in range(len(TARGETS))] for way in chains[0]}
    lines += [f"| {way} | {a} | {b} |" for way, (a, b) in errors.items() if "features " not in way]
    lines += [
        "",
        "How far features are off in those cycles (median), in deviations of a feature over the sources:",
        "",
        "| features | 35 degrees | 45 degrees |",
        "|---|---|---|",
        *(f"| {way} | {a} | {b} |" for way, (a, b) in errors.items() if "features " in way),
        "",
        "The same of model 1 on unseen cells of its own temperature, from voltages and cycle alone:",
        "",
        "| model | off |",
        "|---|---|",
        *(f"| {way} | {_spread([f[way] for f in firsts])} |" for way in firsts[0]),
    ]
    return "\n".join(lines)


def ranks(models: Mapping[str, Regression], unseen: Iterable[Looked]) -> Iterator[tuple[float, float, float]]:
    """Give each mode's rank correlation over all, that of cells at one cycle (median), and what bands hold."""
    features, new, warm, truth, _, cycle = (np.concatenate(c) for c in zip(*map(rows_of, unseen), strict=True))
    far = cycle >= FAR
    for i, model in enumerate(models.values()):
        said = model.predict(inputs(features, new, warm))
        same = [(cycle == n) & (warm == t) for n in np.unique(cycle[far]) for t in np.unique(warm)]
        held = np.abs(said.mean - truth[:, i]) < 1.645 * said.std
        yield (
            float(spearmanr(said.mean[far], truth[far, i])[0]),
            float(np.median([spearmanr(said.mean[s], truth[s, i])[0] for s in same])),
            float(held.mean()),
        )


def particle_ranks(models: Mapping[str, Regression], rows: int, seed: int) -> dict[str, tuple[float, float]]:
    """Give each mode's rank correlation on PyBaMM's cells: as learnt from our own, and learnt from theirs by folds."""
    from estimators.regression.fit import by_cell, ridge
    from estimators.regression.inputs import Inputs

    rng = np.random.default_rng([seed, 12])
    soh, share, resistance = (np.append(1.0 if i != 1 else 0.5, rng.uniform(a, b, rows))
                              for i, (a, b) in enumerate(((0.8, 1.0), (0.05, 1.0), (1.0, 3.0))))  # fmt: skip
    made, lost = nine_step.particles(soh, share, resistance, 35.0)
    one = nine_step.particles(soh[:1], share[:1], resistance[:1], 35.0)[0]
    log = nine_step.charge(made, np.repeat(nine_step.cutoffs(one), rows + 1, axis=0))
    features = read(log, seed)
    x = inputs(features[1:], np.repeat(features[:1], rows, axis=0), np.full(rows, 35.0))
    kinetic = 1.0 - log.capacity_ah / log.capacity_ah[0] - (1.0 - soh)
    found = {}
    for mode, truth in zip(MODES, (*lost, 1.0 - soh, kinetic), strict=True):
        y, said = truth[1:], np.empty(rows)
        for train, held in by_cell(np.arange(rows), 5, seed):
            scale = Inputs.learn(x[train])
            said[held] = ridge(scale.scale(x[train]), y[train]).predict(scale.scale(x[held]))
        found[mode] = float(spearmanr(models[mode].predict(x).mean, y)[0]), float(spearmanr(said, y)[0])
    return found


def process_errors(cells: int, seed: int) -> dict[str, list[float]]:
    """Give MAPE in % of later capacity at each target temperature by each way, and how far features are off."""
    everyone = dict(zip(TEMPERATURES, lives(cells, 10 * seed + 5, LOOKS), strict=True))
    sources = [everyone[t].cells for t in SOURCES]
    processes = [fit_process(s) for s in sources]
    without = tuple(i for i in range(len(NAMES)) if i not in CHARGES)
    ways = {"42 features": range(len(NAMES)), "without Q": without, "Q alone": CHARGES, "kinetic alone": KINETIC}
    trajectories = {name: fit_trajectory(sources, tuple(used)) for name, used in ways.items()}
    pooled = [_source(s) for s in sources]
    known = int(np.searchsorted(LOOKS, KNOWN_CYCLES)) + 1
    spread = np.concatenate([s.features.reshape(-1, len(NAMES)) for s in sources]).std(axis=0)
    found: dict[str, list[float]] = {}

    def note(name: str, values: list[float]) -> None:
        found.setdefault(name, []).append(float(np.mean(values)))

    for target in (everyone[t].cells for t in TARGETS):
        gone_on = _carried(target, processes, known)
        for name, trajectory in trajectories.items():
            note(name, [_mape(foresee_capacity(f, q[:known], trajectory), q[known:])
                        for f, q in zip(gone_on, target.capacity_ah, strict=True)])  # fmt: skip
        for name, ask in (("capacity alone", foresee), ("hold", plain.hold), ("line", plain.line)):
            note(name, [_mape(_each_look(ask, q[:known], target.temperature_celsius, pooled), q[known:])
                        for q in target.capacity_ah])  # fmt: skip
        off = np.sqrt((((gone_on - target.features)[:, known:] / spread) ** 2).mean(axis=(0, 1)))
        held = np.sqrt((((target.features[:, known - 1 : known] - target.features)[:, known:] / spread) ** 2)
                       .mean(axis=(0, 1)))  # fmt: skip
        for name, which in (("thermodynamic", THERMODYNAMIC), ("kinetic", KINETIC)):
            note(f"{name} features off", [float(np.median(off[list(which)]))])
            note(f"{name} features held", [float(np.median(held[list(which)]))])
    return found


def unseen_features(cells: int, seed: int) -> dict[str, float]:
    """Give how far model 1 is off on a source's unseen cells, in deviations of a feature: ours, the curve, the net."""
    from sklearn.neural_network import MLPRegressor

    (seen,), (others,) = (lives(cells, 10 * seed + s, LOOKS, SOURCES[1:]) for s in (5, 7))
    process = fit_process(seen.cells)
    spread = seen.cells.features.reshape(-1, len(NAMES)).std(axis=0)
    middle, volt_spread = seen.cells.cutoff_volt.mean(axis=0), seen.cells.cutoff_volt.std(axis=0)

    def shown(c: Cells) -> Float:
        volt = np.repeat((c.cutoff_volt - middle) / volt_spread, len(LOOKS), axis=0)
        return np.column_stack([volt, np.tile(LOOKS / 1000.0, len(c.cutoff_volt))])

    y = seen.cells.features.reshape(-1, len(NAMES))
    net = MLPRegressor(
        hidden_layer_sizes=(32, 64, 32), alpha=1e-5, batch_size=16, max_iter=100, n_iter_no_change=100,
        random_state=seed,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it stops at its last iteration, as it was published
        net.fit(shown(seen.cells), (y - y.mean(axis=0)) / spread)
    truth = others.cells.features
    said = {
        "ridge over a curve": np.array([process.predict(u) for u in others.cells.cutoff_volt]),
        "curve alone": np.broadcast_to(process.curve, truth.shape),
        "network 10-32-64-32-42": (net.predict(shown(others.cells)) * spread + y.mean(axis=0)).reshape(truth.shape),
    }
    return {name: float(np.sqrt((((s - truth) / spread) ** 2).mean())) for name, s in said.items()}


def _carried(target: Cells, processes: Sequence[Process], known: int) -> Float:
    shifted = target.cutoff_volt - target.cutoff_volt.mean(axis=0)
    return np.array(
        [
            carried(f[:known], u, target.temperature_celsius, processes)
            for f, u in zip(target.features, shifted, strict=True)
        ]
    )


def _source(cells: Cells) -> Source:
    lost = 1.0 - cells.capacity_ah / cells.capacity_ah[:, :1]
    every = np.arange(LOOKS[-1] + 1)
    middle, spread = (np.interp(every, LOOKS, v) for v in (np.median(lost, axis=0), lost.std(axis=0)))
    return Source(cells.temperature_celsius, middle, spread, len(lost))


def _each_look(
    ask: Callable[..., Any], early_ah: Float, temperature_celsius: float, sources: Sequence[Source]
) -> Float:
    """Ask a way that wants every cycle, and keep the looks."""
    cycles = int(LOOKS[-1]) + 1
    early = np.interp(np.arange(KNOWN_CYCLES + 1), LOOKS[: len(early_ah)], early_ah)
    mean = ask(early, temperature_celsius, sources, cycles).mean_ah
    return np.asarray(mean[LOOKS[len(early_ah) :].astype(int) - len(early)])


def _mape(said: Float, truth: Float) -> float:
    return 100.0 * float(np.mean(np.abs(said - truth) / truth))


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2f} ± {np.std(values):.2f}"
