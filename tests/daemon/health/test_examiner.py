"""The examiner with checks of our own making: what it does with a slow, a raising and a sound one."""

import threading
from dataclasses import dataclass, field

import numpy as np
import pytest

from daemon.config import HealthChecks
from daemon.events.phases import Phase
from daemon.health.examiner import Examiner, examine
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
        self.free = threading.Event()

    def run(self, evidence: Evidence) -> Report:
        if not self.free.wait(30.0):
            raise TimeoutError
        return super().run(evidence)


def test_a_check_is_asked_of_the_phases_that_it_wants_and_no_other():
    assert examine([Sound()], closing(trigger=Trigger.REST)) == []
    (found,) = examine([Sound()], closing())
    assert found.effect is Effect.TAKEN
    health = found.wire()
    assert (health.check, health.trigger, health.unix_time_second) == ("sound", "cycle", 100.0)
    assert health.values == {"soh": 0.89, "cycles": 7.0}  # what is not a number does not leave
    assert health.cost_ms >= 0.0


def test_a_check_that_breaks_is_refused_and_the_next_goes_on():
    broken, sound = examine([Raising(), Sound()], closing())
    assert broken.report.refused == "failed"
    assert sound.report.refused is None


def test_a_check_without_what_it_needs_says_why():
    needy = Sound(needs=Needs(frozenset({Trigger.CYCLE}), {"rest": 60.0}))
    (found,) = examine([needy], closing())
    assert found.report.refused == "nothing_recorded"
    assert found.effect is Effect.NONE


def test_answers_come_in_the_order_of_asking_and_what_is_due_is_waited_for():
    examiner = Examiner(lambda: [Sound()], HealthChecks())
    for k in range(20):
        examiner.ask(closing(f"p/c{k}"), k)
    found = examiner.collect(lambda _closing, _step: True)
    assert [(f.closing.cell, f.due_step) for f in found] == [(f"p/c{k}", k) for k in range(20)]
    examiner.close()


def test_what_is_not_due_is_not_waited_for():
    stuck = Stuck()
    examiner = Examiner(lambda: [stuck], HealthChecks())
    examiner.ask(closing(), 60)
    assert examiner.collect(lambda _closing, _step: False) == []
    stuck.free.set()
    assert len(examiner.collect(lambda _closing, _step: True)) == 1
    examiner.close()


def test_a_check_beyond_its_deadline_is_given_up_and_those_behind_it_are_answered():
    stuck, asked = Stuck(), threading.Event()

    class Once(Sound):
        def run(self, evidence: Evidence) -> Report:
            if not asked.is_set():
                asked.set()
                stuck.run(evidence)
            return super().run(evidence)

    examiner = Examiner(lambda: [Once()], HealthChecks(deadline_second=0.2))
    examiner.ask(closing("p/first"), 0)
    examiner.ask(closing("p/second"), 0)
    found = examiner.collect(lambda _closing, _step: True)
    assert [f.closing.cell for f in found] == ["p/second"]
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
    assert len(examiner.collect(lambda _closing, _step: True)) == 1
    examiner.close()


def test_phases_beyond_the_bound_are_left_out_and_nothing_waits_for_them():
    stuck = Stuck()
    examiner = Examiner(lambda: [stuck], HealthChecks(waiting_max=2))
    for k in range(5):
        examiner.ask(closing(f"p/c{k}"), k)
    stuck.free.set()
    found = examiner.collect(lambda _closing, _step: True)
    assert [f.closing.cell for f in found] == ["p/c0", "p/c1"]
    examiner.close()


@pytest.mark.parametrize("soh", [0.5, 1.4])
def test_a_soh_that_cannot_be_is_told_and_not_taken(soh):
    class Odd(Sound):
        def run(self, evidence: Evidence) -> Report:
            return Report(self.name, self.model, {"soh": soh}, {"soh": 0.01})

    (found,) = examine([Odd()], closing())
    assert found.wire().soh_effect == "disagrees"
    assert np.isfinite(found.wire().values["soh"])
