import numpy as np
import pytest

from estimators.soh import filter as smooth

HOUR = 3_600.0
EFC = 4.0 / 24.0  # an hour of a cell that is used all day
CELLS, DAYS = 100, 21


def true_soh(rng, fade=2e-4):
    start = rng.uniform(0.75, 1.0, CELLS)
    return start - np.arange(1, DAYS * 24 + 1)[:, None] * EFC * fade * np.exp(0.3 * rng.standard_normal(CELLS))


def said(rng, true, std, bias=0.3, memory_day=2.0):
    """What a source says each hour: a lasting error, one that wanders, and a little noise."""
    kept = np.exp(-1.0 / 24.0 / memory_day)
    wander, out = rng.standard_normal(CELLS), np.empty_like(true)
    for hour in range(len(true)):
        wander = kept * wander + np.sqrt(1.0 - kept**2) * rng.standard_normal(CELLS)
        out[hour] = wander
    lasting, noise = rng.standard_normal(CELLS), rng.standard_normal(true.shape)
    return true + std * (np.sqrt(bias) * lasting + np.sqrt(0.9 - bias) * out + np.sqrt(0.1) * noise)


def filtered(words, std, start, state=None, efc=EFC):
    state = smooth.init(start) if state is None else state
    cells, shown = len(start), []
    for word in words:
        state = smooth.step(
            state,
            word[:, None],
            np.full((cells, 1), std),
            np.full(cells, efc),
            np.full(cells, HOUR),
            np.ones(cells, bool),
        )
        shown.append(smooth.accepted(state))
    soh, soh_std = np.array(shown).transpose(1, 0, 2)
    return soh, soh_std, state


def rms(error):
    return float(np.sqrt(np.mean(error**2)))


@pytest.mark.parametrize("std", [0.01, 0.02])
def test_it_is_ten_times_as_smooth_as_what_is_said_and_no_further_from_the_truth(std):
    rng = np.random.default_rng(1)
    true = true_soh(rng)
    words = said(rng, true, std)
    soh, _, _ = filtered(words, std, true[0] + rng.choice([-0.05, 0.05], CELLS))
    settled = slice(48, None)
    fluctuation = [np.abs(np.diff(x[settled], axis=0)).mean() for x in (words, soh)]
    assert fluctuation[0] > 10.0 * fluctuation[1]
    assert rms(soh[settled] - true[settled]) < rms(words[settled] - true[settled])


def test_nine_of_ten_true_values_lie_in_the_ninety_percent_interval():
    rng = np.random.default_rng(2)
    true = true_soh(rng)
    soh, std, _ = filtered(said(rng, true, 0.02), 0.02, true[0] + 0.05 * rng.standard_normal(CELLS))
    assert 0.84 < (np.abs(soh - true) < 1.645 * std)[48:].mean() < 0.95


def test_a_hundred_hours_of_one_error_do_not_make_it_sure():
    _, std, _ = filtered(np.full((100, 1), 0.9), 0.02, np.array([0.9]))
    assert std[-1, 0] > 0.01


def test_a_single_outlier_hardly_moves_it():
    words = np.full((100, 2), 0.9)
    words[80, 1] = 0.5
    soh, _, _ = filtered(words, 0.02, np.array([0.9, 0.9]))
    assert np.abs(soh[:, 1] - soh[:, 0]).max() < 0.003


def test_an_hour_moves_it_no_further_than_a_cell_can_age_and_knowledge_can_catch_up():
    words = np.concatenate([np.full((200, 1), 0.9), np.full((200, 1), 0.6)])
    soh, std, _ = filtered(words, 0.01, np.array([0.9]))
    bound = smooth.MOST_PER_EFC * EFC + smooth.MOST_PER_DAY / 24.0 + EFC * 1e-3 + smooth.CATCH_UP * (std[:-1] + 1e-3)
    assert (np.abs(np.diff(soh, axis=0)) < bound).all()


def test_a_capacity_test_is_taken_and_remembered_against_a_source_that_errs():
    truth, error = 0.85, 0.03
    words = np.full((200, 1), truth + error)
    before, _, state = filtered(words, 0.03, np.array([0.9]))
    assert before[-1, 0] - truth > 0.02
    state = smooth.calibrate(state, np.array([truth]), np.array([0.003]), np.array([True]))
    assert abs(smooth.accepted(state)[0][0] - truth) < 0.003
    after, _, _ = filtered(words[:72], 0.03, np.array([0.9]), state)
    assert np.abs(after - truth).max() < 0.006


def test_a_second_source_that_is_surer_counts_for_more():
    state = smooth.init(np.array([0.9]), sources=2)
    every = np.array([True])
    for _ in range(48):
        state = smooth.step(
            state, np.array([[0.95, 0.85]]), np.array([[0.05, 0.005]]), np.array([EFC]), np.array([HOUR]), every
        )
    assert abs(smooth.accepted(state)[0][0] - 0.85) < 0.006


def test_what_was_not_said_and_who_was_not_asked_leave_the_state_alone():
    state = smooth.init(np.array([0.9, 0.8]))
    told = smooth.step(
        state,
        np.array([[0.7], [0.7]]),
        np.full((2, 1), 0.01),
        np.full(2, EFC),
        np.full(2, HOUR),
        np.array([True, False]),
    )
    assert told["soh_mean"][0, 0] < 0.9
    assert told["soh_mean"][1].tobytes() == state["soh_mean"][1].tobytes()
    silent = smooth.step(
        state, np.full((2, 1), np.nan), np.full((2, 1), 0.01), np.full(2, EFC), np.full(2, HOUR), np.ones(2, bool)
    )
    np.testing.assert_allclose(smooth.accepted(silent)[0], [0.9, 0.8], atol=1e-3)


def test_a_cell_s_bits_do_not_depend_on_its_company():
    rng = np.random.default_rng(3)
    words = rng.normal(0.9, 0.02, (50, 7))
    many, _, _ = filtered(words, 0.02, np.full(7, 0.9))
    alone, _, _ = filtered(words[:, 2:3], 0.02, np.full(1, 0.9))
    assert many[:, 2].tobytes() == alone[:, 0].tobytes()
