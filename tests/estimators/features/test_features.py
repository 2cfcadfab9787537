import os
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from estimators.features import Window, c_rate, charge_curve, of_nominal, on_window, rest_curve, rest_statistics

DATA = Path(os.environ.get("BMSD_DATA", Path(__file__).parents[4] / "shared" / "data"))
ZHU, LSD = Window(3.6, 4.15), Window(3.8, 4.1)


def true_charge(volt):
    return 2.0 * (volt - 3.0) + 0.3 * np.tanh((volt - 3.9) / 0.05)


def charge(begin_volt=3.3, end_volt=4.2, points=400, noise_volt=0.0, seed=0):
    volt = np.linspace(begin_volt, end_volt, points)
    return volt + noise_volt * np.random.default_rng(seed).standard_normal(points), true_charge(volt)


def test_a_charge_curve_counts_from_the_windows_first_voltage():
    curve = charge_curve(*charge(), ZHU)
    want = true_charge(ZHU.voltage_volt) - true_charge(3.6)
    assert curve[0] == 0.0
    assert np.abs(curve - want).max() < 1e-3
    volt, taken = charge()
    np.testing.assert_allclose(charge_curve(volt, taken + 7.0, ZHU), curve, atol=1e-12)


def test_noise_neither_hastens_nor_delays_the_charge():
    want = true_charge(ZHU.voltage_volt) - true_charge(3.6)
    errors = [charge_curve(*charge(noise_volt=0.003, seed=s), ZHU) - want for s in range(50)]
    assert np.abs(np.mean([e - e.mean() for e in errors], axis=0)).max() < 0.004
    assert np.std(errors, axis=0).max() < 0.03


def test_a_charge_that_began_or_ended_inside_the_window_has_gaps_and_counts_from_where_it_came_in():
    curve = charge_curve(*charge(3.8, 4.0), ZHU)
    reached = np.isfinite(curve)
    assert reached.tolist() == ((ZHU.voltage_volt >= 3.8) & (ZHU.voltage_volt <= 4.0)).tolist()
    want = true_charge(ZHU.voltage_volt[reached])
    np.testing.assert_allclose(curve[reached], want - want[0], atol=1e-3)


@pytest.mark.parametrize("volt", [[], [3.7], [3.1, 3.2, 3.3], [4.3, 4.4], [np.nan, np.nan, np.nan]])
def test_a_charge_beside_the_window_is_no_curve(volt):
    assert np.isnan(charge_curve(np.array(volt, float), np.arange(float(len(volt))), ZHU)).all()


def test_a_curve_is_laid_on_a_window_inside_of_its_own():
    wide, narrow = charge_curve(*charge(), ZHU), charge_curve(*charge(), LSD)
    laid = on_window(np.stack([wide, wide * np.nan]), ZHU, LSD)
    np.testing.assert_allclose(laid[0], narrow, atol=4e-3)
    assert np.isnan(laid[1]).all()
    assert np.isnan(on_window(narrow, LSD, ZHU)[[0, -1]]).all()


def test_rest_statistics_are_those_of_the_population():
    volt = 4.15 + 0.03 * np.exp(-np.arange(14)[None] / np.array([[2.0], [5.0], [9.0]]))
    want = np.stack(
        [volt.mean(1), stats.skew(volt, 1), volt.max(1), volt.min(1), volt.var(1), stats.kurtosis(volt, 1)], 1
    )
    np.testing.assert_allclose(rest_statistics(volt), want, rtol=1e-9)
    padded = np.hstack([volt, np.full((3, 5), np.nan)])
    np.testing.assert_allclose(rest_statistics(padded), want, rtol=1e-9)


def test_a_flat_rest_has_no_skew_and_an_empty_one_has_nothing():
    volt = np.array([[4.1, 4.1, 4.1], [np.nan] * 3])
    assert rest_statistics(volt)[0].tolist() == pytest.approx([4.1, 0.0, 4.1, 4.1, 0.0, 0.0])
    assert np.isnan(rest_statistics(volt)[1]).all()


def test_a_rest_is_given_at_any_period_and_ends_where_it_ended():
    second = np.array([0.0, 1.0, 2.0, 4.0, 8.0, 600.0, 1199.0])
    curve = rest_curve(second, 4.2 - second / 1e5, 120.0, 14)
    np.testing.assert_allclose(curve[:10], 4.2 - 120.0 * np.arange(10) / 1e5)
    assert np.isnan(curve[10:]).all()


def test_cells_of_any_size_are_compared_by_rate_and_share():
    assert (c_rate(-6.0, 3.0), of_nominal(1.5, 3.0)) == (-2.0, 0.5)


@pytest.mark.parametrize(
    ("name", "window", "nominal_ah"),
    [("zhu2022-voltage-relaxation/nca", ZHU, 3.5), ("imodel-lsd-relaxation/cells_00", LSD, 2.0)],
)
def test_a_data_sets_columns_are_what_the_functions_make(name, window, nominal_ah):
    path = DATA / f"{name}.csv.gz"
    if not path.is_file():
        pytest.skip(f"no data set at {path}")
    import polars as pl

    rows = pl.read_csv(path, n_rows=40)
    dq = rows.select(f"dq_ah_{i:02d}" for i in range(50)).to_numpy()
    for row in dq:
        np.testing.assert_allclose(charge_curve(window.voltage_volt, row, window), row, atol=1e-9)
    assert (of_nominal(dq, nominal_ah)[:, -1] < 1.0).all()
    volt = rows.select([c for c in rows.columns if c.startswith("relax_volt_")]).to_numpy()
    np.testing.assert_allclose(rest_statistics(volt)[:, 1], stats.skew(volt, axis=1, nan_policy="omit"), rtol=1e-4)
