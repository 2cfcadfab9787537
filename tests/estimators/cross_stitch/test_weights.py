import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from estimators.cell_type import NETWORK_FILE
from estimators.cross_stitch import weights
from estimators.cross_stitch.domain import Domain
from estimators.cross_stitch.network import Network
from estimators.cross_stitch.uncertainty import Uncertainty


@pytest.fixture
def saved(tmp_path):
    uncertainty = Uncertainty()
    torch.nn.init.normal_(uncertainty.layer.weight)
    domain = Domain(np.ones((3, 5), np.float32), np.full(5, 2.0, np.float32), 0.7)
    table = np.array([0.0, 20.0]), np.array([0.02, 0.01])
    made = weights.Weights(Network(), 0.9, *table, 0.03, uncertainty, domain)
    weights.save(made, tmp_path)
    return made, tmp_path


def test_what_is_saved_is_loaded(saved):
    made, folder = saved
    loaded = weights.load(folder)
    assert torch.equal(loaded.uncertainty.layer.weight, made.uncertainty.layer.weight)
    assert torch.equal(loaded.network.stitches, made.network.stitches)
    assert (loaded.domain.radius, loaded.domain.points.shape) == (0.7, (3, 5))
    assert (loaded.reference_soh, loaded.soh_std) == (0.9, 0.03)
    assert loaded.soc_std.tolist() == [0.02, 0.01]


def test_large_matrices_are_kept_in_half_and_computed_with_in_single_precision(saved):
    made, folder = saved
    kept, loaded = load_file(folder / NETWORK_FILE), weights.load(folder).network.state_dict()
    assert kept["network.soc_lstm.weight_hh_l0"].dtype == torch.float16
    for name, tensor in made.network.state_dict().items():
        assert loaded[name].dtype == torch.float32
        torch.testing.assert_close(
            loaded[name], tensor, rtol=5e-4 if tensor.numel() >= weights.LARGE else 0.0, atol=1e-7
        )


def test_weights_of_before_there_was_an_uncertainty_still_load(saved):
    _, folder = saved
    path = folder / NETWORK_FILE
    save_file({k: v for k, v in load_file(path).items() if not k.startswith(("uncertainty.", "domain."))}, path)
    loaded = weights.load(folder)
    assert loaded.domain is None
    assert torch.equal(loaded.uncertainty.layer.weight, Uncertainty().layer.weight)


def test_a_damaged_file_is_named(saved):
    _, folder = saved
    (folder / NETWORK_FILE).write_bytes(b"torn")
    with pytest.raises(ValueError, match=NETWORK_FILE):
        weights.load(folder)
