import math

import pytest
import torch

from estimators.cross_stitch import weighting
from estimators.cross_stitch.plan import SOC, SOH
from estimators.cross_stitch.weighting import Weighting


def losses(soc, soh):
    return {SOC: torch.tensor(soc, requires_grad=True), SOH: torch.tensor(soh, requires_grad=True)}


def test_empirical_adds_five_times_the_soh():
    assert Weighting("empirical", 5.0)(losses(0.02, 0.01)).item() == pytest.approx(0.07)


def test_uncertainty_finds_the_sigma_that_each_loss_asks_for():
    weigh = Weighting("uncertainty", 5.0)
    optimiser = torch.optim.Adam(weigh.parameters(), lr=0.05)
    for _ in range(400):
        optimiser.zero_grad()
        weigh(losses(0.04, 0.0025)).backward()
        optimiser.step()
    assert weigh.log_sigma.tolist() == pytest.approx([math.log(0.2), math.log(0.05)], abs=0.02)


def test_dynamic_average_gives_more_to_the_task_that_falls_slower(monkeypatch):
    monkeypatch.setattr(weighting, "BLOCK_STEPS", 1)
    weigh = Weighting("dynamic_average", 5.0)
    assert weigh(losses(1.0, 1.0)).item() == pytest.approx(2.0)  # nothing known: one each
    given = losses(0.5, 1.0)  # SOC has halved, SOH stands still
    weigh(given).backward()
    share = math.exp(0.5 / 2.0), math.exp(1.0 / 2.0)
    assert given[SOC].grad.item() == pytest.approx(2.0 * share[0] / sum(share))
    assert given[SOH].grad.item() == pytest.approx(2.0 * share[1] / sum(share))


@pytest.mark.parametrize("kind", ["empirical", "uncertainty", "dynamic_average"])
def test_a_window_without_an_hour_s_end_has_the_soc_alone(kind):
    assert torch.isfinite(Weighting(kind, 5.0)({SOC: torch.tensor(0.1)}))
