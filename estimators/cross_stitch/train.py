"""Train the network by truncated back-propagation over a stream of windows.

The paper unrolls 24 h windows that overlap by half. Here a window is `seconds` long, the state is carried from
window to window without gradient (see unroll.py), and what overlap is for, other beginnings of the same data,
comes from rows that start at random places (`inside`). A change of `seconds` trades how far back a gradient
reaches against how often the weights move.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from estimators.cross_stitch import checkpoint
from estimators.cross_stitch.checkpoint import Training
from estimators.cross_stitch.network import FEATURES, SOH_PERIOD_SECOND, Network
from estimators.cross_stitch.plan import FIRST_SHARE, PLANS, SOC, SOH, stitches_learn
from estimators.cross_stitch.plan import Kind as PlanKind
from estimators.cross_stitch.unroll import Carried, Unrolled, unroll
from estimators.cross_stitch.weighting import Kind as WeightingKind
from estimators.cross_stitch.weighting import Weighting
from estimators.cross_stitch.windows import Faults, Run, Stream, Window

SMALLEST_RANGE = (0.1, 0.1, 5.0)  # volt, C-rate, degree Celsius: what never varied in training must not be divided by
LEARNING_FILE, LEARNING_STEPS = "learning.csv", 20
LEARNING_COLUMNS = (  # a stitch is named by the tower that takes and the one that gives; a SOC, b SOH
    *("step", "soc_loss", "soh_loss"),
    *(f"stitch_{level}_{to}{of}" for level in range(1, len(FEATURES) + 1) for to in "ab" for of in "ab"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train. Raises ValueError where an hour does not end with a window."""

    steps: int = 8000
    rows: int = 32
    seconds: int = 200
    seed: int = 1
    learning_rate: float = 1e-3
    warm_up_steps: int = 200
    tower_rate_factor: float = 1.0  # times the learning rate, for all but the shared LSTM
    stitch_rate_factor: float = 10.0
    weighting: WeightingKind = "empirical"
    soh_weight: float = 5.0  # of the empirical weighting
    plan: PlanKind = "end_to_end"
    plan_first_share: float = FIRST_SHARE
    smooth_l1_beta: float = 0.01
    ramp_second: float = 300.0  # the SOC error of a row's first seconds counts from 0.1, rising to 1
    inside: float = 0.65
    brief: float = 0.0  # share of starts that walk ten minutes and no further: the network learns to find its start
    average_decay: float = 0.998
    gradient_norm: float = 1.0
    checkpoint_steps: int = 500
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        """Look at what one setting alone does not show."""
        if SOH_PERIOD_SECOND % self.seconds:
            raise ValueError(f"{self.seconds} s do not divide an hour: windows must end where hours do")


def fit_range(network: Network, runs: list[Run], *, learnt: bool = False) -> None:
    """Set the input scaling to the range of the training runs (the middle 99.98 %), no narrower than SMALLEST_RANGE.

    What the network has `learnt` stays; one that has not is meant for inputs in [0, 1] and is left as it is.
    """
    low, high = np.quantile(np.concatenate([r.inputs() for r in runs]), (0.0001, 0.9999), axis=0)
    new_low, new_high = (torch.from_numpy(x).float() for x in (low, np.maximum(high, low + SMALLEST_RANGE)))
    if learnt:
        network.keep_through_range(new_low, new_high)
    network.low.copy_(new_low)
    network.high.copy_(new_high)


def train(
    network: Network,
    runs: list[Run],
    settings: Settings,
    folder: Path,
    say: Callable[[str], None],
    check: Callable[[Network], str] | None = None,
) -> Network:
    """Train in place and return the averaged network. A checkpoint in `folder` is taken up where it stopped.

    Every LEARNING_STEPS steps a row goes to `learning.csv` there: mean losses and the sixteen stitches.
    """
    training, first = _begin(network, settings, folder)
    stream = Stream(
        runs,
        rows=settings.rows,
        seconds=settings.seconds,
        seed=settings.seed * 100_003 + first,
        inside=settings.inside,
        brief=settings.brief,
        faults=settings.faults,
    )
    carried = Carried.zero(settings.rows, next(network.parameters()).device)
    progress = _Progress(settings.steps, first, folder / LEARNING_FILE, say)
    for step in range(first, settings.steps):
        for group in training.optimiser.param_groups:
            group["lr"] = group["factor"] * settings.learning_rate * _rate(step, settings)
        network.stitches.requires_grad_(stitches_learn(settings.plan, step, settings.steps, settings.plan_first_share))
        window = stream.next()
        said, carried = unroll(network, window, carried)
        losses = _losses(said, window, settings)
        _descend(training, {task: losses[task] for task in PLANS[settings.plan].tasks if task in losses}, settings)
        _average(training.average, network, min(settings.average_decay, (1 + step) / (10 + step)))
        progress.note(step, losses, network.stitches)
        if (step + 1) % settings.checkpoint_steps == 0 or step + 1 == settings.steps:
            checkpoint.write(folder, step + 1, json.dumps(asdict(settings)), training)
            if check is not None:
                say(check(training.average))
    return training.average


def _begin(network: Network, settings: Settings, folder: Path) -> tuple[Training, int]:
    """Make what is trained, or take it up, and say which step is next."""
    device = next(network.parameters()).device
    torch.manual_seed(settings.seed)
    if PLANS[settings.plan].stitches_stay:
        with torch.no_grad():
            network.stitches.copy_(torch.eye(2))
    average = Network().to(device)
    average.load_state_dict(network.state_dict())
    weighting = Weighting(settings.weighting, settings.soh_weight).to(device)
    named = dict(network.named_parameters())
    shared = [p for n, p in named.items() if n.startswith("shared.")]
    towers = [p for n, p in named.items() if not n.startswith("shared.") and n != "stitches"]
    optimiser = torch.optim.Adam(
        [
            {"params": shared, "factor": 1.0},
            {"params": towers, "factor": settings.tower_rate_factor},
            {"params": [network.stitches, *weighting.parameters()], "factor": settings.stitch_rate_factor},
        ],
        betas=(0.9, 0.99),
    )
    training = Training(network, average, weighting, optimiser)
    return training, checkpoint.resume(folder, training)


def _rate(step: int, settings: Settings) -> float:
    """Share of the learning rate: a linear start, then half a cosine down to a hundredth."""
    if step < settings.warm_up_steps:
        return (step + 1) / settings.warm_up_steps
    done = (step - settings.warm_up_steps) / max(1, settings.steps - settings.warm_up_steps)
    return 0.01 + 0.99 * 0.5 * (1.0 + float(np.cos(np.pi * done)))


def _losses(said: Unrolled, window: Window, settings: Settings) -> dict[int, Tensor]:
    """SOC loss over the window's seconds; SOH loss over the rows whose hour ends with it, if there are any."""
    device, beta = said.soc.device, settings.smooth_l1_beta
    weight = (said.age_second / settings.ramp_second).clamp(0.1, 1.0) * torch.from_numpy(window.mask).to(device)
    error = smooth_l1_loss(said.soc, torch.from_numpy(window.soc).to(device), beta=beta, reduction="none")
    losses = {SOC: (error * weight).sum() / weight.sum()}
    if len(said.soh):
        losses[SOH] = smooth_l1_loss(said.soh, torch.from_numpy(window.soh).to(device)[said.hour], beta=beta)
    return losses


def _descend(training: Training, losses: dict[int, Tensor], settings: Settings) -> None:
    """Take one step; none where the window has no loss of the tasks that are trained."""
    if not losses:
        return
    training.optimiser.zero_grad(set_to_none=True)
    training.weighting(losses).backward()
    torch.nn.utils.clip_grad_norm_(training.network.parameters(), settings.gradient_norm)
    training.optimiser.step()


@torch.no_grad()
def _average(average: Network, network: Network, decay: float) -> None:
    for mean, value in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(value, 1.0 - decay)


class _Progress:
    """Means of the losses, for who waits and for who draws."""

    def __init__(self, steps: int, first: int, path: Path, say: Callable[[str], None]) -> None:
        self._steps, self._first, self._path, self._say = steps, first, path, say
        self._began = time.monotonic()
        self._sums = np.zeros((2, 2))  # [task, (sum, number)]
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text(encoding="utf-8").splitlines()[1:] if first and path.is_file() else []
        kept = [line for line in before if int(line.partition(",")[0]) <= first]  # the others come again
        path.write_text("\n".join([",".join(LEARNING_COLUMNS), *kept]) + "\n", encoding="utf-8")

    def note(self, step: int, losses: dict[int, Tensor], stitches: Tensor) -> None:
        """Take in one step."""
        for task, loss in losses.items():
            self._sums[task] += (loss.item(), 1)
        if (step + 1) % LEARNING_STEPS and step + 1 != self._steps:
            return
        total, number = self._sums.T
        soc, soh = (total / np.maximum(number, 1)).tolist()
        self._write(step + 1, soc, soh, stitches)
        self._sums[:] = 0
        if (step + 1) % (5 * LEARNING_STEPS) == 0:
            left = (time.monotonic() - self._began) / (step + 1 - self._first) * (self._steps - step - 1)
            self._say(f"step {step + 1}/{self._steps}  soc {soc:.5f}  soh {soh:.5f}  {left / 60:.1f} min left")

    def _write(self, step: int, soc: float, soh: float, stitches: Tensor) -> None:
        values = [f"{soc:.6g}", f"{soh:.6g}", *(f"{v:.5f}" for v in stitches.flatten().tolist())]
        with self._path.open("a", encoding="utf-8") as file:
            file.write(",".join([str(step), *values]) + "\n")
