from dataclasses import replace

import pytest

from estimators.cross_stitch.search import RATES, ROWS, search
from tests.estimators.cross_stitch.test_train import QUICK, TRAINING, UNSEEN, fresh


def test_a_search_gives_settings_within_the_ends_and_their_error():
    pytest.importorskip("optuna", reason="Optuna is not installed: pip install 'bmsd[train]'")
    said = []
    short = replace(QUICK, steps=8, seconds=20)
    best, error = search(fresh, TRAINING, UNSEEN, short, trials=2, say=said.append)
    assert len(said) == 2
    assert error > 0
    assert best.pop("rows") in ROWS
    assert set(best) == set(RATES)
    assert all(low <= best[name] <= high for name, (low, high) in RATES.items())
