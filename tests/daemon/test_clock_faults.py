"""Clocks that go wrong, through the decoder and the fleet: what the charge counted by it is worth afterwards.

Times are Unix times: they know neither time zones nor daylight saving time. (One clock at a time: test_grid.py.)
"""

from __future__ import annotations

import json

import pytest

from daemon import models
from daemon.batch import BatchBuilder
from daemon.config import Cells, Config, Mqtt, PackRule
from daemon.fleet import Fleet
from daemon.ingest import Decoder
from daemon.models import Model
from daemon.rows import Flag
from tests.daemon.counting import CAPACITY_AH, Counting, write_cell_type

BEGIN = 1_763_700_000.0
AMPERE = -CAPACITY_AH  # from full to empty in an hour
HOUR = 3_600.0


class Device:
    """One cell that discharges steadily, as the service hears it: a message now and then, in the order of arrival."""

    def __init__(self, folder, clock="device", initial_soc=0.9):
        rule = PackRule(pattern="*", cell_type=write_cell_type(folder / "counted"), clock=clock, initial_soh=1.0)
        config = Config(cells=Cells(packs=[rule]))
        self.decoder, self.fleet = Decoder(Mqtt(), config.cells), Fleet(config, {"p/c": initial_soc})
        self.outputs = []

    def send(self, *seconds: float | None, arrival: float = BEGIN) -> None:
        """Send a sample for each time that the device's clock says; None: it has no clock."""
        for place, second in enumerate(seconds):
            body = {"voltage_volt": 3.6, "current_ampere": AMPERE, "temperature_celsius": 25.0}
            body |= {} if second is None else {"unix_time_second": second}
            builder = BatchBuilder()
            self.decoder.take("bms/telemetry/p/c", json.dumps(body).encode(), arrival + place, builder)
            self.outputs.append(self.fleet.push(builder.build()))

    @property
    def seconds(self) -> list[float]:
        return [second for output in self.outputs for second in output.rows.second.tolist()]

    @property
    def flags(self) -> int:
        bits = 0
        for output in self.outputs:
            for flags in output.rows.flags.tolist():
                bits |= flags
        return bits

    def spent(self) -> float:
        """How many seconds of discharge have been counted."""
        last = [soc for output in self.outputs for soc in output.rows.soc.tolist()][-1]
        return (0.9 - last) * HOUR

    def told(self, kind: str) -> int:
        return sum(event.kind == kind for output in self.outputs for _, event in output.events)


@pytest.fixture
def device(tmp_path, monkeypatch):
    for name in models.MODELS:
        monkeypatch.setitem(models.MODELS, name, Model(lambda t, n=name: Counting(t, n)))
    return lambda **how: Device(tmp_path, **how)


def run(begin: float, count: int, step: float = 1.0) -> list[float]:
    return [begin + step * k for k in range(count)]


def test_a_clock_that_ntp_sets_forward_a_little_is_bridged_and_the_charge_goes_by_the_clock(device):
    cell = device()
    cell.send(*run(BEGIN, 60), *run(BEGIN + 60 + 12.5, 60))
    assert cell.spent() == pytest.approx(60 + 12.5 + 59, abs=1.0)
    assert (cell.told("clock"), cell.told("stale"), cell.fleet.counters.gaps) == (0, 0, 0)


@pytest.mark.parametrize("back", [0.4, 1.0, 12.5, 600.0])
def test_a_clock_that_ntp_sets_back_waits_until_it_has_come_past_and_nothing_counts_twice(device, back):
    cell = device()
    cell.send(*run(BEGIN, 60), *run(BEGIN + 60 - back, int(back) + 30))
    counters = cell.fleet.counters
    assert cell.seconds == sorted(set(cell.seconds))
    assert cell.spent() == pytest.approx(cell.seconds[-1] + 1 - BEGIN, abs=1e-3)  # each second of its clock once
    assert counters.duplicate + counters.late == pytest.approx(back - 1, abs=1.0)
    assert counters.accepted + counters.duplicate + counters.late == 60 + int(back) + 30
    assert not cell.flags & (Flag.REINITIALISED | Flag.CLOCK)


@pytest.mark.parametrize("jump", [-2 * HOUR, -10 * 365 * 86_400.0, 2 * 86_400.0, 10 * 365 * 86_400.0])
def test_a_clock_that_jumps_far_is_believed_after_some_samples_that_agree_and_the_output_says_so(device, jump):
    cell = device()
    cell.send(*run(BEGIN, 60), *run(BEGIN + 60 + jump, 60))
    assert cell.told("clock") == 1
    assert cell.fleet.counters.clock == 9
    assert cell.flags & Flag.CLOCK
    assert cell.seconds[-1] == BEGIN + 60 + jump + 58


def test_a_clock_that_was_never_set_and_then_is_loses_a_few_samples_and_no_more(device):
    cell = device()
    cell.send(*run(0.0, 60), *run(BEGIN, 60))
    assert cell.fleet.counters.clock == 9
    assert cell.seconds[-1] == BEGIN + 58


@pytest.mark.parametrize("step", [1.0, 0.25])
def test_a_leap_second_that_unix_time_repeats_counts_once(device, step):
    leap = BEGIN + 60
    cell = device()
    cell.send(*run(BEGIN, int(60 / step), step), *run(leap - 1, int(1 / step), step), *run(leap, int(60 / step), step))
    assert cell.spent() == pytest.approx(120, abs=1.0)
    assert cell.fleet.counters.duplicate == 1 / step
    assert cell.fleet.counters.late == 0
    assert cell.flags & ~Flag.WARMING_UP == 0


def test_a_leap_second_that_is_smeared_over_a_day_is_nothing(device):
    cell = device()
    cell.send(*run(BEGIN, 120, 1 + 1 / 86_400))
    assert cell.spent() == pytest.approx(120, abs=1.01)
    assert cell.fleet.counters.accepted == 120


def test_daylight_saving_time_is_nothing_to_unix_time(device):
    cell = device()
    autumn, spring = 1_761_440_400.0, 1_774_746_000.0  # 2025-10-26 and 2026-03-29, 01:00 UTC: Europe changes
    cell.send(*run(autumn - 60, 120))
    other = device()
    other.send(*run(spring - 60, 120))
    for changed in (cell, other):
        assert changed.spent() == pytest.approx(119)
        assert changed.flags & ~Flag.WARMING_UP == 0


def test_a_device_that_sends_local_time_is_deaf_for_an_hour_in_autumn_has_a_gap_in_spring_and_recovers(device):
    autumn, spring = device(), device()
    autumn.send(*run(BEGIN, 60), *run(BEGIN + 60 - HOUR, 3_600 + 60))
    assert autumn.fleet.counters.duplicate + autumn.fleet.counters.late == 3_600
    assert autumn.seconds[-1] == BEGIN + 60 + 58
    spring.send(*run(BEGIN, 60), *run(BEGIN + 60 + HOUR, 60))
    assert (spring.fleet.counters.gaps, spring.told("stale"), spring.told("resumed")) == (1, 1, 1)
    assert spring.seconds[-1] == BEGIN + HOUR + 60 + 58


def test_a_device_without_a_clock_has_ours(device):
    cell = device(clock="server")
    cell.send(*[None] * 120, arrival=BEGIN)
    assert cell.seconds == run(BEGIN, 119)
    assert cell.spent() == pytest.approx(119)


def test_when_our_own_clock_is_set_back_a_device_without_one_waits_and_nothing_counts_twice(device):
    cell = device(clock="server")
    cell.send(*[None] * 60, arrival=BEGIN)
    cell.send(*[None] * 60, arrival=BEGIN + 50.5)
    assert cell.spent() == pytest.approx(109.5, abs=1.0)
    assert cell.seconds == sorted(set(cell.seconds))
    assert cell.fleet.counters.late == 9


def test_what_a_gateway_kept_and_sends_after_what_is_new_is_late_and_counted_and_changes_nothing(device):
    cell, other = device(), device()
    kept, new = run(BEGIN + 60, 20), run(BEGIN + 80, 60)
    cell.send(*run(BEGIN, 60), *new[:30], *kept, *new[30:])
    other.send(*run(BEGIN, 60), *new)
    assert cell.fleet.counters.late == 20
    assert cell.seconds == other.seconds
    assert cell.spent() == other.spent() == pytest.approx(139)


def test_what_a_gateway_kept_and_sends_in_order_after_hours_is_counted_in_full(device):
    cell = device()
    cell.send(*run(BEGIN, 3_000), arrival=BEGIN + 5 * HOUR)
    assert cell.spent() == pytest.approx(2_999)


def test_two_paths_that_deliver_the_same_samples_out_of_order_count_each_second_once(device):
    cell, other = device(), device()
    times = run(BEGIN, 120)
    cell.send(*(t for pair in zip(times[1::2], times[::2], strict=True) for t in (*pair, *pair)))
    other.send(*times[1::2])
    assert (cell.fleet.counters.duplicate, cell.fleet.counters.late) == (60, 120)  # what is late is not remembered
    assert cell.spent() == pytest.approx(other.spent())
