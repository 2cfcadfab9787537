"""Nothing is lost and nothing invented by kills and outages: the short form of `make chaos`."""

from __future__ import annotations

import pytest

from tests.service.chaos import Chaos
from tests.service.undisturbed import harm

pytestmark = pytest.mark.service


def test_a_service_that_is_killed_again_and_again_ends_where_an_undisturbed_one_does(tmp_path):
    counts = Chaos(tmp_path, seed=4).run(kills=5, longest_second=40.0)
    assert counts["samples sent"] > 1_000
    assert counts["sqlite states"] > 1_000
    assert counts["sqlite events"] > 10
    assert counts["points set aside"] > 0
    assert counts["kills"] > 0
    assert set(harm(counts).values()) == {0}, counts


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_nor_does_it_with_the_network_and_health_checks(tmp_path):
    counts = Chaos(tmp_path, seed=4, estimator="fused", checks=True).run(kills=25, longest_second=300.0)
    assert set(harm(counts).values()) == {0}, counts
    assert counts["sqlite states"] > 1_000
    assert counts["health reports"] > 0
