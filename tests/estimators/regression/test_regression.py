import numpy as np
import pytest

from estimators.regression.fit import FITS, by_cell, fit, forest, measure
from estimators.regression.forms import VARYING_CONSTANT, Varying
from estimators.regression.inputs import Inputs
from estimators.regression.regression import NINETY, Noise, Regression, load, save

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(240, 3))
CELL = np.repeat([f"cell{i}" for i in range(12)], 20)
Y = 0.9 + 0.05 * np.sin(X[:, 0]) + 0.02 * X[:, 1] + 0.005 * RANDOM.normal(size=240)


@pytest.mark.parametrize("kind", FITS)
def test_each_kind_learns_what_can_be_learnt(kind):
    form = FITS[kind](X, Y, 1)
    assert np.abs(form.predict(X) - Y).mean() < 0.8 * np.abs(Y - Y.mean()).mean()


def test_our_trees_say_what_the_library_s_say():
    from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor, RandomForestRegressor

    for extra, kind in ((True, ExtraTreesRegressor), (False, RandomForestRegressor)):
        theirs = kind(20, min_samples_leaf=3, max_features=0.33, bootstrap=not extra, random_state=3).fit(X, Y)
        ours = forest(X, Y, seed=3, trees=20, extra=extra)
        assert ours.predict(X) == pytest.approx(theirs.predict(X), abs=1e-6)
    theirs = HistGradientBoostingRegressor(
        max_iter=300, learning_rate=0.05, max_leaf_nodes=15, min_samples_leaf=10, random_state=3
    ).fit(X, Y)
    assert FITS["boosting"](X, Y, 3).predict(X) == pytest.approx(theirs.predict(X), abs=1e-6)


def test_our_kernels_say_what_the_library_s_say():
    from sklearn.svm import SVR

    spread = Y.std()
    theirs = SVR(C=10.0, epsilon=0.05, gamma=1 / 3).fit(X, (Y - Y.mean()) / spread).predict(X) * spread + Y.mean()
    assert FITS["svr"](X, Y).predict(X) == pytest.approx(theirs, abs=1e-9)


def test_what_is_kept_says_the_same_afterwards(tmp_path):
    models = {"both/25": fit(X, Y, CELL, ["svr", "boosting", "layers"]), "rest": fit(X[:, :1], Y, CELL, ["ridge"])}
    save(tmp_path / "m.safetensors", models, {"set": "made up"})
    again, about = load(tmp_path / "m.safetensors")
    assert about == {"set": "made up"}
    assert list(again) == list(models)
    for name, x in (("both/25", X), ("rest", X[:, :1])):
        for ours, theirs in zip(again[name].predict(x), models[name].predict(x), strict=True):
            assert (ours == theirs).all()


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "m.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match=r"m\.safetensors"):
        load(tmp_path / "m.safetensors")


def test_cells_of_a_small_group_are_dealt_out_over_the_folds():
    group = np.isin(CELL, ["cell1", "cell5", "cell9"]).astype(int)
    held = [len(np.unique(CELL[held & (group == 1)])) for _, held in by_cell(CELL, 3, seed=4, group=group)]
    assert held == [1, 1, 1]


def test_no_cell_is_on_both_sides_and_each_is_held_once():
    held_rows = np.zeros(len(CELL), int)
    for train, held in by_cell(CELL, 5):
        assert not set(CELL[train]) & set(CELL[held])
        held_rows += held
    assert (held_rows == 1).all()


def test_nine_of_ten_truths_lie_in_the_90_percent_interval_of_new_cells():
    model = fit(X, Y, CELL, ["svr", "ridge"])
    x = np.random.default_rng(1).normal(size=(2000, 3))
    y = 0.9 + 0.05 * np.sin(x[:, 0]) + 0.02 * x[:, 1] + 0.005 * np.random.default_rng(2).normal(size=2000)
    said = model.predict(x)
    assert 0.8 < (np.abs(said.mean - y) < NINETY * said.std).mean() < 0.97


def test_a_cell_with_many_rows_does_not_outvote_the_others():
    error = np.r_[np.full(1000, 0.001), np.full(10, 0.05), np.full(10, 0.06)]
    cell = np.repeat(["many", "a", "b"], [1000, 10, 10])
    assert measure(error, np.zeros(1020), cell).base > 0.03


def test_a_row_with_an_input_that_is_not_finite_gets_no_number_and_its_neighbours_keep_theirs():
    model = fit(X, Y, CELL, ["ridge"])
    x = X[:3].copy()
    x[1, 2] = np.nan
    said = model.predict(x)
    assert np.isnan(said.mean[1])
    assert not said.in_domain[1]
    assert (said.mean[[0, 2]] == model.predict(X[[0, 2]]).mean).all()


def test_a_far_input_is_clipped_and_told():
    inputs = Inputs.learn(X)
    x = np.array([[50.0, 0.0, 0.0]])
    assert inputs.scale(x)[0, 0] == inputs.scale(inputs.high[None] * [1, 0, 0])[0, 0]
    assert inputs.outside(x).all()
    assert not inputs.outside(X).any()


def test_training_rows_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match=r"columns \[1\]"):
        Inputs.learn(np.array([[0.0, np.nan], [1.0, 2.0]]))


def test_slopes_that_vary_fall_back_to_one_line_and_are_kept(tmp_path):
    random = np.random.default_rng(0)
    points = random.normal(size=(30, 4)).astype(np.float16)
    line, bump = random.normal(size=(2, 30)).astype(np.float32)
    form = Varying(points, line, 0 * bump, np.array([np.inf]), np.array([1.0]), np.array([0.5]))
    x = random.normal(size=(9, 4))
    straight = x @ (points.astype(float).T @ line) / 4 + VARYING_CONSTANT * line.sum() + 0.5
    assert form.predict(x) == pytest.approx(straight, abs=1e-6)
    bent = Varying(points, line, bump, np.array([1.5]), np.array([1.0]), np.array([0.5]))
    save(tmp_path / "m.safetensors", {"a": Regression(Inputs.learn(x), (bent,), Noise(0.1, 0.0))})
    assert (load(tmp_path / "m.safetensors")[0]["a"].members[0].predict(x) == bent.predict(x)).all()
