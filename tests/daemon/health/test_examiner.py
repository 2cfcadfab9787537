"""The examiner with checks of our own making: what it does with a slow, a raising and a sound one."""

import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from daemon.config import HealthChecks
from daemon.events.phases import Phase
from daemon.health.examiner import Examiner, examine, wanting
from daemon.health.fold import Effect
from daemon.history import Discharged, Measured, Past, Week
from daemon.recording import Recordings
from daemon.rows import Closing
from daemon.slots import grow
from estimators.check import Evidence, Facts, Needs, Report, Standing, Trigger

FACTS = Facts("lab", "nca", 3.0, 2.5, 4.2)


def closing(cell: str = "p/c", trigger: Trigger = Trigger.CYCLE, second: int = 100) -> Closing:
    recordings, past = Recordings(), Past(Measured(), Discharged(), Week())
    for state in (recordings, *past):
        grow(state, 1)
    phase = Phase(0, 0, second, trigger, 0.0, float(second), False, "unknown", None, 3.0, recordings, past, 0)
    return Closing(cell, phase, FACTS, Standing(soh=0.9, soh_std=0.02, equivalent_full_cycles=7.0))


def all_due(_closing: Closing, _step: int) -> bool:
    return True


def nothing_due(_closing: Closing, _step: int) -> bool:
    return False


@dataclass
class Sound:
    name: str = "sound"
    model: str = "sound-1"
    needs: Needs = field(default_factory=lambda: Needs(frozenset({Trigger.CYCLE}), {}))

    def run(self, evidence: Evidence) -> Report:
        numbers = {"soh": 0.89, "cycles": evidence.standing.equivalent_full_cycles, "odd": float("nan")}
        return Report(self.name, self.model, numbers, {"soh": 0.01})


class Raising(Sound):
    def run(self, evidence: Evidence) -> Report:
        raise ZeroDivisionError


class Stuck(Sound):
    def __init__(self):
        super().__init__("stuck")
        self.begun, self.free = threading.Event(), threading.Event()

    def run(self, evidence: Evidence) -> Report:
        self.begun.set()
        if not self.free.wait(30.0):
            raise TimeoutError
        return super().run(evidence)


def test_a_check_is_asked_of_the_phases_that_it_wants_and_no_other():
    assert wanting([Sound()], closing(trigger=Trigger.REST)) == []
    ((number, check),) = wanting([Sound()], closing())
    found = examine(number, check, closing())
    assert found.effect is Effect.TAKEN
    health = found.wire()
    assert (health.check, health.trigger, health.unix_time_second) == ("sound", "cycle", 100.0)
    assert health.values == {"soh": 0.89, "cycles": 7.0}  # what is not a number does not leave
    assert health.cost_ms >= 0.0


def test_a_check_that_breaks_is_refused_and_the_next_goes_on():
    examiner = Examiner(lambda: [Raising(), Sound()], HealthChecks())
    examiner.ask(closing(), 0)
    broken, sound = examiner.collect(all_due)
    assert broken.report.refused == "failed"
    assert sound.report.refused is None
    examiner.close()


def test_a_check_without_what_it_needs_says_why():
    needy = Sound(needs=Needs(frozenset({Trigger.CYCLE}), {"rest": 60.0}))
    found = examine(0, needy, closing())
    assert found.report.refused == "nothing_recorded"
    assert found.effect is Effect.NONE


def test_answers_come_in_the_order_of_asking_and_what_is_due_is_waited_for():
    examiner = Examiner(lambda: [Sound()], HealthChecks())
    for k in range(20):
        examiner.ask(closing(f"p/c{k}"), k)
    found = examiner.collect(all_due)
    assert [(f.closing.cell, f.due_step) for f in found] == [(f"p/c{k}", k) for k in range(20)]
    examiner.close()


def test_what_is_not_due_is_not_waited_for():
    stuck = Stuck()
    examiner = Examiner(lambda: [stuck], HealthChecks())
    examiner.ask(closing(), 60)
    assert examiner.collect(nothing_due) == []
    stuck.free.set()
    assert len(examiner.collect(all_due)) == 1
    examiner.close()


class StuckAtFirst(Stuck):
    """Answers every phase but the first."""

    asked = False

    def run(self, evidence: Evidence) -> Report:
        first, self.asked = not self.asked, True
        return super().run(evidence) if first else Sound().run(evidence)


def test_a_check_beyond_its_deadline_is_refused_and_those_behind_it_are_answered():
    stuck = StuckAtFirst()
    examiner = Examiner(lambda: [Sound("before"), stuck, Sound("after")], HealthChecks(deadline_second=0.2))
    examiner.ask(closing("p/first"), 0)
    examiner.ask(closing("p/second"), 1)
    found = examiner.collect(all_due)
    assert [f.closing.cell for f in found] == ["p/first"] * 3 + ["p/second"] * 3
    assert [f.report.refused for f in found] == [None, "failed", None, None, None, None]
    assert [(f.number, f.report.check) for f in found[:3]] == [(0, "before"), (1, "stuck"), (2, "after")]
    assert found[1].wire().refused == "failed"
    stuck.free.set()
    examiner.close()


def test_nobody_waits_for_a_hung_check_that_is_not_due():
    stuck = StuckAtFirst()
    deadline_second = 1.0
    examiner = Examiner(lambda: [stuck], HealthChecks(deadline_second=deadline_second))
    examiner.ask(closing("p/first"), 0)
    examiner.ask(closing("p/second"), 0)
    found, longest = [], 0.0
    while len(found) < 2:
        begun = time.monotonic()
        found += examiner.collect(nothing_due)
        longest = max(longest, time.monotonic() - begun)
        time.sleep(0.01)
    assert longest < 0.5 * deadline_second
    assert [f.report.refused for f in found] == ["failed", None]
    stuck.free.set()
    examiner.close()


def test_a_check_that_hangs_for_ever_does_not_keep_the_process_from_ending():
    program = (
        "from tests.daemon.health.test_examiner import *\n"
        "stuck = Stuck()\n"
        "examiner = Examiner(lambda: [stuck], HealthChecks())\n"
        "examiner.ask(closing(), 0)\n"
        "assert stuck.begun.wait(30.0)\n"
        "examiner.close()\n"
        "print('over', flush=True)\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as process:
        assert process.stdout.readline() == "over\n"
        assert process.wait(10.0) == 0  # a check that is stuck in this module gives up after 30 s


def test_what_is_due_is_waited_for_until_the_deadline_and_no_longer():
    stuck = Stuck()
    examiner = Examiner(lambda: [stuck], HealthChecks(deadline_second=1.0))
    examiner.ask(closing(), 0)
    assert stuck.begun.wait(30.0)
    begun = time.monotonic()
    (found,) = examiner.collect(all_due)
    assert time.monotonic() - begun < 1.8
    assert found.report.refused == "failed"
    stuck.free.set()
    examiner.close()


def test_the_deadline_does_not_count_what_loading_takes():
    loaded = threading.Event()

    def load() -> list[Sound]:
        loaded.wait(30.0)
        return [Sound()]

    examiner = Examiner(load, HealthChecks(deadline_second=0.05))
    examiner.ask(closing(), 0)
    threading.Timer(0.3, loaded.set).start()
    assert len(examiner.collect(all_due)) == 1
    examiner.close()


def test_phases_beyond_the_bound_are_refused_without_what_was_recorded_and_nothing_waits_for_them():
    stuck = Stuck()
    other = Sound("of rests", needs=Needs(frozenset({Trigger.REST}), {}))
    examiner = Examiner(lambda: [stuck, other], HealthChecks(waiting_max=2))
    for k in range(5):
        examiner.ask(closing(f"p/c{k}"), k)
    assert examiner.collect(nothing_due) == []
    stuck.free.set()
    found = examiner.collect(all_due)
    assert [f.closing.cell for f in found] == [f"p/c{k}" for k in range(5)]
    assert [f.report.refused for f in found] == [None, None, "failed", "failed", "failed"]
    assert [len(f.closing.phase.recordings.count) for f in found] == [1, 1, 0, 0, 0]
    assert found[-1].wire().unix_time_second == 100.0
    examiner.close()


@pytest.mark.parametrize("soh", [0.5, 1.4])
def test_a_soh_that_cannot_be_is_told_and_not_taken(soh):
    class Odd(Sound):
        def run(self, evidence: Evidence) -> Report:
            return Report(self.name, self.model, {"soh": soh}, {"soh": 0.01})

    found = examine(0, Odd(), closing())
    assert found.wire().soh_effect == "disagrees"
    assert np.isfinite(found.wire().values["soh"])
