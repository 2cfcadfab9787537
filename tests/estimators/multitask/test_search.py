from dataclasses import replace

import numpy as np
import pytest

from estimators.multitask import search as searching
from estimators.multitask.features import Views
from estimators.multitask.network import Settings
from estimators.multitask.train import Lesson
from tests.estimators.multitask.test_network import SMALL, X, Y

CELL = np.repeat(np.array(list("abcdefgh")), 50)
VIEWS = Views(*(X for _ in Views._fields))
LESSONS = [Lesson(t, VIEWS, v, CELL, np.zeros(400, int)) for t, v in (("capacity_ah", Y[:, 0]), ("dccr", Y[:, 2]))]


def test_a_search_finds_settings_that_err_less_on_cells_left_out_than_poor_ones(monkeypatch):
    pytest.importorskip("optuna", reason="Optuna is not installed: pip install 'bmsd[train]'")
    monkeypatch.setitem(searching.CHOICES, "steps", (5, 100))
    said = []
    poor = Settings(**SMALL | {"steps": 5})
    found = searching.search(LESSONS, poor, trials=4, folds=2, seed=0, say=said.append)
    assert len(said) == 4
    assert (found.rows, found.members) == (poor.rows, poor.members)
    assert np.mean(list(searching.left_out(LESSONS, found, 2, 0))) < np.mean(
        list(searching.left_out(LESSONS, poor, 2, 0))
    )


def test_cells_are_left_out_whole(monkeypatch):
    seen = []
    monkeypatch.setattr(
        searching, "asked", lambda _, learns, held, *__: seen.append((set(CELL[learns]), set(CELL[held]))) or 0.0
    )
    list(searching.left_out(LESSONS, replace(Settings(), steps=1), 4, 0))
    assert len(seen) == 4
    assert all(not learns & held for learns, held in seen)
    assert set().union(*(held for _, held in seen)) == set("abcdefgh")
