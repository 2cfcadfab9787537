import numpy as np

from estimators.soh import filter as filter_
from estimators.soh import health
from tests.estimators.soh.test_capacity import HOUR, driven


def watched(soh, told, hours, said=None):
    """Accepted SOH and its standard deviation, hour by hour, of one cell whose estimator says what it was told."""
    c_rate, soc = driven(soh, hours=hours)
    state, every, shown = health.init(np.array([told]), np.array([0.05])), np.array([True]), []
    for number, (i, y) in enumerate(zip(c_rate, soc, strict=True), start=1):
        state = health.second(state, i, y, every)
        if number % HOUR == 0:
            state = health.hour(state, np.array([told if said is None else said]), np.array([0.005]), every)
            shown.append([figure[0] for figure in health.accepted(state)])
    return np.array(shown), state


def test_an_estimator_that_echoes_what_it_was_told_does_not_keep_a_wrong_soh():
    shown, _ = watched(0.85, told=0.9, hours=24)
    assert abs(shown[0, 0] - 0.9) < 0.002
    assert abs(shown[-1, 0] - 0.85) < 0.015
    assert abs(shown[-1, 0] - 0.85) < 2.5 * shown[-1, 1]


def test_an_hour_is_counted_once():
    _, state = watched(0.85, told=0.85, hours=2)
    assert state["soh_second"][0] == 0.0
    assert state["soh_efc"][0] == 0.0
    state = health.second(state, np.array([-0.5]), np.array([0.5]), np.array([True]))
    assert state["soh_second"][0] == 1.0
    np.testing.assert_allclose(state["soh_efc"], 0.5 / 2.0 / HOUR)


def test_an_estimator_that_repeats_the_accepted_soh_hardly_confirms_it():
    state, every = health.init(np.array([0.9]), np.array([0.05])), np.array([True])
    state = state | filter_.calibrate(state, np.array([0.9]), np.array([0.01]), every)
    for _ in range(24):
        state = health.hour(state, health.accepted(state)[0], np.array([0.005]), every)
    assert health.accepted(state)[1][0] > 0.009
