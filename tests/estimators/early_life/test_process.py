import numpy as np
import pytest

from estimators.early_life.features import NAMES
from estimators.early_life.modes import MODES, judge
from estimators.early_life.process import Cells, carried, fit_process, fit_ridge, fit_trajectory, foresee_capacity

CYCLE = np.arange(0.0, 1001.0, 50.0)
KNOWN = 5
PATTERN = np.random.default_rng(8).normal(0, 1, len(NAMES))
TILT = np.random.default_rng(9).normal(0, 2, (9, len(NAMES)))


def cells(temperature, speed, count=6, seed=0, voltage_matters=True):
    """Features that move with the loss, tilted by a cell's first voltages; capacity that is lost by the first."""
    rng = np.random.default_rng(seed)
    volt = 3.8 + 0.02 * rng.standard_normal((count, 9))
    lost = speed * (CYCLE / 1000.0) ** 1.1 * np.exp(0.05 * rng.standard_normal((count, 1)))
    features = 1.0 + lost[..., None] * PATTERN
    if voltage_matters:
        features = features + ((volt - 3.8) @ TILT)[:, None] * CYCLE[:, None] / 1000.0 / 10.0
    features += rng.normal(0, 1e-3, features.shape)
    return Cells(temperature, volt, CYCLE, features, 1.1 * (1.0 - lost))


def test_first_voltages_tell_how_features_of_an_unseen_cell_go_on():
    process, other = fit_process(cells(25.0, 0.2, 40)), cells(25.0, 0.2, 10, 1)
    said = np.array([process.predict(u) for u in other.cutoff_volt])
    of_curve = np.broadcast_to(process.curve, said.shape)
    assert np.abs(said - other.features).mean() < 0.75 * np.abs(of_curve - other.features).mean()


def test_voltages_that_mean_nothing_are_not_learnt_by_heart():
    process = fit_process(cells(25.0, 0.2, 6, voltage_matters=False))
    moved = process.predict(process.cutoff_volt + 0.02) - process.curve
    assert np.abs(moved).mean() < 0.02


def test_features_are_carried_to_a_temperature_between():
    sources = [fit_process(cells(t, v)) for t, v in ((25.0, 0.15), (55.0, 0.35))]
    target = cells(40.0, 0.25, 4, 3)
    for volt, truth in zip(target.cutoff_volt, target.features, strict=True):
        said = carried(truth[:KNOWN], volt - target.cutoff_volt.mean(axis=0), 40.0, sources)
        assert said.shape == truth.shape
        np.testing.assert_array_equal(said[:KNOWN], truth[:KNOWN])
        held = np.abs(truth[KNOWN - 1] - truth[KNOWN:]).mean()
        assert np.abs(said - truth)[KNOWN:].mean() < 0.4 * held


def test_a_trajectory_follows_predicted_features():
    sources = [cells(t, v) for t, v in ((25.0, 0.15), (55.0, 0.35))]
    trajectory = fit_trajectory(sources, range(20))
    target = cells(40.0, 0.25, 1, 3)
    said = foresee_capacity(target.features[0], target.capacity_ah[0, :KNOWN], trajectory)
    np.testing.assert_allclose(said, target.capacity_ah[0, KNOWN:], atol=0.02)


def test_a_ridge_of_noise_is_nearly_flat():
    rng = np.random.default_rng(0)
    ridge = fit_ridge(rng.normal(size=(60, 30)), rng.normal(size=(60, 1)), np.repeat(np.arange(12), 5))
    assert np.abs(ridge.weight).max() < 0.1


def test_two_cells_are_too_few():
    with pytest.raises(ValueError, match="2 cells"):
        fit_process(cells(25.0, 0.2, 2))


def test_a_charge_without_features_gets_a_reason_and_one_with_gets_every_mode():
    assert judge(None, np.zeros(42), 25.0).refused == "nothing_recorded"
    new = np.full(42, 0.1)
    report = judge(new, new, 25.0)
    assert tuple(report.values) == tuple(report.std) == MODES
    assert abs(report.values["lithium_lost"]) < 0.03
