import numpy as np
import torch

from estimators.cross_stitch.calibrate import calibrate, errors
from estimators.cross_stitch.network import Network
from estimators.cross_stitch.train import Settings, fit_range, train
from estimators.cross_stitch.windows import Run


def runs(count=4, seconds=800):
    """Cells whose voltage is their SOC: easy to learn, so a broken gradient shows."""
    made = []
    for seed in range(count):
        random = np.random.default_rng(seed)
        current = np.repeat(random.uniform(-2.0, 1.0, seconds // 20), 20)
        soc = np.clip(0.5 + np.cumsum(current) / 3600.0 + random.uniform(-0.3, 0.3), 0.0, 1.0)
        columns = (3.0 + soc + 0.02 * current, current, np.full(seconds, 25.0), soc, np.full(seconds, 0.9))
        made.append(Run(f"r{seed}", *(c.astype(np.float32) for c in columns)))
    return made


def quick(steps):
    return Settings(steps=steps, rows=16, seconds=40, warm_up_steps=5, checkpoint_steps=20, learning_rate=2e-3)


def trained(folder, steps):
    torch.manual_seed(0)
    network = Network()
    fit_range(network, runs())
    return train(network, runs(), quick(steps), folder, lambda _: None)


def test_it_learns(tmp_path):
    torch.manual_seed(0)
    untrained = Network()
    fit_range(untrained, runs())
    before = np.mean([np.abs(soc).mean() for soc, _ in errors(untrained, runs(6)[4:])])
    after = np.mean([np.abs(soc).mean() for soc, _ in errors(trained(tmp_path, 60), runs(6)[4:])])
    assert after < 0.5 * before


def test_a_run_that_was_cut_goes_on_from_its_checkpoint(tmp_path):
    trained(tmp_path, 20)
    said = []
    torch.manual_seed(0)
    network = Network()
    train(network, runs(), quick(20), tmp_path, said.append)
    again = trained(tmp_path, 20)
    assert said == []
    assert torch.equal(again.stitches, trained(tmp_path, 20).stitches)


def test_the_stitches_move_from_identity(tmp_path):
    assert not torch.allclose(trained(tmp_path, 20).stitches, torch.eye(2).expand(4, 2, 2), atol=1e-4)


def test_calibration_gives_the_error_at_each_temperature(tmp_path):
    weights = calibrate(trained(tmp_path, 20), runs(6)[4:], reference_soh=0.97)
    assert weights.temperature_celsius.tolist() == [20.0] or weights.temperature_celsius.tolist() == [30.0]
    assert weights.soc_std.shape == weights.temperature_celsius.shape
    assert weights.reference_soh == 0.97
