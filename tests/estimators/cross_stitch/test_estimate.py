from dataclasses import replace

import numpy as np
import pytest
import torch

from estimators.cell_type import CellType
from estimators.contract import TOLD_SOH_STD, Second, Start, to_nominal
from estimators.cross_stitch import CrossStitch, weights
from estimators.cross_stitch import estimate as stepping
from estimators.cross_stitch.calibrate import errors
from estimators.cross_stitch.domain import Domain
from estimators.cross_stitch.sequence import run
from estimators.cross_stitch.windows import Run
from tests.estimators.contract_suite import EstimatorContract


class TestContract(EstimatorContract):
    @pytest.fixture
    def estimator(self, untrained):
        return CrossStitch(untrained)


def stepped(estimator, drive, soh, rows):
    """SOC of nominal capacity and the tower's SOH [second, cell]; the last cell is repeated up to `rows` rows."""
    pick = np.minimum(np.arange(rows), drive.shape[1] - 1)
    state = estimator.init(Start.told(np.full(rows, np.nan), soh[pick]))
    out = []
    for second in drive[:, pick]:
        state, estimate = estimator.step(state, Second(*second.T))
        out.append((to_nominal(estimate.soc, estimate.soh)[: drive.shape[1]], state["soh"][: drive.shape[1]]))
    return np.array(out).transpose(1, 0, 2)


def sequence(estimator, drive, soh):
    raw = drive.copy()
    raw[..., 1] /= 2.0
    with torch.no_grad():
        soc, soh_out = run(estimator._network, torch.from_numpy(raw.astype(np.float32)), torch.from_numpy(soh).float())
    nominal = 1.0 - (1.0 - soc.numpy().astype(np.float64)) * soh / 0.95
    return nominal, soh_out.numpy()


@pytest.mark.parametrize("seconds", [3_700, pytest.param(86_400, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_the_step_equals_the_sequence(untrained, drive, seconds):
    estimator, soh = CrossStitch(untrained), np.array([0.8, 0.9, 1.0])
    data = drive(seconds, 3)
    soc, soh_out = stepped(estimator, data, soh, 16)
    expected_soc, expected_soh = sequence(estimator, data, soh)
    assert np.abs(soc - expected_soc).max() < 1e-5
    assert np.abs(soh_out - expected_soh).max() < 1e-5


def test_soc_of_nominal_capacity_does_not_depend_on_what_the_soh_tower_says(untrained, drive):
    estimator, data = CrossStitch(untrained), drive(3_605, 1)
    soc, soh = stepped(estimator, data, np.array([0.95]), 16)
    assert soh[-1, 0] != 0.95
    raw, _ = run(
        estimator._network, torch.from_numpy((data / [1.0, 2.0, 1.0]).astype(np.float32)), torch.tensor([0.95])
    )
    assert abs(soc[-1, 0] - raw[-1, 0].item()) < 1e-5


def test_soh_is_the_initial_one_for_an_hour_and_then_the_tower_s(untrained, drive):
    _, soh = stepped(CrossStitch(untrained), drive(3_601, 1), np.array([0.87]), 16)
    assert (soh[:3_599] == 0.87).all()
    assert soh[3_599] != 0.87


def test_a_cell_s_bits_are_the_same_in_batches_of_16_and_256(untrained, drive):
    estimator, data, soh = CrossStitch(untrained), drive(40, 2), np.array([0.9, 0.8])
    for few, many in zip(stepped(estimator, data, soh, 16), stepped(estimator, data, soh, 256), strict=True):
        assert few.tobytes() == many.tobytes()


def domain_of(estimator, celsius):
    """Whether the first of 16 cells is out of domain, second by second; the others stay at 20 degrees."""
    state, flagged = estimator.init(Start.unknown(16, 0.9)), []
    for degrees in celsius:
        temperature = np.array([degrees] + [20.0] * 15)
        state, estimate = estimator.step(state, Second(np.full(16, 3.7), np.zeros(16), temperature))
        assert not estimate.out_of_domain[1:].any()
        flagged.append(bool(estimate.out_of_domain[0]))
    return flagged


def test_input_beyond_the_training_range_is_out_of_domain_within_a_minute(untrained):
    assert domain_of(CrossStitch(untrained), [50.0] * 60)[-1]


def test_a_single_strange_second_is_not_out_of_domain(untrained):
    assert not any(domain_of(CrossStitch(untrained), [20.0] * 20 + [50.0] + [20.0] * 20))


def test_input_that_the_cell_cannot_have_is_out_of_domain_at_once(untrained):
    assert domain_of(CrossStitch(untrained), [20.0] * 5 + [80.0])[-1]


def test_uncertainty_falls_from_the_unknown_start(untrained):
    estimator = CrossStitch(untrained)
    state, second = estimator.init(Start.unknown(16, 0.9)), Second(np.full(16, 3.7), np.zeros(16), np.full(16, 20.0))
    stds = []
    for _ in range(180):
        state, estimate = estimator.step(state, second)
        stds.append(state["soc_std"][0])
    assert stds[0] > 0.1 > stds[-1]
    assert not estimate.warming_up.any()


@pytest.fixture(scope="module")
def calibrated(untrained, tmp_path_factory):
    """The untrained network with an uncertainty that listens to its features, and a domain around 3.7 V."""
    folder = tmp_path_factory.mktemp("calibrated")
    (folder / "cell.yaml").write_text((untrained.folder / "cell.yaml").read_text())
    known = weights.load(untrained.folder)
    torch.nn.init.normal_(known.uncertainty.layer.weight, std=0.3)
    points = np.array([[20.0, 3.7, 0.0, 0.0, 0.0]], np.float32)
    weights.save(replace(known, domain=Domain(points, np.ones(5, np.float32), 0.5)), folder)
    return CellType.load(folder)


def test_the_deviation_of_the_step_is_that_of_the_sequence(calibrated, drive):
    estimator, data = CrossStitch(calibrated), drive(3_650, 1)
    raw = (data[:, 0] / [1.0, 2.0, 1.0]).astype(np.float32)
    nothing = np.zeros(len(raw), np.float32)
    (found,) = errors(
        estimator._network, [Run("a", *raw.T, nothing, nothing)], 0.95, weights.load(calibrated.folder).uncertainty
    )
    state, stds, soh = estimator.init(Start.told(np.full(16, np.nan), np.full(16, 0.95))), [], []
    for second in data[:, np.zeros(16, int)]:
        state, estimate = estimator.step(state, Second(*second.T))
        stds.append(state["soc_std"][0])
        soh.append(estimate.soh[0])
    expected = np.interp(raw[:, 2], [0.0, 25.0], [0.02, 0.01]) * np.exp(found.log_std) / np.array(soh)
    assert np.ptp(np.log(stds)) > 1.0
    assert np.allclose(stds, np.minimum(expected, 0.29), rtol=1e-3)


def test_a_cell_once_far_from_all_training_is_not_trusted_again_at_once(calibrated):
    estimator = CrossStitch(calibrated)
    state, flagged = estimator.init(Start.unknown(16, 0.9)), []
    for volt in [3.7] * 60 + [2.7] * 400 + [3.7] * 1200:
        state, estimate = estimator.step(state, Second(np.full(16, volt), np.zeros(16), np.full(16, 20.0)))
        flagged.append(bool(estimate.out_of_domain[0]))
    assert not any(flagged[:100])
    assert all(flagged[459:])


def test_the_soh_tower_starts_anew_each_day_from_what_is_published(untrained, drive, monkeypatch):
    monkeypatch.setattr(stepping, "RESTART_SECOND", 7_200)
    estimator, data = CrossStitch(untrained), drive(7_201, 1)[:, [0] * 16]
    state = estimator.init(Start.told(np.full(16, np.nan), np.full(16, 0.9)))
    for second in data[:-1]:
        before = state
        state, estimate = estimator.step(state, Second(*second.T))
    hidden = estimator._network.initial_soh_hidden(torch.from_numpy(estimate.soh.astype(np.float32)))
    for name, expected in zip(("soh_h", "soh_c"), hidden, strict=True):
        np.testing.assert_allclose(state[name], expected.detach().numpy().reshape(16, -1), atol=1e-6)
    assert not np.array_equal(state["held_0"], before["held_0"])
    after, _ = estimator.step(state, Second(*data[-1].T))
    assert after["soh_h"].tobytes() == state["soh_h"].tobytes()


def test_the_published_soh_moves_slowly_whatever_the_tower_says(untrained, drive):
    estimator, data = CrossStitch(untrained), drive(7_201, 1)[:, [0] * 16]
    state = estimator.init(Start.told(np.full(16, np.nan), np.full(16, 0.9)))
    shown = []
    for second in data:
        state, estimate = estimator.step(state, Second(*second.T))
        shown.append(estimate.soh[0])
    tower = abs(state["soh"][0] - 0.9)
    assert tower > 0.2  # untrained, it says anything
    assert (np.array(shown[:3_599]) == 0.9).all()
    assert 0.0 < np.abs(np.diff(shown)).max() < TOLD_SOH_STD
