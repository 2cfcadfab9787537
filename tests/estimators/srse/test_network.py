"""The parts of the network do what their names say."""

import pytest
import torch

from estimators.srse.network import BACKBONES, Encoder, Srse


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("shape", [(5, 1000), (2, 50), (1, 22)])
def test_every_backbone_gives_four_features_of_every_form(backbone, shape):
    assert Encoder(backbone, *shape, each_point=False)(torch.randn(3, *shape)).shape == (3, 4)


def test_backbones_are_really_different_networks():
    sizes = {b: sum(p.numel() for p in Encoder(b, 5, 1000, False).parameters()) for b in BACKBONES}
    assert len(set(sizes.values())) == len(BACKBONES)
    assert sizes["cnn"] == 12_900 + 40  # nine blocks; a fifth channel adds 5 x 8 weights


def test_an_input_is_cut_at_what_was_trained():
    encoder = Encoder("mlp", 1, 4, each_point=True).eval()
    encoder.learn_scale(torch.rand(50, 1, 4), ())
    assert torch.equal(encoder(torch.full((1, 1, 4), 5.0)), encoder(torch.full((1, 1, 4), 500.0)))


def test_an_outlier_of_a_channel_does_not_set_its_scale():
    x = torch.rand(100, 2, 50)
    x[0, 1, 0] = 1e6
    tame, wild = (Encoder("cnn", 2, 50, each_point=False) for _ in range(2))
    tame.learn_scale(x, (1,))
    wild.learn_scale(x, ())
    assert tame.spread[1] < 1 < wild.spread[1]


def test_a_new_configuration_answers_as_the_joint_head_does():
    net = Srse(2, "mlp", 1, 8).eval()
    net.heads[1].load_state_dict(net.joint.state_dict())  # gains are 0 until training says otherwise
    x = torch.randn(5, 1, 8)
    assert torch.allclose(net(x, 1), net(x, None))


def test_a_row_unlike_any_that_was_trained_is_told():
    encoder = Encoder("mlp", 2, 22, each_point=True)
    known = torch.rand(200, 2, 22)
    encoder.learn_scale(known, ())
    strange = known[:2].clone()
    strange[1, 1, 7] = 1e9
    assert not encoder.outside(known).any()
    assert encoder.outside(strange).tolist() == [False, True]
