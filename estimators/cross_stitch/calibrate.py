"""After the training: how far off the frozen network is, and where it has been.

The uncertainty is fitted on the training runs as the training saw them, with the faults of the sensors drawn;
a network knows those runs better than any other, so its level is then set on the validation runs: at each
temperature the factor with which 90 % intervals hold 90 % of the seconds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from estimators.cross_stitch import domain
from estimators.cross_stitch.network import Network
from estimators.cross_stitch.sequence import hours
from estimators.cross_stitch.train import Settings
from estimators.cross_stitch.uncertainty import Uncertainty, fitted, inputs
from estimators.cross_stitch.unroll import Carried, unroll
from estimators.cross_stitch.weights import Weights
from estimators.cross_stitch.windows import Array, Run, Stream
from estimators.regression.regression import NINETY

SETTLED_SECOND = 120  # the largest error is told from here on: those before belong to the start
NODE_CELSIUS = 10.0  # distance of the table's nodes; runs that far from a node count little in it
SMALLEST_STD = 0.003
WINDOWS = 300  # of the training stream are looked at,
PIECE_SECOND = 14_400  # over pieces of runs no longer than this: starts must be seen too,
THINNED = 5  # every fifth second


class Errors(NamedTuple):
    """What a network said of one run, less the truth; every array is [second]."""

    soc: Array
    soh: Array
    log_std: Array  # of SOC, around the table's


def errors(
    network: Network,
    runs: list[Run],
    initial_soh: float | None = None,
    uncertainty: Uncertainty | None = None,
) -> list[Errors]:
    """Run the network over each run as it was recorded. SOH_0 is `initial_soh`, or as labelled."""
    device = next(network.parameters()).device
    uncertainty = (uncertainty or Uncertainty()).to(device)
    longest = max(map(len, runs))
    padded = np.stack([np.pad(r.inputs(), ((0, longest - len(r)), (0, 0)), mode="edge") for r in runs], axis=1)
    raw = torch.from_numpy(padded).to(device)
    initial = torch.tensor([initial_soh or float(r.soh[0]) for r in runs], device=device)
    temperature = network.scale(raw)[..., 2]
    parts: list[NDArray[np.float32]] = []
    second = 0
    for hour in hours(network, raw, initial):
        age = torch.arange(second + 1, second + 1 + len(hour.soc), device=device, dtype=torch.float32)
        with torch.no_grad():
            log_std = uncertainty(
                hour.features, age[:, None].expand_as(hour.soc), temperature[second : second + len(age)]
            )
        parts.append(torch.stack([hour.soc, hour.soh, log_std]).cpu().numpy())
        second += len(age)
    said = np.concatenate(parts, axis=1)
    return [
        Errors(soc[: len(r)] - r.soc, soh[: len(r)] - r.soh, log_std[: len(r)])
        for r, (soc, soh, log_std) in zip(runs, said.transpose(2, 0, 1), strict=True)
    ]


def table(network: Network, runs: list[Run], initial_soh: float | None = None) -> str:
    """Say mean and maximum absolute SOC error of each run (of simulated ones only the mean of all), in points."""
    found = [np.abs(e.soc) * 100 for e in errors(network, runs, initial_soh)]
    mean = f"  mean {np.mean([e.mean() for e in found]):.3f}"
    if all(r.name.startswith("simulated") for r in runs):
        return f"  validation{mean}  max {max(e[SETTLED_SECOND:].max() for e in found):.1f}"
    return (
        "  validation  "
        + "  ".join(f"{r.name} {e.mean():.2f}/{e[SETTLED_SECOND:].max():.1f}" for r, e in zip(runs, found, strict=True))
        + mean
    )


def calibrate(
    network: Network,
    runs: list[Run],
    reference_soh: float,
    initial_soh: float | None = None,
    *,
    training: list[Run] | None = None,
    settings: Settings | None = None,
) -> Weights:
    """Put beside the network how sure it is and, from the runs of its `training`, where it has been.

    `runs` did not train it. Without `training` the standard deviation knows temperature and start alone.
    """
    uncertainty = _fit(network, training, settings or Settings()) if training else Uncertainty()
    found = errors(network, runs, initial_soh, uncertainty)
    nodes, std = level(runs, found)
    soh_error = np.concatenate([e.soh for e in found]).astype(np.float64)
    return Weights(
        network.eval().requires_grad_(requires_grad=False).cpu(),
        reference_soh,
        nodes,
        std,
        max(float(np.sqrt(np.mean(soh_error**2))), SMALLEST_STD),
        uncertainty.cpu(),
        domain.learn(training, runs) if training else None,
    )


def intervals(weights: Weights, runs: list[Run], initial_soh: float | None = None) -> str:
    """Say how many seconds the 90 % intervals hold, each run's level being set by the other runs alone."""
    found = errors(weights.network, runs, initial_soh, weights.uncertainty)
    halves = half_widths(runs, found)
    held = [np.mean(np.abs(e.soc) <= half) for e, half in zip(found, halves, strict=True)]
    width = 200.0 * np.mean([half.mean() for half in halves])
    return (
        f"  90 % intervals, level set by the other runs: hold {np.mean(held):.0%} of the seconds "
        f"({min(held):.0%} to {max(held):.0%} by run), {width:.1f} points wide"
    )


def half_widths(runs: list[Run], found: list[Errors]) -> list[NDArray[np.float64]]:
    """Give half of the 90 % interval of each run, [second] each, as the other runs set the level."""
    halves = []
    for i, (run, error) in enumerate(zip(runs, found, strict=True)):
        others = [j for j in range(len(runs)) if j != i] or [i]
        nodes, std = level([runs[j] for j in others], [found[j] for j in others])
        halves.append(NINETY * np.interp(run.temperature_celsius, nodes, std) * np.exp(error.log_std))
    return halves


def level(runs: list[Run], found: list[Errors]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find, by temperature, the standard deviation with which 90 % intervals hold 90 % of the seconds."""
    temperature = np.concatenate([r.temperature_celsius[::THINNED] for r in runs]).astype(np.float64)
    ratio = np.concatenate([(np.abs(e.soc) * np.exp(-e.log_std))[::THINNED] for e in found]).astype(np.float64)
    nodes = np.unique(np.round(temperature / NODE_CELSIUS)) * NODE_CELSIUS
    near = (np.exp(-0.5 * ((temperature - node) / NODE_CELSIUS) ** 2) for node in nodes)
    std = np.array([_quantile(ratio, weight, 0.9) / NINETY for weight in near])
    return nodes, np.maximum(std, SMALLEST_STD)


@torch.no_grad()
def _fit(network: Network, training: list[Run], settings: Settings) -> Uncertainty:
    """Let the frozen network run along the training stream, and fit the uncertainty to its errors."""
    device = next(network.parameters()).device
    pieces = [piece for run in training for piece in _pieces(run)]
    stream = Stream(
        pieces,
        rows=settings.rows,
        seconds=settings.seconds,
        seed=settings.seed * 100_003 - 1,
        inside=settings.inside,
        brief=settings.brief,
        faults=settings.faults,
    )
    carried = Carried.zero(settings.rows, device)
    rows, wrong = [], []
    for _ in range(WINDOWS):
        window = stream.next()
        said, carried = unroll(network, window, carried)
        temperature = network.scale(torch.from_numpy(window.raw).to(device))[..., 2]
        taken = inputs(said.features, said.age_second.float(), temperature)[::THINNED]
        good = torch.from_numpy(window.mask[::THINNED] > 0).to(device)
        rows.append(taken[good].cpu())
        wrong.append((said.soc[::THINNED] - torch.from_numpy(window.soc[::THINNED]).to(device))[good].cpu())
    with torch.enable_grad():
        return fitted(torch.cat(rows), torch.cat(wrong))


def _pieces(run: Run) -> list[Run]:
    names = ("voltage_volt", "c_rate", "temperature_celsius", "soc", "soh")
    cuts = range(0, len(run), PIECE_SECOND)
    return [replace(run, **{n: getattr(run, n)[at : at + PIECE_SECOND] for n in names}) for at in cuts]


def _quantile(values: NDArray[np.float64], weight: NDArray[np.float64], share: float) -> float:
    """Find the value below which lies `share` of the weight."""
    order = np.argsort(values)
    below = np.cumsum(weight[order])
    return float(values[order[min(int(np.searchsorted(below, share * below[-1])), len(order) - 1)]])
