import numpy as np
import pytest
import torch

from estimators.multitask.network import FADE, RUL, SOH, Settings, _losses, train

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(400, 4))
HEALTH = 0.9 + 0.05 * np.tanh(X[:, 0])
FADING = 2.0 + np.tanh(X[:, 1])
Y = np.stack([HEALTH, np.sqrt(1e4 * (HEALTH - 0.8) / FADING), FADING], axis=1)
SMALL = {"steps": 250, "rows": 64, "members": 2, "units": 16}


@pytest.mark.parametrize(
    "how", [{}, {"weighting": "pcgrad"}, {"weighting": "equal"}, {"weighting": "reversal"}, {"tied": True}]
)
def test_every_head_is_trained_however_the_gradients_are_joined(how):
    settings = Settings(**SMALL, **how)
    error = np.abs(train(X, Y, (SOH, RUL, FADE), settings).each(X).mean(axis=0) - Y).mean(axis=0)
    assert (error < 0.35 * np.abs(Y - Y.mean(axis=0)).mean(axis=0)).all()


def test_the_heads_move_from_where_they_were_drawn():
    trained = train(X, Y, (SOH, RUL, FADE), Settings(**SMALL), seed=3).network
    torch.manual_seed(3)
    before = type(trained)(4, (SOH, RUL, FADE), Settings(**SMALL))
    for now, then in list(zip(trained.heads, before.heads, strict=True))[::2]:  # weights, without the biases
        assert not torch.allclose(now, then, atol=1e-2)


def test_members_are_trained_apart_from_one_another():
    said = train(X, Y, (SOH,), Settings(**SMALL)).each(X)
    assert said.shape == (2, 400, 1)
    assert np.abs(said[0] - said[1]).max() > 0


def test_the_arrays_that_are_kept_say_what_the_network_says():
    trained = train(X, Y, (SOH, FADE), Settings(**{**SMALL, "steps": 30}))
    for place in range(2):
        assert trained.form(place).predict(X) == pytest.approx(trained.each(X)[..., place].mean(axis=0), abs=1e-5)


def test_a_tie_that_lacks_one_of_its_ends_is_left_out():
    assert train(X, Y, (SOH, FADE), Settings(**{**SMALL, "steps": 2}, tied=True)).each(X).shape == (2, 400, 2)


def test_a_target_that_is_not_known_teaches_nothing():
    truth = torch.tensor([[[1.0, float("nan")], [2.0, float("nan")]]])
    said = torch.zeros(1, 2, 2, requires_grad=True)
    losses = _losses(said, truth)
    losses.sum().backward()
    assert losses[0, 1] == 0
    assert (said.grad[..., 1] == 0).all()
    assert (said.grad[..., 0] != 0).all()
