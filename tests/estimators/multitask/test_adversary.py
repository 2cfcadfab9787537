import torch

from estimators.multitask.adversary import Judge, unlearnt
from estimators.multitask.network import Network, Settings, _losses

SETTINGS = Settings(units=8, members=2, dropout=0.0)
X, TRUTH = torch.randn(2, 30, 4), torch.randn(2, 30, 3)


def judged(truth, strength):
    torch.manual_seed(1)
    network, judge = Network(4, (0, 1, 2), SETTINGS), Judge(2, 8, 3)
    shared = network.encode(X)
    losses = _losses(network.ask(shared), truth)
    return network, judge, unlearnt(judge, shared, losses, torch.isfinite(truth), strength)


def gradients(strength):
    network, judge, loss = judged(TRUTH, strength)
    parts = (network.encoder, list(network.heads)[::4], judge.parameters())
    return [torch.autograd.grad(loss, list(part), retain_graph=True) for part in parts]


def test_what_the_judge_learns_is_unlearnt_by_encoder_and_heads():
    once, twice = gradients(0.5), gradients(1.0)
    assert all(g.abs().max() > 0 for part in once for g in part)
    for turned, more in zip(once[:2], twice[:2], strict=True):
        assert all(torch.allclose(2 * a, b, atol=1e-5) for a, b in zip(turned, more, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(once[2], twice[2], strict=True))


def test_a_target_that_is_not_known_is_not_judged():
    unknown = TRUTH.clone()
    unknown[..., 2] = torch.nan
    _, judge, loss = judged(unknown, 0.5)
    loss.backward()
    assert torch.isfinite(loss)
    assert (judge.b2.grad[..., 2] > 0).all()  # no row of it: it is only ever the wrong answer
