"""Train the network by truncated back-propagation over a stream of windows.

State is carried from window to window without gradient. The held features of the SOH tower are made again
in each window from what its last step saw, so that the SOC error reaches the SOH tower and its SOH_0 layers
in every window. Loss: L_SOC + w L_SOH, w = 5 (the paper's empirical weighting), smooth L1.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from estimators.cross_stitch.network import SOH_PERIOD_SECOND, UNITS, Hidden, Network
from estimators.cross_stitch.sequence import PRIMING_SECOND
from estimators.cross_stitch.windows import Faults, Run, Stream, Window

SMALLEST_RANGE = (0.1, 0.1, 5.0)  # volt, C-rate, degree Celsius: what never varied in training must not be divided by


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train. `seconds` divides 3600, so that an hour ends with a window."""

    steps: int = 8000
    rows: int = 32
    seconds: int = 200
    seed: int = 1
    learning_rate: float = 1e-3
    warm_up_steps: int = 200
    stitch_rate_factor: float = 10.0
    soh_weight: float = 5.0
    smooth_l1_beta: float = 0.01
    ramp_second: float = 300.0  # the SOC error of a row's first seconds counts from 0.1, rising to 1
    inside: float = 0.65
    average_decay: float = 0.998
    gradient_norm: float = 1.0
    checkpoint_steps: int = 500
    faults: Faults = field(default_factory=Faults)


@dataclass(slots=True)
class _Carried:
    """What goes from one window to the next, per row."""

    shared: Hidden
    soc: Hidden
    soh: Hidden  # the SOH tower before its last step, [row, 256]
    seen: Tensor  # [row, 256] shared vector of that step
    soc_output: Tensor  # [row, 256] of the second at which the held features were made
    stepped: Tensor  # [row] whether the SOH tower has stepped since its start

    @classmethod
    def zero(cls, rows: int, device: torch.device) -> _Carried:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, device=device)

        def pair(*shape: int) -> Hidden:
            return zeros(*shape), zeros(*shape)

        return cls(
            pair(1, rows, UNITS),
            pair(1, rows, UNITS),
            pair(rows, UNITS),
            zeros(rows, UNITS),
            zeros(rows, UNITS),
            torch.zeros(rows, dtype=torch.bool, device=device),
        )


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
    """Train in place and return the averaged network. A checkpoint in `folder` is taken up where it stopped."""
    device = next(network.parameters()).device
    torch.manual_seed(settings.seed)
    average = Network().to(device)
    average.load_state_dict(network.state_dict())
    optimiser = torch.optim.Adam(
        [
            {"params": [p for n, p in network.named_parameters() if n != "stitches"], "factor": 1.0},
            {"params": [network.stitches], "factor": settings.stitch_rate_factor},
        ],
        betas=(0.9, 0.99),
    )
    first = _resume(folder, network, average, optimiser)
    stream = Stream(
        runs,
        rows=settings.rows,
        seconds=settings.seconds,
        seed=settings.seed * 100_003 + first,
        inside=settings.inside,
        faults=settings.faults,
    )
    carried = _Carried.zero(settings.rows, device)
    began, sums = time.monotonic(), np.zeros(3)
    for step in range(first, settings.steps):
        for group in optimiser.param_groups:
            group["lr"] = group["factor"] * settings.learning_rate * _rate(step, settings)
        soc_loss, soh_loss, carried = _window_losses(network, stream.next(), carried, settings, device)
        optimiser.zero_grad(set_to_none=True)
        (soc_loss + settings.soh_weight * soh_loss).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_norm)
        optimiser.step()
        _average(average, network, min(settings.average_decay, (1 + step) / (10 + step)))
        sums += (1, soc_loss.item(), soh_loss.item())
        if (step + 1) % 100 == 0:
            left = (time.monotonic() - began) / (step + 1 - first) * (settings.steps - step - 1)
            _, soc, soh = sums / sums[0]
            say(f"step {step + 1}/{settings.steps}  soc {soc:.5f}  soh {soh:.5f}  {left / 60:.1f} min left")
            sums[:] = 0
        if (step + 1) % settings.checkpoint_steps == 0 or step + 1 == settings.steps:
            _checkpoint(folder, step + 1, settings, network, average, optimiser)
            if check is not None:
                say(check(average))
    return average


def _rate(step: int, settings: Settings) -> float:
    """Share of the learning rate: a linear start, then half a cosine down to a hundredth."""
    if step < settings.warm_up_steps:
        return (step + 1) / settings.warm_up_steps
    done = (step - settings.warm_up_steps) / max(1, settings.steps - settings.warm_up_steps)
    return 0.01 + 0.99 * 0.5 * (1.0 + float(np.cos(np.pi * done)))


def _window_losses(
    network: Network, window: Window, carried: _Carried, settings: Settings, device: torch.device
) -> tuple[Tensor, Tensor, _Carried]:
    """Run one window: SOC loss over its seconds, SOH loss over the rows whose hour ends with it."""
    x = network.scale(torch.from_numpy(window.raw).to(device))
    fresh = torch.from_numpy(window.fresh).to(device)
    shared_state, soc_state = _prime(network, x, fresh, carried)
    s, shared_state = network.shared(x, shared_state)
    a, soc_state = network.soc_lstm(s, soc_state)

    initial = network.initial_soh_hidden(torch.from_numpy(window.initial_soh).to(device))
    stepped = carried.stepped & ~fresh
    after = network.soh_step(carried.seen, carried.soh)
    soh_state = tuple(torch.where(stepped[:, None], t, i) for t, i in zip(after, initial, strict=True))
    soc_output = torch.where(fresh[:, None], a[0].detach(), carried.soc_output)
    held = network.joint(soc_output, soh_state[0]).held
    soc = network.soc(a, held)

    age = torch.from_numpy(window.age_second).to(device) + torch.arange(1, settings.seconds + 1, device=device)[:, None]
    weight = (age / settings.ramp_second).clamp(0.1, 1.0) * torch.from_numpy(window.mask).to(device)
    error = torch.nn.functional.smooth_l1_loss(
        soc, torch.from_numpy(window.soc).to(device), beta=settings.smooth_l1_beta, reduction="none"
    )
    soc_loss = (error * weight).sum() / weight.sum()

    hour = (age[-1] % SOH_PERIOD_SECOND == 0) & (torch.from_numpy(window.mask[-1]).to(device) > 0)
    soh_loss = torch.zeros((), device=device)
    if bool(hour.any()):
        h, _ = network.soh_step(s[-1][hour], (soh_state[0][hour], soh_state[1][hour]))
        soh = network.joint(a[-1][hour], h).soh
        target = torch.from_numpy(window.soh).to(device)[hour]
        soh_loss = torch.nn.functional.smooth_l1_loss(soh, target, beta=settings.smooth_l1_beta)

    turn = hour[:, None]
    nxt = _Carried(
        (shared_state[0].detach(), shared_state[1].detach()),
        (soc_state[0].detach(), soc_state[1].detach()),
        (  # before the step just made; or, where none was made, still before the last one
            torch.where(turn | ~stepped[:, None], soh_state[0], carried.soh[0]).detach(),
            torch.where(turn | ~stepped[:, None], soh_state[1], carried.soh[1]).detach(),
        ),
        torch.where(turn, s[-1], carried.seen).detach(),
        torch.where(turn, a[-1], soc_output).detach(),
        stepped | hour,
    )
    return soc_loss, soh_loss, nxt


def _prime(network: Network, x: Tensor, fresh: Tensor, carried: _Carried) -> tuple[Hidden, Hidden]:
    """Give the fresh rows the state that their first sample alone leads to."""
    if not bool(fresh.any()):
        return carried.shared, carried.soc
    with torch.no_grad():
        s, shared = network.shared(x[:1, fresh].expand(PRIMING_SECOND, -1, -1).contiguous())
        _, soc = network.soc_lstm(s)
    states = []
    for old, new in ((carried.shared, shared), (carried.soc, soc)):
        h, c = old[0].clone(), old[1].clone()
        h[:, fresh], c[:, fresh] = new
        states.append((h, c))
    return states[0], states[1]


@torch.no_grad()
def _average(average: Network, network: Network, decay: float) -> None:
    for mean, value in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(value, 1.0 - decay)


def _checkpoint(
    folder: Path, step: int, settings: Settings, network: Network, average: Network, optimiser: torch.optim.Optimizer
) -> None:
    """Write everything a later start needs, at once or not at all."""
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    for name, parameter in network.named_parameters():
        if moments := optimiser.state.get(parameter):  # none before the first hour, for the SOH output
            tensors |= {f"mean.{name}": moments["exp_avg"], f"square.{name}": moments["exp_avg_sq"]}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "checkpoint.safetensors"
    text = {"step": str(step), "settings": json.dumps(asdict(settings))}
    save_file({k: v.contiguous() for k, v in tensors.items()}, path.with_suffix(".new"), metadata=text)
    path.with_suffix(".new").replace(path)


def _resume(folder: Path, network: Network, average: Network, optimiser: torch.optim.Optimizer) -> int:
    """Take up a checkpoint if there is one; return the next step."""
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        return 0
    from safetensors import safe_open

    tensors = load_file(path)
    network.load_state_dict({k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")})
    average.load_state_dict({k.removeprefix("average."): v for k, v in tensors.items() if k.startswith("average.")})
    with safe_open(path, framework="pt") as file:
        step = int(file.metadata()["step"])
    for name, parameter in network.named_parameters():
        if f"mean.{name}" in tensors:
            optimiser.state[parameter] = {
                "step": torch.tensor(float(step)),
                "exp_avg": tensors[f"mean.{name}"],
                "exp_avg_sq": tensors[f"square.{name}"],
            }
    return step
