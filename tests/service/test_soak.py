"""The books of the service balance beside faults, and everything arrives everywhere: the short form of `make soak`."""

from __future__ import annotations

import math

import pytest

from tests.service.soak import Soak
from tests.service.undisturbed import harm

pytestmark = pytest.mark.service


def test_beside_faults_nothing_is_lost_and_the_books_balance(tmp_path):
    soak = Soak(tmp_path, cells=40, speed=20.0, second=20.0, fault_second=2.0, look_second=2.0, seed=5)
    counts = soak.run()
    assert set(harm(counts).values()) == {0}, counts
    assert counts["samples sent"] > 15_000
    assert counts["seconds estimated"] > 15_000
    assert counts["sqlite states"] > 300
    assert counts["rejected"] >= counts["bad messages, all in all"] > 0
    assert len(soak.faults) > 2
    assert all(look.rss_mb > look.pss_mb > 0.0 for look in soak.looks)
    assert math.isfinite(soak.slope_mb_per_hour(4.0))
