import numpy as np
import pytest

from estimators.soh import capacity

HOUR = 3_600


def driven(soh, hours=12, offset=0.0, seed=0, soc_error=0.01, awake=1.0):
    """C-rate and SOC [second, 1] of a cell that is cycled; the SOC errs for half an hour at a time."""
    rng = np.random.default_rng(seed)
    second = np.arange(hours * HOUR)
    c_rate = np.where((second // (2 * HOUR)) % 2 == 0, -0.35, 0.35) * soh * (second < awake * hours * HOUR)
    soc = 0.95 + np.cumsum(c_rate) / HOUR / soh
    wrong = np.repeat(rng.normal(0.0, soc_error, hours * 2), HOUR // 2)
    return (c_rate + offset)[:, None], (soc + wrong)[:, None]


def fitted(c_rate, soc, cells=1):
    state, every = capacity.init(cells), np.ones(cells, bool)
    for i, y in zip(c_rate, soc, strict=True):
        state = capacity.step(state, i, y, every)
    return state


@pytest.mark.parametrize("soh", [0.7, 0.85, 1.0])
@pytest.mark.parametrize("offset", [0.0, 0.04])
def test_the_capacity_is_found_whatever_the_current_sensor_s_offset(soh, offset):
    found, std = capacity.said(fitted(*driven(soh, offset=offset)))
    assert abs(found[0] - soh) < 0.02
    assert abs(found[0] - soh) < 3.0 * std[0]


def test_what_it_claims_is_what_it_keeps():
    within = []
    for seed in range(12):
        found, std = capacity.said(fitted(*driven(0.85, hours=8, seed=seed, soc_error=0.02)))
        within.append(abs(found[0] - 0.85) < 1.645 * std[0])
    assert np.mean(within) >= 0.75


def test_nothing_is_said_before_charge_has_moved_to_and_fro():
    c_rate, soc = driven(0.85)
    assert np.isnan(capacity.said(capacity.init(1))).all()
    assert np.isnan(capacity.said(fitted(c_rate[:HOUR], soc[:HOUR]))).all()


def test_a_parked_cell_neither_forgets_nor_grows_surer():
    c_rate, soc = driven(0.85, hours=12)
    state = fitted(c_rate, soc)
    awake = fitted(np.zeros((int(capacity.PARKED_SECOND), 1)), np.full((int(capacity.PARKED_SECOND), 1), 0.95))
    parked = state | {"fit_idle_second": awake["fit_idle_second"]}
    later = parked
    for _ in range(1_000):
        later = capacity.step(later, np.zeros(1), np.full(1, 0.5), np.ones(1, bool))
    for name in ("fit_weight", "fit_mean", "fit_spread"):
        assert later[name].tobytes() == parked[name].tobytes()


def test_seconds_of_other_cells_leave_a_cell_alone():
    state = fitted(*(np.repeat(x[:600], 2, axis=1) for x in driven(0.9)), cells=2)
    after = capacity.step(state, np.array([1.0, np.nan]), np.array([0.5, np.nan]), np.array([True, False]))
    for name, array in state.items():
        assert after[name][1].tobytes() == array[1].tobytes()
        assert name == "fit_idle_second" or after[name][0].tobytes() != array[0].tobytes()
