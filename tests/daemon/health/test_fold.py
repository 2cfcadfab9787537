import math

import numpy as np
import pytest

from daemon.health.fold import NEVER, QUEUE, WAIT_STEPS, Effect, Waiting, judge, pass_second, put
from daemon.slots import grow
from estimators.check import Refusal, Report, Standing

HEALTHY = Standing(soc=0.5, soc_std=0.01, soh=0.90, soh_std=0.02)


def report(soh: float, std: float = 0.01, **more) -> Report:
    return Report("rest", "svr-1", {"soh": soh}, {"soh": std}, **more)


@pytest.mark.parametrize(
    ("said", "effect"),
    [
        (report(0.89), Effect.TAKEN),
        (report(0.91), Effect.TAKEN),
        (report(0.80), Effect.DISAGREES),
        (report(1.00), Effect.DISAGREES),
        (report(0.955, 0.001), Effect.RISES),
        (report(0.845, 0.001), Effect.TAKEN),
        (report(0.89, in_domain=False), Effect.NONE),
        (report(math.nan), Effect.NONE),
        (Report("rest", "svr-1", {"rul_cycle": 90.0}, {"rul_cycle": 9.0}), Effect.NONE),
        (Report.refuse("rest", "svr-1", Refusal.TOO_SHORT), Effect.NONE),
    ],
)
def test_a_soh_is_taken_where_it_can_be_true(said, effect):
    assert judge(HEALTHY, said) is effect


def test_nothing_is_taken_where_the_cell_s_own_soh_is_not_known():
    assert judge(Standing(), report(0.9)) is Effect.NONE


def waiting(cells: int) -> Waiting:
    made = Waiting()
    grow(made, cells)
    return made


def test_what_was_found_counts_at_its_step_and_once():
    state = waiting(2)
    put(state, 1, WAIT_STEPS, 0.8, 0.01)
    for _ in range(WAIT_STEPS - 1):
        assert pass_second(state, np.array([0, 1])) is None
    due = pass_second(state, np.array([0, 1]))
    assert [x.tolist() for x in due] == [[1], [0.8], [0.01]]
    assert pass_second(state, np.array([0, 1])) is None
    assert (state.next == NEVER).all()


def test_a_silent_cell_s_findings_wait_for_its_own_seconds():
    state = waiting(2)
    put(state, 1, 1, 0.8, 0.01)
    assert pass_second(state, np.array([0])) is None
    assert pass_second(state, np.array([1])) is not None


def test_two_findings_of_one_second_count_in_two_steps_the_earlier_first():
    state = waiting(1)
    put(state, 0, 2, 0.8, 0.01)
    put(state, 0, 1, 0.9, 0.02)
    said = [pass_second(state, np.array([0])) for _ in range(2)]
    assert [d.soh.tolist() for d in said] == [[0.9], [0.8]]


def test_too_many_findings_are_not_taken_and_those_before_stay():
    state = waiting(1)
    assert all(put(state, 0, k + 1, 0.8, 0.01) for k in range(QUEUE))
    assert not put(state, 0, 1, 0.5, 0.01)
    assert (state.soh == 0.8).all()
