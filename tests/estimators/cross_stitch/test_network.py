import torch

from estimators.cross_stitch.network import Network


def in_range(network, low, high):
    network.low.copy_(torch.tensor(low))
    network.high.copy_(torch.tensor(high))


def test_it_has_as_many_parameters_as_the_paper_s_table_gives():
    assert sum(p.numel() for p in Network().parameters()) == 1_534_994


def test_with_identity_stitches_the_soc_does_not_depend_on_the_soh_tower():
    network = Network()
    a, b = torch.randn(16, 256), torch.randn(16, 256)
    assert torch.equal(network.joint(a, b).soc, network.joint(a, torch.zeros_like(b)).soc)


def test_a_stitch_lets_the_soh_tower_into_the_soc():
    network = Network()
    with torch.no_grad():
        network.stitches[0, 0, 1] = 0.5
    a, b = torch.randn(16, 256), torch.randn(16, 256)
    assert not torch.allclose(network.joint(a, b).soc, network.joint(a, torch.zeros_like(b)).soc)


def test_the_soc_head_with_held_features_equals_both_heads_together():
    network = Network()
    with torch.no_grad():
        network.stitches.add_(0.1 * torch.randn_like(network.stitches))
    a, b = torch.randn(16, 256), torch.randn(16, 256)
    joint = network.joint(a, b)
    assert torch.allclose(network.soc(a, joint.held), joint.soc, atol=1e-6)


def test_inputs_are_scaled_by_the_training_range_and_clipped_a_tenth_beyond_it():
    network = Network()
    in_range(network, [2.5, -4.0, 0.0], [4.5, 4.0, 40.0])
    scaled = network.scale(torch.tensor([[3.5, 0.0, 20.0], [9.0, -40.0, -60.0]]))
    assert torch.allclose(scaled, torch.tensor([[0.5, 0.5, 0.5], [1.1, -0.1, -0.1]]))


def test_another_range_leaves_the_answers_as_they_were():
    network = Network()
    in_range(network, [2.5, -4.0, 0.0], [4.5, 4.0, 40.0])
    raw = torch.tensor([[[3.5, 0.3, 20.0]] * 4])
    before, _ = network.shared(network.scale(raw))
    network.keep_through_range(torch.tensor([2.0, -6.0, -20.0]), torch.tensor([4.4, 3.0, 50.0]))
    in_range(network, [2.0, -6.0, -20.0], [4.4, 3.0, 50.0])
    after, _ = network.shared(network.scale(raw))
    assert torch.allclose(before, after, atol=1e-6)
