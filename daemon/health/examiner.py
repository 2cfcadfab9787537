"""The thread that checks run in: phases that are over in, what was found out, in the order of asking.

A check that raises is refused as `failed`, and the next goes on. Checks that take longer than the deadline, which
begins when their weights are loaded, are given up and said in the log. When more phases wait than may, the newest are
left out: the tick waits for nobody.
"""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from daemon.health.fold import Effect, judge
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


@dataclass(slots=True)
class _Asked:
    closing: Closing
    due_step: int
    begun: float | None = None  # when the thread came to it
    answer: Future[list[Found]] | None = None


class Examiner:
    """Runs the checks that there are."""

    def __init__(self, checks: Callable[[], Sequence[Check]], rule: Rule) -> None:
        """`checks` is called once, in the thread, when the first phase is asked about: loading weights takes time."""
        self._load, self._rule = checks, rule
        self._asked: deque[_Asked] = deque()
        self._thread = _thread()
        self._checks: Future[Sequence[Check]] | None = None

    def ask(self, closing: Closing, due_step: int) -> None:
        """Have a phase looked at."""
        if self._checks is None:
            self._checks = self._thread.submit(self._load)
        asked = _Asked(closing, due_step)
        self._asked.append(asked)
        if len(self._asked) <= self._rule.waiting_max:
            asked.answer = self._thread.submit(self._examine, asked, self._checks)

    def collect(self, is_due: Callable[[Closing, int], bool]) -> list[Found]:
        """Give what has been found, in the order of asking; wait for what is due."""
        found: list[Found] = []
        while self._asked:
            first = self._asked[0]
            due = is_due(first.closing, first.due_step)
            if not due and first.answer is not None and not first.answer.done() and not self._late(first):
                break
            self._asked.popleft()
            found += self._answer(first)
        return found

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _answer(self, asked: _Asked) -> list[Found]:
        if asked.answer is None:
            say.seldom("overloaded", "", waiting_max=self._rule.waiting_max, cell=asked.closing.cell)
            return []
        assert self._checks is not None
        self._checks.result()  # loading them may take longer than a check may
        try:
            return asked.answer.result(timeout=self._rule.deadline_second)
        except TimeoutError:
            say.seldom("late", asked.closing.cell, cell=asked.closing.cell, deadline_second=self._rule.deadline_second)
            self._thread.shutdown(wait=False)  # it may never come back; those behind it get another
            self._thread = _thread()
            for other in self._asked:
                if other.answer is not None and not other.answer.done():
                    other.answer = self._thread.submit(self._examine, other, self._checks)
            return []

    def _late(self, asked: _Asked) -> bool:
        return asked.begun is not None and time.monotonic() - asked.begun > self._rule.deadline_second

    # In the thread.

    @staticmethod
    def _examine(asked: _Asked, checks: Future[Sequence[Check]]) -> list[Found]:
        loaded = checks.result()
        asked.begun = time.monotonic()
        return examine(loaded, asked.closing, asked.due_step)


def examine(checks: Sequence[Check], closing: Closing, due_step: int = 0) -> list[Found]:
    """Ask every check that wants to hear of such a phase."""
    evidence = None
    found = []
    for number, check in enumerate(checks):
        if closing.phase.trigger not in check.needs.triggers:
            continue
        begun = time.thread_time()
        evidence = evidence or closing.evidence()
        if not wanted(check.needs, evidence):
            continue
        try:
            report = ask(check, evidence)
        except Exception as err:  # noqa: BLE001 - one check never stops another
            say.error("failed", check=check.name, cell=closing.cell, why=repr(err))
            report = Report.refuse(check.name, check.model, Refusal.FAILED)
        cost_ms = 1_000.0 * (time.thread_time() - begun)
        found.append(Found(closing, due_step, number, report, judge(closing.standing, report), cost_ms))
    return found


def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="health checks")


def _scenario(one: Planned) -> Scenario:
    use = (one.use.temperature_celsius, one.use.charge_c_rate, one.use.discharge_c_rate)
    return Scenario(*use, _finite(one.values), one.trajectories, one.in_domain)


def _finite(numbers: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in numbers.items() if abs(value) < float("inf")}
