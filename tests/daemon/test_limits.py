"""daemon/limits.py: what one pack may send."""

from __future__ import annotations

import pytest

from daemon.config import Cells, Mqtt
from daemon.limits import BURST_SECOND, NAMES_PER_CELL, PACKS_KEPT, Limits
from daemon.wire import Reject, WireError


def refused(act, *args) -> Reject | None:
    try:
        act(*args)
    except WireError as err:
        return err.reason
    return None


def passed(limits: Limits, pack: str, moments) -> int:
    return sum(refused(limits.message, pack, moment) is None for moment in moments)


def test_without_a_bound_everything_passes():
    limits = Limits(Mqtt(), Cells())
    assert passed(limits, "p", [0.0] * 10_000) == 10_000


def test_what_gathered_in_ten_minutes_of_our_absence_passes_at_once_and_then_the_rate_holds():
    limits = Limits(Mqtt(pack_rate_max=2.0), Cells())
    assert passed(limits, "p", [0.0] * 5_000) == 2 * BURST_SECOND
    assert passed(limits, "p", [k / 10 for k in range(1_000)]) == pytest.approx(200, abs=2)
    assert passed(limits, "other", [0.0] * 10) == 10


def test_a_clock_that_is_set_back_stops_nobody():
    limits = Limits(Mqtt(pack_rate_max=2.0), Cells())
    assert passed(limits, "p", [1e9 - k for k in range(1_000)]) == 1_000


def test_packs_that_are_remembered_are_bounded():
    limits = Limits(Mqtt(pack_rate_max=2.0), Cells())
    for k in range(3 * PACKS_KEPT):
        limits.message(f"p{k}", 0.0)
    assert len(limits._spent) <= PACKS_KEPT


def test_a_pack_that_names_too_many_cells_takes_no_place_of_another():
    limits = Limits(Mqtt(pack_cells_max=3), Cells())
    assert [refused(limits.cell, "p", f"p/{k}") for k in range(5)] == [None] * 3 + [Reject.FLEET_FULL] * 2
    assert refused(limits.cell, "p", "p/1") is None
    assert refused(limits.cell, "q", "q/0") is None


def test_names_are_bounded_over_all_packs():
    limits = Limits(Mqtt(), Cells(cells_max=16))
    reasons = [refused(limits.cell, f"p{k}", f"p{k}/c") for k in range(1_000)]
    assert reasons.count(None) == NAMES_PER_CELL * 16
