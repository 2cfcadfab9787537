import numpy as np
import pytest

from estimators.pulse.features import differences
from estimators.pulse.generate import (
    BEYOND,
    Trust,
    continued,
    forgiving,
    forgiving_nearby,
    held,
    middling,
    monotone,
    plain,
    straight,
)
from tests.estimators.pulse.made_up import LEVELS, table

VOLT, SOH, _, _ = table(cells=30, points=21)
CUBE = VOLT.reshape(30, len(LEVELS), 21)
Y = SOH.reshape(30, -1)[:, 0]


@pytest.mark.parametrize("generator", [straight, monotone, middling, *BEYOND.values()])
def test_a_straight_curve_is_met_exactly(generator):
    level = np.arange(5.0, 26.0, 5.0)
    wanted = np.array([10.0, 15.0]) if generator in (straight, monotone) else np.array([30.0, 50.0])
    line = np.array([[3.0, 3.1, 3.2]])[:, None] + 0.01 * level[None, :, None]  # the differences do not change
    made = generator(line, level, wanted)
    assert made == pytest.approx(np.array([[3.0, 3.1, 3.2]])[:, None] + 0.01 * wanted[None, :, None])


def test_between_levels_a_curve_is_followed_closer_than_by_a_line():
    known, asked = np.arange(0, 10, 2), np.arange(1, 9, 2)
    errors = [
        np.abs(g(CUBE[:, known], LEVELS[known], LEVELS[asked]) - CUBE[:, asked]).mean() for g in (monotone, straight)
    ]
    assert errors[0] < errors[1]


def test_held_keeps_the_differences_of_the_last_level():
    made = held(CUBE[:, :5], LEVELS[:5], LEVELS[5:])
    assert differences(made[:, 3])[:, 1:] == pytest.approx(differences(CUBE[:, 4])[:, 1:])


def test_mistakes_are_measured_where_the_truth_is_known_and_nowhere_else():
    trust = Trust.beyond(BEYOND["line of all"], CUBE[:, :5], LEVELS[:5])
    assert trust.moment.shape == (21, 21)
    assert np.linalg.eigvalsh(trust.moment).min() > -1e-12
    bent = CUBE.copy()
    bent[:, 5:] += 1.0  # levels that are asked must not matter
    assert Trust.beyond(BEYOND["line of all"], bent[:, :5], LEVELS[:5]).moment == pytest.approx(trust.moment)


def test_a_model_that_forgives_does_not_lean_on_what_was_made_wrongly():
    """U1 is continued 0.1 V too high for every cell; the resistances are right."""
    wrong = CUBE[:, 9].copy()
    wrong += 0.1
    moment = np.zeros((21, 21))
    moment[0, 0] = 0.1**2
    believing, forgiving_ = plain(wrong, Y), forgiving(wrong, Y, moment)
    off = [float(np.abs(m.predict(CUBE[:, 9]) - Y).mean()) for m in (believing, forgiving_)]
    assert off[1] < 0.5 * off[0]
    assert forgiving_.std > believing.std


def test_models_joined_say_their_mean():
    a, b = (plain(continued(CUBE[:, :5], LEVELS[:5], LEVELS[5:], n)[:, 2], Y) for n in (2, 3))
    joined = type(a).mean_of([a, b])
    assert joined.predict(CUBE[:, 7]) == pytest.approx((a.predict(CUBE[:, 7]) + b.predict(CUBE[:, 7])) / 2)


def test_levels_beside_mend_what_one_level_made_wrongly_says():
    """The last level is made with much noise, and known to be; the others are as they were measured."""
    volt = CUBE.copy()
    volt[:, 9] += np.random.default_rng(0).normal(0.0, 0.05, volt[:, 9].shape)
    moment = np.zeros((len(LEVELS), 21, 21))
    moment[9] = 0.05**2 * np.eye(21)
    alone = forgiving(volt[:, 9], Y, moment[9])
    beside = forgiving_nearby(volt, Y, moment, LEVELS - LEVELS[9])
    off = [float(np.abs(m.predict(CUBE[:, 9]) - Y).mean()) for m in (alone, beside)]
    assert off[1] < 0.5 * off[0]
    assert beside.std < alone.std


def test_a_model_beside_whose_level_others_lie_knows_its_soc_unless_told_that_all_are_one():
    """The first step and the SOC tell y, and neither does alone."""
    random = np.random.default_rng(1)
    y, away = random.uniform(0.6, 1.0, 40), LEVELS - 30.0
    step = y[:, None] + 0.02 * away[None]
    volt = 3.0 + np.concatenate([np.zeros((*step.shape, 1)), step[..., None]], axis=-1)
    moment = np.zeros((len(away), 2, 2))
    told, untold = forgiving_nearby(volt, y, moment, away), forgiving_nearby(volt, y, moment, np.zeros(len(away)))
    at = LEVELS.tolist().index(30.0)
    off = [float(np.abs(m.predict(volt[:, at]) - y).mean()) for m in (told, untold)]
    assert off[0] < 0.25 * off[1]
