import numpy as np
import pytest
import torch

from estimators.cross_stitch.calibrate import calibrate, errors
from estimators.cross_stitch.network import Network
from estimators.cross_stitch.train import Settings, fit_range, train
from estimators.cross_stitch.windows import Run


def runs(first, last, seconds=800):
    """Cells whose voltage is their SOC: easy to learn, so a broken gradient shows."""
    made = []
    for seed in range(first, last):
        random = np.random.default_rng(seed)
        current = np.repeat(random.uniform(-2.0, 1.0, seconds // 20), 20)
        soc = np.clip(0.5 + np.cumsum(current) / 3600.0 + random.uniform(-0.3, 0.3), 0.0, 1.0)
        columns = (3.0 + soc + 0.02 * current, current, np.full(seconds, 25.0), soc, np.full(seconds, 0.9))
        made.append(Run(f"r{seed}", *(c.astype(np.float32) for c in columns)))
    return made


TRAINING, UNSEEN = runs(0, 4), runs(4, 6)
QUICK = Settings(steps=40, rows=8, seconds=40, warm_up_steps=5, checkpoint_steps=20, learning_rate=2e-3)


def fresh():
    torch.manual_seed(0)
    network = Network()
    fit_range(network, TRAINING)
    return network


def mean_error(network):
    return np.mean([np.abs(soc).mean() for soc, _ in errors(network, UNSEEN)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("training")


@pytest.fixture(scope="module")
def trained(folder):
    return train(fresh(), TRAINING, QUICK, folder, lambda _: None)


def test_it_learns(trained):
    assert mean_error(trained) < 0.6 * mean_error(fresh())


def test_a_training_that_was_ended_is_taken_up_where_it_stopped(trained, folder):
    said = []
    again = train(fresh(), TRAINING, QUICK, folder, said.append)
    assert said == []  # nothing left to do
    assert torch.equal(again.stitches, trained.stitches)


def test_the_stitches_move_from_identity(trained):
    assert not torch.allclose(trained.stitches, torch.eye(2).expand(4, 2, 2), atol=1e-4)


def test_calibration_gives_the_error_at_each_temperature(trained):
    weights = calibrate(trained, UNSEEN, reference_soh=0.97)
    assert weights.temperature_celsius.tolist() == [20.0]  # 25 degrees, to the next ten
    assert weights.soc_std.shape == (1,)
    assert weights.reference_soh == 0.97


def test_an_input_that_never_varied_in_training_is_not_divided_by(trained):
    assert torch.isfinite(trained.scale(torch.tensor([3.5, 0.0, 30.0]))).all()
