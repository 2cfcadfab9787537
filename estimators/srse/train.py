"""Train SRSE in its two stages, and the networks that it is held against with as many steps.

1. The shared net and its joint head learn the SOH of all configurations at once, while a discriminator tries to
   tell the configurations apart from the shared features and the reversed gradient takes that from them.
2. Both are frozen. Each configuration's own net and head learn what is left, row by row weighted by
   exp(-|joint error| / beta).

After every so many steps the SOH of held-out cells is looked at; the best weights of a stage are kept.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from estimators.regression.regression import NINETY
from estimators.reversal import ramp, reverse
from estimators.srse.network import Backbone, Encoder, Head, Pair, Srse, discriminator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

BETA = 0.02  # SOH: a joint error of 2 points weighs 0.37
LEARNING_RATE = 2e-3
HELD_SHARE = 0.25  # of the cells of a configuration, to stop early on


@dataclass(frozen=True, slots=True)
class Rows:
    """Charges with what is known of them."""

    x: Tensor  # [row, channel, point]
    y: Tensor  # [row] SOH
    task: Tensor  # [row] which configuration
    cell: NDArray[Any]  # [row]

    def take(self, rows: NDArray[Any]) -> Rows:
        """Give some of the rows: indices, or a mask."""
        chosen = torch.as_tensor(np.flatnonzero(rows) if rows.dtype == bool else rows)
        return Rows(self.x[chosen], self.y[chosen], self.task[chosen], self.cell[chosen.numpy()])

    def of(self, task: int) -> Rows:
        """Give the rows of one configuration."""
        return self.take((self.task == task).numpy())

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.y)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained, and how long."""

    backbone: Backbone = "cnn"
    steps: int = 300  # of each stage
    batch: int = 16  # rows of each configuration in a step
    look_every: int = 25  # steps
    weights: bool = True  # exp(-joint error / beta); else all rows alike
    adversary: bool = True
    two_stages: bool = True  # else all parts learn in every step
    from_joint: bool = False  # a configuration's part begins as the joint one; else drawn at random
    each_point: bool = False  # scale each point of a channel by itself
    outliers: tuple[int, ...] = field(default=())  # channels


def split(rows: Rows, seed: int) -> tuple[Rows, Rows]:
    """Part rows into those that train and those of held-out cells; a configuration's only cell trains."""
    draw = np.random.default_rng(seed)
    held: list[str] = []
    task = rows.task.numpy()
    for t in np.unique(task):
        cells = np.unique(rows.cell[task == t])
        count = min(max(round(HELD_SHARE * len(cells)), 1), len(cells) - 1)
        held += list(draw.permutation(cells)[:count])
    out = np.isin(rows.cell, held)
    return rows.take(~out), rows.take(out)


@dataclass(frozen=True, slots=True)
class Trained:
    """A network, and how wrong it was on the cells that it stopped early on."""

    net: Srse | Pair
    std: tuple[float, ...]  # of SOH, for each configuration


def train(rows: Rows, recipe: Recipe, seed: int) -> Trained:
    """Train SRSE; tasks are numbered from 0 without a gap."""
    torch.manual_seed(seed)
    some, held = split(rows, seed)
    tasks = int(rows.task.max()) + 1
    net = Srse(tasks, recipe.backbone, rows.x.shape[1], rows.x.shape[2], recipe.each_point)
    net.shared.learn_scale(some.x, recipe.outliers)
    net.joint.learn_scale(some.y)
    first = net.tasks[0].state_dict()
    for t in range(tasks):
        net.tasks[t].load_state_dict(first)  # every configuration begins alike
        learn_configuration_scale(net, t, some.of(t), recipe)
    if recipe.two_stages:
        share(net, some, held, recipe, seed)
        for t in range(tasks):
            specialise(net, t, some.of(t), held.of(t), recipe, seed)
    else:
        _together(net, some, held, recipe, seed)
    return Trained(net.eval(), _std(net, held, tasks))


def learn_configuration_scale(net: Srse, task: int, rows: Rows, recipe: Recipe) -> None:
    """Take the scale of one configuration's net and head."""
    net.own(task).learn_scale(rows.x, recipe.outliers)
    net.head(task).learn_scale(rows.y)
    if not recipe.from_joint:
        torch.nn.init.ones_(net.gains[task])


def share(net: Srse, rows: Rows, held: Rows, recipe: Recipe, seed: int) -> None:
    """Stage 1: the shared net and its joint head."""
    suspect = discriminator(len(net.tasks))
    parts = nn.ModuleList([net.shared, net.joint])

    def loss(batch: Rows, progress: float) -> Tensor:
        return _shared_loss(net, suspect, batch, progress, recipe)

    def look() -> float | None:
        return _rmse(net.joint(net.shared(held.x)), held.y) if len(held) else None

    learn(parts, loss, rows, recipe, seed, look, suspect)


def add_configuration(net: Srse) -> int:
    """Make room for one more configuration, as its labels come; give its number."""
    shared = net.shared
    net.tasks.append(Encoder(shared.backbone, shared.channels, shared.points, shared.each_point))
    net.gains.append(nn.Parameter(torch.zeros(1)))
    net.heads.append(Head())
    return len(net.tasks) - 1


def specialise(net: Srse, task: int, rows: Rows, held: Rows, recipe: Recipe, seed: int) -> None:
    """Stage 2: one configuration's net and head; what is shared stays as it is."""
    net.shared.eval().requires_grad_(False)
    net.joint.eval().requires_grad_(False)
    head = net.head(task)
    if recipe.from_joint:
        head.load_state_dict(net.joint.state_dict())
        head.requires_grad_(True)
    with torch.no_grad():
        known, known_held = net.shared(rows.x), net.shared(held.x) if len(held) else None
        weight = _weight(net.joint(known), rows.y, recipe)
    numbered = replace(rows, task=torch.arange(len(rows)))  # to find what is known of a row of the batch again

    def loss(batch: Rows, progress: float) -> Tensor:
        del progress
        said = net.fuse(known[batch.task], batch.x, task)
        return torch.mean(weight[batch.task] * ((said - batch.y) / head.spread) ** 2)

    def look() -> float | None:
        return None if known_held is None else _rmse(net.fuse(known_held, held.x, task), held.y)

    parts = nn.ModuleList([net.tasks[task], head, nn.ParameterList([net.gains[task]])])
    learn(parts, loss, numbered, recipe, seed, look, single=True)


def train_joint(rows: Rows, recipe: Recipe, seed: int) -> Srse:
    """Train the first stage alone: what would be asked of a configuration that nobody labelled."""
    torch.manual_seed(seed)
    some, held = split(rows, seed)
    net = Srse(int(rows.task.max()) + 1, recipe.backbone, rows.x.shape[1], rows.x.shape[2], recipe.each_point)
    net.shared.learn_scale(some.x, recipe.outliers)
    net.joint.learn_scale(some.y)
    share(net, some, held, recipe, seed)
    return net.eval()


def train_pair(rows: Rows, recipe: Recipe, seed: int) -> Trained:
    """Train a network of the size that SRSE asks for one configuration, with the steps of both its stages."""
    torch.manual_seed(seed)
    some, held = split(rows, seed)
    pair = Pair(recipe.backbone, rows.x.shape[1], rows.x.shape[2], recipe.each_point)
    for encoder in (pair.first, pair.second):
        encoder.learn_scale(some.x, recipe.outliers)
    pair.head.learn_scale(some.y)

    def loss(batch: Rows, progress: float) -> Tensor:
        del progress
        return torch.mean(((pair(batch.x) - batch.y) / pair.head.spread) ** 2)

    longer = replace(recipe, steps=2 * recipe.steps, look_every=2 * recipe.look_every)
    learn(pair, loss, some, longer, seed, lambda: _rmse(pair(held.x), held.y) if len(held) else None)
    return Trained(pair.eval(), _std(pair, held, int(rows.task.max()) + 1))


def learn(
    net: nn.Module,
    loss: Callable[[Rows, float], Tensor],
    rows: Rows,
    recipe: Recipe,
    seed: int,
    look: Callable[[], float | None],
    besides: nn.Module | None = None,
    single: bool = False,
) -> None:
    """Take the recipe's steps on batches with as many rows of each configuration, and keep the best weights.

    `look` tells the error on held-out cells (None: there are none, the last weights stay); `besides` learns too,
    but is not kept; `single`: rows are of one configuration, whatever their `task` says.
    """
    draw = np.random.default_rng(seed)
    parameters = [*net.parameters(), *(besides.parameters() if besides else [])]
    optimiser = torch.optim.Adam(parameters, LEARNING_RATE, betas=(0.9, 0.99), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    task = np.zeros(len(rows)) if single else rows.task.numpy()
    tasks = [np.flatnonzero(task == t) for t in np.unique(task)]
    best, kept = float("inf"), None
    for step in range(recipe.steps + 1):
        if step % recipe.look_every == 0:
            net.eval()
            with torch.no_grad():
                error = look()
            if error is not None and error < best:
                best, kept = error, copy.deepcopy(net.state_dict())
        if step == recipe.steps:
            break
        net.train()
        drawn = np.concatenate([draw.choice(t, recipe.batch, replace=len(t) < recipe.batch) for t in tasks])
        optimiser.zero_grad()
        loss(rows.take(drawn), step / recipe.steps).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
    if kept is not None:
        net.load_state_dict(kept)
    net.eval()


def predict(net: Srse | Pair, x: Tensor, task: Iterable[int] | None = None, at_once: int = 512) -> NDArray[np.float64]:
    """Give SOH [row]; `task` [row]: of which configuration, -1: of an unknown one; a Pair does not ask."""
    net.eval()
    said = np.full(len(x), np.nan)
    which = np.zeros(len(x), int) if task is None else np.asarray(list(task))
    with torch.no_grad():
        for t in np.unique(which):
            rows = np.flatnonzero(which == t)
            for part in np.array_split(rows, max(-(-len(rows) // at_once), 1)):
                some = x[torch.as_tensor(part)]
                answer = net(some) if isinstance(net, Pair) else net(some, None if t < 0 else int(t))
                said[part] = answer.double().numpy()
    return said


def _together(net: Srse, rows: Rows, held: Rows, recipe: Recipe, seed: int) -> None:
    """Learn all parts in every step, as the authors' published code does; the task nets see what is shared detached."""
    suspect = discriminator(len(net.tasks))

    def loss(batch: Rows, progress: float) -> Tensor:
        total = _shared_loss(net, suspect, batch, progress, recipe)
        for t in range(len(net.tasks)):
            part = batch.of(t)
            with torch.no_grad():
                known = net.shared(part.x)
                weight = _weight(net.joint(known), part.y, recipe)
            said = net.fuse(known, part.x, t)
            total = total + torch.mean(weight * ((said - part.y) / net.head(t).spread) ** 2)
        return total

    def look() -> float | None:
        return _rmse(torch.as_tensor(predict(net, held.x, held.task.tolist())), held.y) if len(held) else None

    learn(net, loss, rows, recipe, seed, look, suspect)


def _shared_loss(net: Srse, suspect: nn.Module, batch: Rows, progress: float, recipe: Recipe) -> Tensor:
    features = net.shared(batch.x)
    loss = torch.mean(((net.joint(features) - batch.y) / net.joint.spread) ** 2)
    if not recipe.adversary:
        return loss
    return loss + cross_entropy(suspect(reverse(features, ramp(progress))), batch.task)


def _weight(joint: Tensor, y: Tensor, recipe: Recipe) -> Tensor:
    return torch.exp(-torch.abs(joint - y) / BETA) if recipe.weights else torch.ones_like(y)


def _std(net: Srse | Pair, held: Rows, tasks: int) -> tuple[float, ...]:
    """Find a deviation for each configuration that holds nine of ten of its held-out rows and explains them."""
    error = np.abs(predict(net, held.x, held.task.tolist()) - held.y.numpy())
    task = held.task.numpy()
    parts = [error[task == t] if (task == t).any() else error for t in range(tasks)]
    return tuple(
        float(max(np.quantile(e, 0.9) / NINETY, np.sqrt(np.mean(e**2)))) if len(e) else float("nan") for e in parts
    )


def _rmse(said: Tensor, y: Tensor) -> float:
    return float(torch.sqrt(torch.mean((said - y) ** 2)))
