import pytest
import torch

from estimators.reversal import ramp, reverse


def test_a_reversed_gradient_is_the_gradient_turned_round():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = reverse(x, 0.5)
    assert torch.equal(y, x)
    (3.0 * y).sum().backward()
    assert x.grad.tolist() == [-1.5, -1.5]


def test_the_reversal_grows_from_nothing_to_all():
    assert ramp(0.0) == 0.0
    assert ramp(0.2) < ramp(0.5) < ramp(1.0) == pytest.approx(1.0, abs=1e-3)
