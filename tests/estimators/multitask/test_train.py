import numpy as np
import pytest

from estimators.multitask import train
from estimators.multitask.features import views
from estimators.multitask.model import keep, kept
from estimators.multitask.train import Crossed, Lesson, Member, answer, choose, cross, noise, ship
from estimators.regression.forms import Networks
from estimators.regression.regression import NINETY

RANDOM = np.random.default_rng(0)
CELL = np.repeat([f"c{n:02}" for n in range(20)], 50)
TRUTH = np.tile(np.linspace(1.0, 0.8, 50), 20)
FOLD = np.repeat(np.arange(5), 200)
EVERY = np.ones(len(CELL), dtype=bool)


def crossed(**error):
    """Members that err by so much, each in its own way."""
    random = np.random.default_rng(1)
    said = {name: TRUTH + size * random.normal(size=len(CELL)) for name, size in error.items()}
    return Crossed("capacity_ah", TRUTH, CELL, FOLD, said)


@pytest.mark.parametrize(("error", "nearest"), [(0.001, ("a",)), (0.01, ("a", "b")), (0.1, ("b",))])
def test_of_few_means_the_nearest_is_asked(error, nearest):
    assert choose(crossed(a=error, b=0.01), (("a",), ("b",), ("a", "b")), EVERY) == nearest


def test_a_mean_is_chosen_on_cells_of_other_folds():
    here = FOLD == 0
    near, far = (TRUTH + size * RANDOM.normal(size=len(TRUTH)) for size in (0.01, 0.1))
    said = {"right here": np.where(here, near, far), "right elsewhere": np.where(here, far, near)}
    found = answer(Crossed("capacity_ah", TRUTH, CELL, FOLD, said), tuple((name,) for name in said))
    assert (found.mean[here] == far[here]).all()


def held(one, sure):
    error = np.abs(one.truth - one.said["a"])
    inside = error <= NINETY * sure.std(np.zeros(len(error)))
    return 100 * inside.mean(), min(100 * inside[one.cell == name].mean() for name in np.unique(one.cell))


@pytest.mark.parametrize(("size", "least"), [(2.2, 66.0), (30.0, 0.0)])
def test_intervals_are_widened_for_the_hardest_cell_but_not_without_end(size, least):
    one = crossed(a=0.01)
    hard = one.cell == "c07"
    one.said["a"][hard] += (size - 1.0) * (one.said["a"] - TRUTH)[hard]
    whole, hardest = held(one, noise(one, ("a",), EVERY))
    assert 89 <= whole <= 96
    assert hardest >= least


def test_what_a_network_has_learnt_is_kept_as_arrays_beside_plain_members(tmp_path, monkeypatch):
    small = Member("history", "network together", {"steps": 60, "rows": 64, "units": 8})
    monkeypatch.setitem(train.MEMBERS, "network together history", small)
    row = np.tile(np.arange(1, 51), 20)
    inputs = np.tile(TRUTH[:, None], 22) * RANDOM.uniform(0.5, 1.5, 22) + 0.01 * RANDOM.normal(size=(len(CELL), 22))
    seen = views(inputs, CELL, row)
    lessons = [Lesson(t, seen, value, CELL, CELL) for t, value in (("capacity_ah", TRUTH), ("rul_cycle", 50.0 - row))]
    names = ("ridge history", "network together history")
    menus = {"line": (names[:1],), "network": (names[1:],)}
    found = cross(lessons, {"capacity_ah": names, "rul_cycle": names}, 3, 0)
    shipped = ship(lessons, found, menus, 0)
    models = {f"{target}/{menu}": model for (target, menu), (model, _) in shipped.items()}
    assert isinstance(models["rul_cycle/network"].parts["history"].members[0], Networks)
    keep(tmp_path / "w.safetensors", models)
    read, _ = kept(tmp_path / "w.safetensors")
    for name, model in models.items():
        assert read[name].predict(seen).mean == pytest.approx(model.predict(seen).mean)
    assert np.abs(read["capacity_ah/network"].predict(seen).mean - TRUTH).mean() < 0.03


def test_a_target_of_which_a_fold_leaves_nothing_to_learn_from_is_not_told():
    row = np.tile(np.arange(1, 51), 20)
    seen = views(RANDOM.normal(size=(len(CELL), 22)), CELL, row)
    known = np.where(CELL == "c00", 50.0 - row, np.nan)
    lessons = [Lesson("capacity_ah", seen, TRUTH, CELL, CELL), Lesson("rul_cycle", seen, known, CELL, CELL)]
    found = cross(lessons, {"rul_cycle": ("ridge",)}, 2, 0)["rul_cycle"]
    told = np.isfinite(found.said["ridge"])
    assert 0 < told.sum() < len(told)
