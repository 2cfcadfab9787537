"""The thread that checks run in: phases that are over in, what was found out, in the order of asking.

A check that raises is refused as `failed`, and the next goes on; so is one that takes longer than the deadline, which
begins when the check does: its thread is given up, and the checks behind it get another. When more phases wait than
may, all that would look at the newest are refused so. Nobody waits but for what is due, and not beyond the deadline.
"""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from daemon.health.fold import Effect, judge
from daemon.history import Discharged, Measured, Past, Week
from daemon.recording import Recordings
from daemon.says import Say
from daemon.wire import Health, Scenario
from estimators.check import Refusal, Report, ask, wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from daemon.config import HealthChecks as Rule
    from daemon.rows import Closing
    from estimators.check import Check
    from estimators.check import Scenario as Planned

say = Say("health")
ENDS_SECOND = 5.0  # an end waits so long for the check at work, whatever its deadline
Answer = TypeVar("Answer")


class Found(NamedTuple):
    """What one check made of one phase."""

    closing: Closing
    due_step: int  # of its cell: what was found counts from there on
    number: int  # of the check
    report: Report
    effect: Effect
    cost_ms: float

    def wire(self) -> Health:
        """Give it as it is published."""
        phase, report = self.closing.phase, self.report
        return Health(
            unix_time_second=float(phase.second),
            check=report.check,
            model=report.model,
            trigger=str(phase.trigger),
            begin_second=phase.begin_second,
            values=_finite(report.values),
            std=_finite(report.std),
            quality=_finite(report.quality),
            trajectories=report.trajectories,
            scenarios={name: _scenario(one) for name, one in report.scenarios.items()},
            in_domain=report.in_domain,
            refused=None if report.refused is None else str(report.refused),
            soh_effect=str(self.effect),
            cost_ms=round(self.cost_ms, 3),
        )


class _AtWork(NamedTuple):
    """Which check the thread has come to, and when."""

    number: int
    begun: float


@dataclass(slots=True)
class _Asked:
    closing: Closing
    due_step: int
    found: list[Found] = field(default_factory=list)  # so far
    first: int = 0  # checks before that number are done with
    at_work: _AtWork | None = None
    answer: Future[None] | None = None  # None: it was left out

    def found_before(self, number: int) -> list[Found]:
        return [found for found in tuple(self.found) if found.number < number]


class Examiner:
    """Runs the checks that there are."""

    def __init__(self, checks: Callable[[], Sequence[Check]], rule: Rule) -> None:
        """`checks` is called once, in the thread, when the first phase is asked about: loading weights takes time."""
        self._load, self._rule = checks, rule
        self._asked: deque[_Asked] = deque()
        self._thread = _Thread()
        self._checks: Future[Sequence[Check]] | None = None

    def ask(self, closing: Closing, due_step: int) -> None:
        """Have a phase looked at."""
        if self._checks is None:
            self._checks = self._thread.submit(self._load)
        if len(self._asked) < self._rule.waiting_max:
            self._asked.append(self._submit(_Asked(closing, due_step)))
        else:
            say.seldom("overloaded", "", waiting_max=self._rule.waiting_max, cell=closing.cell)
            self._asked.append(_Asked(_bare(closing), due_step))

    def collect(self, is_due: Callable[[Closing, int], bool]) -> list[Found]:
        """Give what has been found, in the order of asking; wait for what is due."""
        found: list[Found] = []
        while self._asked:
            first = self._asked[0]
            if is_due(first.closing, first.due_step):
                self._wait(first)
            if not self._loaded.done():
                break
            if first.answer is None:
                found += refuse(self._loaded.result(), first.closing, first.due_step)
            elif first.answer.done():
                first.answer.result()
                found += first.found
            elif (at_work := self._late(first)) is not None:
                self._give_up(first, at_work)
                continue
            else:
                break
            self._asked.popleft()
        return found

    def close(self) -> None:
        """Let the thread go; wait for it, but not for a check that hangs: a process that ends under it may abort."""
        self._thread.stop()
        self._thread.join(min(self._rule.deadline_second, ENDS_SECOND))

    @property
    def _loaded(self) -> Future[Sequence[Check]]:
        assert self._checks is not None
        return self._checks

    def _submit(self, asked: _Asked) -> _Asked:
        asked.answer = self._thread.submit(partial(_examine, asked, self._loaded))
        return asked

    def _wait(self, asked: _Asked) -> None:
        """Wait for an answer, or until the check that is at work is late."""
        self._loaded.result()  # it may take longer than a check may
        while asked.answer is not None and not asked.answer.done() and self._late(asked) is None:
            begun = time.monotonic() if asked.at_work is None else asked.at_work.begun
            wait([asked.answer], max(0.0, begun + self._rule.deadline_second - time.monotonic()))

    def _late(self, asked: _Asked) -> _AtWork | None:
        """Give the check that has been at work for too long."""
        at_work = asked.at_work
        late = at_work is not None and time.monotonic() - at_work.begun >= self._rule.deadline_second
        return at_work if late else None

    def _give_up(self, asked: _Asked, at_work: _AtWork) -> None:
        """Refuse the first phase's check that is at work; those behind it get a thread that is not stuck."""
        check = self._loaded.result()[at_work.number]
        cell, deadline_second = asked.closing.cell, self._rule.deadline_second
        say.seldom("late", cell, cell=cell, check=check.name, deadline_second=deadline_second)
        self._thread.stop()  # it may never come back
        self._thread = _Thread()
        found = [*asked.found_before(at_work.number), _refused(at_work.number, check, asked.closing, asked.due_step)]
        self._asked[0] = _Asked(asked.closing, asked.due_step, found, at_work.number + 1, answer=asked.answer)
        for other in self._asked:
            if other.answer is not None:
                self._submit(other)


def _examine(asked: _Asked, checks: Future[Sequence[Check]]) -> None:
    """Ask what is left to ask of a phase, in the thread."""
    for number, check in wanting(checks.result(), asked.closing):
        if number >= asked.first:
            asked.at_work = _AtWork(number, time.monotonic())
            asked.found.append(examine(number, check, asked.closing, asked.due_step))


def wanting(checks: Sequence[Check], closing: Closing) -> list[tuple[int, Check]]:
    """Give the checks that want to hear of such a phase, with their numbers."""
    phase = closing.phase
    return [(n, check) for n, check in enumerate(checks) if wanted(check.needs, phase.trigger, phase.rest_after)]


def examine(number: int, check: Check, closing: Closing, due_step: int = 0) -> Found:
    """Have one check look at a phase."""
    begun = time.thread_time()
    try:
        report = ask(check, closing.evidence())
    except Exception as err:  # noqa: BLE001 - one check never stops another
        say.error("failed", check=check.name, cell=closing.cell, why=repr(err))
        report = Report.refuse(check.name, check.model, Refusal.FAILED)
    cost_ms = 1_000.0 * (time.thread_time() - begun)
    return Found(closing, due_step, number, report, judge(closing.standing, report), cost_ms)


def refuse(checks: Sequence[Check], closing: Closing, due_step: int = 0) -> list[Found]:
    """Say of a phase that was left out which checks did not see it."""
    return [_refused(number, check, closing, due_step) for number, check in wanting(checks, closing)]


def _refused(number: int, check: Check, closing: Closing, due_step: int) -> Found:
    report = Report.refuse(check.name, check.model, Refusal.FAILED)
    return Found(closing, due_step, number, report, Effect.NONE, 0.0)


def _bare(closing: Closing) -> Closing:
    """Let go of what was recorded, some 20 kB: many may be left out before the first of them is told of."""
    nothing = Past(Measured(), Discharged(), Week())
    return replace(closing, phase=replace(closing.phase, recordings=Recordings(), past=nothing))


class _Thread:
    """Does one task after another. It never keeps the process from ending, though a task may hang for ever."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[tuple[Future[Any], Callable[[], object]] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="health checks", daemon=True)
        self._thread.start()

    def submit(self, task: Callable[[], Answer]) -> Future[Answer]:
        future: Future[Answer] = Future()
        self._tasks.put((future, task))
        return future

    def stop(self) -> None:
        """Begin no task any more."""
        with suppress(Empty):
            while True:
                waiting = self._tasks.get_nowait()
                if waiting is not None:
                    waiting[0].cancel()
        self._tasks.put(None)

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _work(self) -> None:
        while (waiting := self._tasks.get()) is not None:
            future, task = waiting
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(task())
                except BaseException as err:  # noqa: BLE001 - whoever asked is told
                    future.set_exception(err)


def _scenario(one: Planned) -> Scenario:
    use = (one.use.temperature_celsius, one.use.charge_c_rate, one.use.discharge_c_rate)
    return Scenario(*use, _finite(one.values), one.trajectories, one.in_domain)


def _finite(numbers: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in numbers.items() if abs(value) < float("inf")}
