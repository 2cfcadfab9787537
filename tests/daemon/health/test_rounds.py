"""Checks in a fleet: what is found counts in the same second, however samples came and however long it took."""

import time
from dataclasses import dataclass, field

import numpy as np
import pytest

from daemon import models
from daemon.batch import Batch
from daemon.config import Cells, Config, HealthChecks, PackRule
from daemon.fleet import Fleet
from daemon.health.examiner import Examiner
from daemon.health.fold import WAIT_STEPS
from daemon.models import Model
from daemon.rows import Output, Rows
from estimators.check import Needs, Refusal, Report, Trigger
from tests.daemon.counting import Counting, write_cell_type

SECONDS = 1_200


@dataclass
class Judging:
    """Finds a SOH that depends on what was recorded, after a while."""

    soh: float = 0.89
    delay_second: float = 0.0
    name: str = "judging"
    model: str = "judging-1"
    needs: Needs = field(default_factory=lambda: Needs(frozenset({Trigger.REST}), {"rest": 60.0}))

    def run(self, evidence):
        time.sleep(self.delay_second)
        return Report(self.name, self.model, {"soh": self.soh - 1e-4 * len(evidence.rest)}, {"soh": 0.01})


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setitem(models.MODELS, "coulomb", Model(Counting))
    rule = PackRule(pattern="*", cell_type=write_cell_type(tmp_path / "counted"))
    return Config(cells=Cells(packs=[rule]))


def samples(cells: int = 2):
    """Charge, rest, discharge, rest, charge: cells one after another in each second."""
    current = np.select(
        [np.arange(SECONDS) % 600 < 200, np.arange(SECONDS) % 600 < 400], [1.5, 0.0], default=-1.5
    )  # fmt: skip
    second = np.repeat(np.arange(SECONDS, dtype=float), cells)
    cell = np.tile(np.arange(cells), SECONDS).astype(np.int32)
    names = tuple(f"p/c{k}" for k in range(cells))
    volt = 3.5 + 0.1 * np.repeat(current, cells)
    return names, cell, second, volt, np.repeat(current, cells), np.full(len(second), 25.0)


def told(config, size: int, check=None, cells: int = 2) -> tuple[Fleet, Output]:
    examiner = Examiner(lambda: [check or Judging()], HealthChecks())
    fleet = Fleet(config, {f"p/c{k}": 0.5 for k in range(cells)}, examiner)
    names, *columns = samples(cells)
    cuts = range(0, len(columns[0]), size)
    parts = [fleet.push(Batch(names, *(c[i : i + size] for c in columns))) for i in cuts]
    whole = Output.join([*parts, fleet.flush()])
    examiner.close()
    return fleet, whole


def bits(rows: Rows) -> list[bytes]:
    return [getattr(rows, name).tobytes() for name in Rows.__slots__]


def test_a_soh_that_was_found_counts_sixty_seconds_after_the_phase(config):
    fleet, output = told(config, 7)
    rows = output.rows
    mine = rows.cell == fleet.names.index("p/c0")
    (first, *_) = [h for name, h in output.health if name == "p/c0"]
    moved = rows.second[mine][np.flatnonzero(np.diff(rows.soh[mine]))[0] + 1]
    assert moved == first.unix_time_second + WAIT_STEPS
    assert rows.soh[mine][-1] == pytest.approx(first.values["soh"])
    assert first.soh_effect == "taken"


@pytest.mark.parametrize("size", [1, 50, 1_000, 2 * SECONDS])
@pytest.mark.parametrize("delay_second", [0.0, 0.05])
def test_batches_and_slowness_leave_no_trace(config, size, delay_second):
    _, wanted = told(config, 10)
    _, found = told(config, size, Judging(delay_second=delay_second))
    assert bits(found.rows) == bits(wanted.rows)
    reports = [[(name, h.unix_time_second, h.values) for name, h in output.health] for output in (found, wanted)]
    assert reports[0] == reports[1] != []


def test_a_soh_that_cannot_be_is_told_as_an_event_and_moves_nothing(config):
    _, output = told(config, 10, Judging(soh=0.6))
    assert set(output.rows.soh.tolist()) == {0.9}
    events = [e for _, e in output.events if e.kind == "soh_disagrees"]
    assert len(events) == len(output.health) > 0
    assert events[0].detail["check"] == "judging"
    assert events[0].detail["soh"] == 0.9


def test_without_an_examiner_nothing_is_asked(config):
    fleet = Fleet(config)
    names, *columns = samples()
    output = Output.join([fleet.push(Batch(names, *columns)), fleet.flush()])
    assert output.health == []
    assert {e.kind for _, e in output.events} >= {"rest", "charge", "discharge"}


@dataclass
class Refusing(Judging):
    """Can never judge such a cell, but for the phases that are named."""

    needs: Needs = field(default_factory=lambda: Needs(frozenset({Trigger.REST, Trigger.CHARGE}), {}))
    reason: Refusal = Refusal.UNKNOWN_CONFIGURATION
    answers: tuple[int, ...] = ()
    asked: int = 0

    def run(self, evidence):
        self.asked += 1
        if self.asked - 1 in self.answers:
            return Report(self.name, self.model, {"cycles": 1.0})
        return Report.refuse(self.name, self.model, self.reason)


def refusals(config, check):
    _, output = told(config, 10, check, cells=1)
    return [h.refused for _, h in output.health], check.asked


def test_a_refusal_that_lasts_is_told_once(config):
    said, asked = refusals(config, Refusing())
    assert said == ["unknown_configuration"]
    assert asked > 2


def test_it_is_told_again_when_there_was_something_else_to_tell(config):
    said, asked = refusals(config, Refusing(answers=(1,)))
    assert said == ["unknown_configuration", None, "unknown_configuration"]
    assert asked > 3


def test_a_refusal_that_the_next_phase_may_mend_is_told_each_time(config):
    said, asked = refusals(config, Refusing(reason=Refusal.NOISY))
    assert said == ["noisy"] * asked
