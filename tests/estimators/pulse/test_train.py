import numpy as np
import pytest

from estimators.pulse.features import ENDS, absolute, differences, inputs, plausible, resistances
from estimators.pulse.train import PLAIN, _left_out, constant, fit, fit_plain
from estimators.regression.forms import varying_kernels
from estimators.regression.inputs import Inputs
from estimators.regression.regression import NINETY
from tests.estimators.pulse.made_up import table, voltages

VOLT, SOH, SOC, CELL = table()


def test_what_differences_lose_nothing_of_comes_back():
    assert absolute(differences(VOLT)) == pytest.approx(VOLT)


def test_resistances_are_those_that_the_cell_was_made_with():
    volt = voltages(np.array([0.8]), np.array([0.3]), noise=0.0)[0]
    for one in resistances(volt, 20.0):
        assert one.charge_ohmic_ohm == pytest.approx(0.03 * 1.4 / 20.0, rel=0.1)
        assert one.charge_whole_ohm == pytest.approx(one.charge_ohmic_ohm + one.charge_polarisation_ohm)
    assert [one.c_rate for one in resistances(volt[:21], 20.0)] == [0.5, 1.0, 1.5]
    slow = volt.copy()
    slow[1::2] = np.nan
    (first, *_) = resistances(slow, 20.0)
    assert np.isnan(first.charge_ohmic_ohm)
    assert first.charge_whole_ohm > 0.0


def test_a_row_with_a_voltage_that_is_missing_or_impossible_is_not_plausible():
    volt = VOLT[:3].copy()
    volt[1, 7], volt[2, 0] = np.nan, 42.0
    assert plausible(volt).tolist() == [True, False, False]


def test_ours_knows_the_soh_of_cells_it_never_saw_and_how_sure_it_is():
    model = fit(inputs(VOLT, "short"), SOH, CELL)
    volt, soh, _, _ = table(cells=30, seed=1)
    said = model.predict(inputs(volt, "short"))
    assert np.abs(said.mean - soh).mean() < 0.02
    assert (np.abs(said.mean - soh) < NINETY * said.std).mean() > 0.8
    assert np.abs(said.mean - soh).mean() < 0.3 * np.abs(soh - SOH.mean()).mean()


def test_a_soc_that_is_known_comes_first():
    x = inputs(VOLT, "short", SOC)
    assert (x[:, 0] == SOC).all()
    volt, soh, soc, _ = table(cells=30, seed=1)
    assert np.abs(fit(x, SOH, CELL).predict(inputs(volt, "short", soc)).mean - soh).mean() < 0.02


def test_what_a_left_out_cell_is_told_is_what_a_model_without_it_says():
    scale = Inputs.learn(inputs(VOLT, "ends"))
    slopes, bumps = varying_kernels(*[scale.scale(inputs(VOLT, "ends"))] * 2, 1.5, 1)
    kernel = slopes + 0.1 * bumps + 0.01 * np.eye(len(SOH))
    inverse = np.linalg.inv(kernel)
    out = CELL == "cell03"
    told = _left_out(inverse, inverse @ SOH, SOH, [np.flatnonzero(out)])
    anew = kernel[np.ix_(out, ~out)] @ np.linalg.solve(kernel[np.ix_(~out, ~out)], SOH[~out])
    assert told[out] == pytest.approx(anew, abs=1e-6)


@pytest.mark.parametrize("kind", PLAIN)
def test_each_plain_method_is_fitted_with_its_deviation(kind):
    model = fit_plain(PLAIN[kind], inputs(VOLT, "short"), SOH, CELL, folds=3)
    said = model.predict(inputs(VOLT, "short"))
    assert np.isfinite(said.mean).all()
    assert (said.std > 0).all()


def test_the_mean_says_the_mean():
    assert constant(VOLT, SOH).predict(VOLT) == pytest.approx(np.full(len(SOH), SOH.mean()))


def test_ends_are_the_rest_voltage_and_every_second_point_after_it():
    assert ENDS.tolist() == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20]
