"""Both stages learn, what is frozen stays, and cells are held out whole."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from estimators.reversal import ramp
from estimators.srse.network import Srse, discriminator
from estimators.srse.train import (
    Recipe,
    Rows,
    _shared_loss,
    add_configuration,
    learn_configuration_scale,
    predict,
    specialise,
    split,
    train,
    train_pair,
)

RECIPE = Recipe(backbone="mlp", steps=200, batch=16, look_every=25, each_point=True)


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Two configurations of four cells: SOH is a line of two inputs, another one in each."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(240, 1, 6)).astype(np.float32)
    task = np.repeat([0, 1], 120)
    y = 0.8 + 0.05 * x[:, 0, 0] + np.where(task == 0, 0.03, -0.03) * x[:, 0, 1]
    cell = np.array([f"cell {i // 30}" for i in range(240)])
    return Rows(torch.as_tensor(x), torch.as_tensor(y, dtype=torch.float32), torch.as_tensor(task), cell)


def rmse(said, rows):
    return float(np.sqrt(np.mean((said - rows.y.numpy()) ** 2)))


def test_cells_are_held_out_whole_and_of_every_configuration(rows):
    some, held = split(rows, 0)
    assert not set(some.cell) & set(held.cell)
    assert set(held.task.tolist()) == {0, 1}


def test_the_only_cell_of_a_configuration_trains(rows):
    alone = rows.take((rows.cell == "cell 0") | (rows.task.numpy() == 1))
    some, held = split(alone, 0)
    assert "cell 0" in some.cell
    assert "cell 0" not in held.cell


def test_a_network_of_its_own_answers_each_configuration(rows):
    trained = train(rows, RECIPE, 0)
    right = rmse(predict(trained.net, rows.x, rows.task.tolist()), rows)
    swapped = rmse(predict(trained.net, rows.x, (1 - rows.task).tolist()), rows)
    joint = rmse(predict(trained.net, rows.x, [-1] * len(rows)), rows)
    assert right < 0.025 < swapped
    assert right < joint
    assert all(0 < s < 0.05 for s in trained.std)


@pytest.mark.parametrize(
    "change", [{"weights": False}, {"adversary": False}, {"two_stages": False}, {"from_joint": True}]
)
def test_every_part_can_be_left_out(rows, change):
    changed = replace(RECIPE, **change)
    trained = train(rows, changed, 0)
    assert rmse(predict(trained.net, rows.x, rows.task.tolist()), rows) < 0.04


def test_the_shared_net_is_driven_away_from_what_the_discriminator_needs(rows):
    torch.manual_seed(0)
    net, suspect = Srse(2, "mlp", 1, 6, each_point=True).eval(), discriminator(2)
    net.shared.learn_scale(rows.x, ())
    net.joint.learn_scale(rows.y)

    def gradients(loss):
        parameters = [*net.shared.parameters(), *suspect.parameters()]
        found = torch.autograd.grad(loss, parameters, retain_graph=True)
        count = len(list(net.shared.parameters()))
        return found[:count], found[count:]

    features = net.shared(rows.x)
    supervised = torch.mean(((net.joint(features) - rows.y) / net.joint.spread) ** 2)
    with_adversary = _shared_loss(net, suspect, rows, 0.5, RECIPE)
    shared, discriminating = gradients(cross_entropy(suspect(features), rows.task))
    (own,) = (torch.autograd.grad(supervised, list(net.shared.parameters()), retain_graph=True),)
    reversed_, as_it_is = gradients(with_adversary)
    for total, alone, helpful in zip(reversed_, own, shared, strict=True):
        assert torch.allclose(total - alone, -ramp(0.5) * helpful, atol=1e-5)
    for one, other in zip(as_it_is, discriminating, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_the_second_stage_leaves_what_is_shared(rows):
    net = Srse(2, "mlp", 1, 6, each_point=True)
    net.shared.learn_scale(rows.x, ())
    net.joint.learn_scale(rows.y)
    before = copy.deepcopy(net.state_dict())
    some, held = split(rows.of(0), 0)
    learn_configuration_scale(net, 0, some, RECIPE)
    specialise(net, 0, some, held, RECIPE, 0)
    for name, value in net.state_dict().items():
        same = torch.equal(value, before[name])
        assert same or name.startswith(("tasks.0", "heads.0", "gains.0")), name
    assert not torch.equal(net.gains[0], before["gains.0"])


def test_a_configuration_can_be_added_with_a_few_labels(rows):
    trained = train(replace(rows.of(0), task=torch.zeros(120, dtype=torch.long)), RECIPE, 0)
    new = rows.of(1)
    task = add_configuration(trained.net)
    learn_configuration_scale(trained.net, task, new, RECIPE)
    specialise(trained.net, task, new, new.take(np.array([], int)), RECIPE, 0)
    assert rmse(predict(trained.net, new.x, [task] * len(new)), new) < rmse(
        predict(trained.net, new.x, [-1] * len(new)), new
    )


def test_a_network_without_sharing_learns_one_configuration(rows):
    one = rows.of(1)
    assert rmse(predict(train_pair(one, RECIPE, 0).net, one.x), one) < 0.025


def test_the_same_seed_gives_the_same_weights(rows):
    short = replace(RECIPE, steps=10)
    first, second = (train(rows, short, 3).net.state_dict() for _ in range(2))
    assert all(torch.equal(first[k], second[k]) for k in first)
