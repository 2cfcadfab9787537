from dataclasses import replace

import numpy as np
import pytest
import torch

from estimators.imodel.estimate import capacity
from estimators.imodel.features import KINDS
from estimators.imodel.mixture import load_mixture, save_mixture
from estimators.imodel.network import STEPS, Network, seen
from estimators.imodel.rows import ahead
from estimators.imodel.train import learn
from estimators.imodel.train_network import fit_mixture
from tests.estimators.imodel.made_up import NCA, rows

ROWS = rows(cells=8, cycles=160)


@pytest.fixture(scope="module")
def mixture():
    return fit_mixture(NCA, ROWS, updates=150)


def test_fade_is_learnt_never_negative_and_grows(mixture):
    fade, weight = mixture.fade(ROWS.events)
    assert (np.diff(fade, axis=1, prepend=0.0) >= 0).all()
    truth = ROWS.capacity_ah - ahead(ROWS, 100)
    told = np.isfinite(truth)
    assert np.abs(fade[told, 9] - truth[told]).mean() < 0.5 * truth[told].mean()
    assert weight.sum(axis=1) == pytest.approx(np.ones(len(weight)), abs=1e-5)


def test_use_planned_later_does_not_reach_back(mixture):
    network = mixture.network
    shown = seen(ROWS.events.pick(np.arange(len(ROWS.cell)) < 4), NCA)
    steps = torch.zeros(4, STEPS, 4)
    changed = steps.clone()
    changed[:, 10:, 1:] += 3.0
    with torch.no_grad():
        first, second = (network.head(network.decoder(s)[0])[:, :, 0] for s in (steps, changed))
    assert torch.equal(first[:, :10], second[:, :10])
    assert not torch.equal(first[:, 10:], second[:, 10:])
    assert shown.curve.shape == (4, 50)


def test_what_was_not_seen_is_masked_and_not_taken_for_zero(mixture):
    late = ROWS.events.charge_ah.copy()
    late[:, :10] = np.nan
    shown = seen(replace(ROWS.events, charge_ah=late), NCA)
    assert not shown.mask[:, :10].any()
    assert shown.mask[:, 10:].all()
    assert np.isfinite(mixture.fade(replace(ROWS.events, charge_ah=late))[0]).all()


def test_a_trajectory_begins_at_the_capacity_now(mixture):
    known = learn(NCA, ROWS, ["rest"], ())
    later = mixture.trajectory(known, ROWS.events, [0, 25, 150])
    assert later.mean_ah[:, 0] == pytest.approx(capacity(known, ROWS.events).mean)
    assert (later.std_ah[:, 2] > later.std_ah[:, 0]).all()


def test_a_gate_shown_other_rows_says_something_else(mixture):
    mean, lost = mixture.fade(ROWS.events)[1], mixture.fade(ROWS.events, shuffle=1)[1]
    assert not np.allclose(mean, lost)


def test_what_is_kept_says_the_same_and_damage_is_named(mixture, tmp_path):
    save_mixture(mixture, tmp_path)
    again = load_mixture(NCA, tmp_path)
    assert (again.fade(ROWS.events)[0] == mixture.fade(ROWS.events)[0]).all()
    assert load_mixture(KINDS["ncm"], tmp_path) is None
    (tmp_path / "imodel-nca.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match="imodel-nca"):
        load_mixture(NCA, tmp_path)


def test_two_experts_are_preferred_and_none_is_left_out():
    network = Network().eval()
    with torch.no_grad():
        weight = network.mixture(torch.randn(50, 12))
    assert (weight > 0).all()
    assert (weight.topk(2, dim=1).values.sum(dim=1) > 2 / 5).all()
