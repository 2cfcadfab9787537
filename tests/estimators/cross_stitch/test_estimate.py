import numpy as np
import pytest
import torch

from estimators.contract import Second, Start, to_nominal, to_present
from estimators.cross_stitch import CrossStitch
from estimators.cross_stitch.sequence import run
from tests.estimators.contract_suite import EstimatorContract


class TestContract(EstimatorContract):
    @pytest.fixture
    def estimator(self, untrained):
        return CrossStitch(untrained)


def stepped(estimator, drive, soh, rows):
    """SOC and SOH [second, cell] of the streaming step, the last cell repeated up to `rows` rows."""
    pick = np.minimum(np.arange(rows), drive.shape[1] - 1)
    state = estimator.init(Start(np.full(rows, np.nan), soh[pick]))
    out = []
    for second in drive[:, pick]:
        state, estimate = estimator.step(state, Second(*second.T))
        out.append((estimate.soc[: drive.shape[1]], estimate.soh[: drive.shape[1]]))
    return np.array(out).transpose(1, 0, 2)


def sequence(estimator, drive, soh):
    raw = drive.copy()
    raw[..., 1] /= 2.0
    with torch.no_grad():
        soc, soh_out = run(estimator._network, torch.from_numpy(raw.astype(np.float32)), torch.from_numpy(soh).float())
    nominal = 1.0 - (1.0 - soc.numpy().astype(np.float64)) * soh / 0.95
    return to_present(nominal, soh_out.numpy().astype(np.float64)), soh_out.numpy()


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
    assert abs(to_nominal(soc[-1], soh[-1])[0] - raw[-1, 0].item()) < 1e-5


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
        stds.append(estimate.soc_std[0])
    assert stds[0] > 0.1 > stds[-1]
    assert not estimate.warming_up.any()
