from importlib.util import find_spec

import numpy as np
import pytest

from daemon.tables.nine_step import lives

LOOKS = np.array([0.0, 500.0, 1000.0])


@pytest.fixture(scope="module")
def looked():
    return lives(3, 0, LOOKS, (35.0,))[0]


def test_simulated_cells_have_features_capacities_and_what_they_lost(looked):
    assert looked.cells.features.shape == (3, 3, 42)
    assert looked.lost.shape == (3, 3, 6)
    assert np.isfinite(looked.cells.features).all()
    np.testing.assert_allclose(looked.lost[:, 0], 0.0, atol=1e-9)
    assert (looked.lost[:, -1, :5] > 0.01).all()


def test_the_modes_that_come_with_the_package_are_those_of_cells_that_it_has_not_seen(looked):
    from estimators.early_life.modes import MODES, judge

    now, new = looked.cells.features[:, -1], looked.cells.features[:, 0]
    reports = [judge(a, b, 35.0) for a, b in zip(now, new, strict=True)]
    assert all(r.in_domain for r in reports)
    for i, mode in enumerate(MODES):
        error = np.array([r.values[mode] for r in reports]) - looked.lost[:, -1, i]
        assert np.abs(error).max() < 0.25 * looked.lost[:, -1, i].max() + 0.03, mode


@pytest.mark.slow
@pytest.mark.skipif(find_spec("sklearn") is None, reason="scikit-learn is not installed")
def test_the_process_foresees_capacity_better_than_a_line_and_features_better_than_holding():
    from daemon.tables.nine_step_study import process_errors, unseen_features

    errors = process_errors(6, 0)
    for i in range(2):
        assert errors["42 features"][i] < errors["line"][i]
        assert errors["thermodynamic features off"][i] < errors["thermodynamic features held"][i]
    assert set(unseen_features(4, 0)) == {"ridge over a curve", "curve alone", "network 10-32-64-32-42"}
