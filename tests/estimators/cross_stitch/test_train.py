import csv
from dataclasses import replace

import numpy as np
import pytest
import torch

from estimators.cross_stitch.calibrate import calibrate, errors, intervals
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
    return np.mean([np.abs(soc).mean() for soc, *_ in errors(network, UNSEEN)])


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


def test_calibration_on_the_training_stream_makes_intervals_that_hold(trained, monkeypatch):
    monkeypatch.setattr("estimators.cross_stitch.calibrate.WINDOWS", 20)
    weights = calibrate(trained, UNSEEN, reference_soh=0.97, training=TRAINING, settings=QUICK)
    held = []
    for found in errors(trained, UNSEEN, uncertainty=weights.uncertainty):
        std = np.interp(25.0, weights.temperature_celsius, weights.soc_std) * np.exp(found.log_std)
        held.append(np.mean(np.abs(found.soc) < 1.645 * std))
    assert 0.85 < np.mean(held) < 0.95
    assert weights.domain.radius > 0
    assert "90 % intervals" in intervals(weights, UNSEEN)


def test_calibration_leaves_the_network_as_it_was(trained, monkeypatch):
    monkeypatch.setattr("estimators.cross_stitch.calibrate.WINDOWS", 2)
    before = [p.clone() for p in trained.parameters()]
    after = calibrate(trained, UNSEEN, reference_soh=0.97, training=TRAINING, settings=QUICK).network
    assert all(torch.equal(a, b) for a, b in zip(before, after.parameters(), strict=True))


def test_an_input_that_never_varied_in_training_is_not_divided_by(trained):
    assert torch.isfinite(trained.scale(torch.tensor([3.5, 0.0, 30.0]))).all()


def stitches_by_step(folder):
    with (folder / "learning.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert len(rows[0]) == 3 + 16
    return {int(row[0]): np.array(row[3:], float).reshape(4, 2, 2) for row in rows[1:]}


@pytest.mark.parametrize(("plan", "moves"), [("towers_first", [False, True]), ("shared_trunk", [False, False])])
def test_a_plan_keeps_the_stitches_at_identity_as_long_as_it_says(tmp_path, plan, moves):
    train(fresh(), TRAINING, replace(QUICK, rows=2, plan=plan, plan_first_share=0.5), tmp_path, lambda _: None)
    found = stitches_by_step(tmp_path)
    assert [not np.allclose(found[step], np.eye(2)) for step in (20, 40)] == moves


@pytest.mark.parametrize(("plan", "other"), [("soc_alone", "soh_lstm"), ("soh_alone", "soc_lstm")])
def test_a_network_for_one_task_leaves_the_other_s_tower_as_it_was_drawn(tmp_path, plan, other):
    network, before = fresh(), dict(fresh().named_parameters())
    train(network, hourly(), replace(QUICK, steps=13, rows=2, seconds=600, plan=plan), tmp_path, lambda _: None)
    after = dict(network.named_parameters())
    assert torch.equal(after[f"{other}.weight_hh_l0"], before[f"{other}.weight_hh_l0"])
    assert not torch.equal(after["shared.weight_hh_l0"], before["shared.weight_hh_l0"])


def hourly():
    """Runs of two hours, so that hours end within a few windows."""
    return runs(0, 2, seconds=7_200)


@pytest.mark.parametrize("weighting", ["uncertainty", "dynamic_average"])
def test_every_weighting_learns_and_is_taken_up_where_it_stopped(tmp_path, weighting):
    settings = replace(QUICK, steps=20, rows=4, weighting=weighting)
    again = [train(fresh(), TRAINING, settings, tmp_path, lambda _: None) for _ in range(2)]
    assert mean_error(again[0]) < 0.9 * mean_error(fresh())
    assert torch.equal(again[0].shared.weight_hh_l0, again[1].shared.weight_hh_l0)


def test_the_learning_record_has_no_step_twice_when_a_training_is_taken_up_before_its_end(tmp_path):
    settings = replace(QUICK, rows=2, seconds=20, checkpoint_steps=30)
    train(fresh(), TRAINING, replace(settings, steps=30), tmp_path, lambda _: None)
    with (tmp_path / "learning.csv").open("a", encoding="utf-8") as file:
        file.write("40" + ",0" * 18 + "\n")  # of a part that was cut after the checkpoint
    train(fresh(), TRAINING, replace(settings, steps=60), tmp_path, lambda _: None)
    assert list(stitches_by_step(tmp_path)) == [20, 30, 40, 60]
    assert stitches_by_step(tmp_path)[40].any()


def test_windows_that_do_not_end_with_the_hour_are_refused():
    with pytest.raises(ValueError, match="700"):
        Settings(seconds=700)
