from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from daemon.errors import LogError
from daemon.labels import Known, Rule, read_rules
from daemon.runs import read_labelled

KNOWN = Known(
    nominal_capacity_ah=2.0, reference_soh=0.9, chemistry="nca", voltage_min_volt=2.5, voltage_max_volt=4.2
)  # fmt: skip
TOLD = replace(KNOWN, initial_soc=1.0)


def write(folder: Path, name="log", **columns) -> Path:
    length = max(np.size(column) for column in columns.values())
    base = {"test_time_second": np.arange(float(length)), "voltage_volt": 3.6, "current_ampere": -1.0}
    path = folder / f"{name}.csv"
    pl.DataFrame({n: np.broadcast_to(v, length) for n, v in (base | columns).items()}).write_csv(path)
    return path


def drive(*parts) -> dict[str, np.ndarray]:
    """Rows of one minute each: (minutes, ampere, volt); volt may be a pair, from and to."""
    ampere = np.concatenate([np.linspace(*np.broadcast_to(a, 2), n) for n, a, _ in parts])
    volt = np.concatenate([np.linspace(*np.broadcast_to(v, 2), n) for n, _, v in parts])
    return {"test_time_second": 60.0 * np.arange(len(ampere)), "current_ampere": ampere, "voltage_volt": volt}


CONSTANT_VOLTAGE = (40, (1.0, 0.06), 4.2)  # 0.35 Ah


def test_a_counter_that_does_not_begin_at_zero_counts_from_its_first_row(tmp_path):
    run = read_labelled(write(tmp_path, net_capacity_ah=[1.7, 1.5, 1.3]), TOLD)
    np.testing.assert_allclose(run.soc_nominal, [1.0, 0.9, 0.8])
    assert np.isnan(run.soh)
    assert run.name == "log"


def test_without_a_counter_the_current_is_counted(tmp_path):
    run = read_labelled(write(tmp_path, current_ampere=[-7.2, -7.2, 0.0]), TOLD)
    np.testing.assert_allclose(run.soc_nominal, [1.0, 0.999, 0.998])


def test_a_soc_column_is_taken_as_it_is(tmp_path):
    run = read_labelled(write(tmp_path, soc=[0.5, 0.4, 0.6]), KNOWN)
    np.testing.assert_allclose(run.soc_nominal, [0.5, 0.4, 0.6])


def test_a_soc_beside_a_soh_is_of_present_capacity(tmp_path):
    run = read_labelled(write(tmp_path, soc=[0.5, 0.0], soh=[0.8, 0.8]), KNOWN)
    np.testing.assert_allclose(run.soc_nominal, [0.6, 0.2])
    assert run.soh == pytest.approx(0.8)


def test_a_log_that_begins_near_the_upper_voltage_limit_begins_full(tmp_path):
    run = read_labelled(write(tmp_path, voltage_volt=[4.1, 4.0, 3.9], net_capacity_ah=[0.0, -0.1, -0.2]), KNOWN)
    np.testing.assert_allclose(run.soc_nominal, [1.0, 0.95, 0.9])
    assert run.hysteresis == 1.0


def test_a_log_that_begins_at_rest_near_the_lower_limit_begins_empty(tmp_path):
    run = read_labelled(write(tmp_path, **drive((2, 0.0, 2.6), (30, 1.0, (2.8, 3.6)))), KNOWN)
    assert run.soc_nominal[0] == pytest.approx(1.0 - 0.9)
    assert run.hysteresis == -1.0


def test_the_end_of_a_charge_at_constant_voltage_is_full_and_all_rows_are_counted_from_it(tmp_path):
    columns = drive((60, 1.0, (3.4, 4.2)), CONSTANT_VOLTAGE, (10, 0.0, 4.1), (60, -1.0, (4.0, 3.3)))
    run = read_labelled(write(tmp_path, **columns), KNOWN)
    assert run.soc_nominal[99] == pytest.approx(1.0)
    np.testing.assert_allclose(run.soc_nominal[[0, -1]], [1.0 - 0.5 - 0.353 / 2, 1.0 - 59 / 120], atol=0.01)
    assert run.hysteresis == 0.0


def test_a_charge_at_constant_current_ends_before_full(tmp_path):
    with pytest.raises(LogError, match="known nowhere"):
        read_labelled(write(tmp_path, **drive((600, 0.06, (3.4, 4.2)), (9, 0.0, 4.1))), KNOWN)


def test_what_a_charge_took_beyond_what_had_come_out_is_spread_over_it(tmp_path):
    columns = drive((5, 0.0, 4.15), (60, -1.0, (4.0, 3.5)), (48, 1.0, (3.6, 4.2)), CONSTANT_VOLTAGE, (60, -1.0, 3.9))
    run = read_labelled(write(tmp_path, **columns), KNOWN)
    assert run.soc_nominal[65] == pytest.approx(0.5)
    assert run.soc_nominal[5 + 60 + 48 + 39] == pytest.approx(1.0)
    assert np.diff(run.soc_nominal)[66] == pytest.approx(0.5 / 1.15 / 60, rel=0.03)
    assert run.soc_nominal[-1] == pytest.approx(0.5, abs=0.02)


def test_the_charge_between_a_cut_off_and_the_full_point_after_it_is_the_capacity(tmp_path):
    columns = drive((30, -1.0, (3.6, 2.5)), (5, 0.0, 3.2), (90, 1.0, (3.3, 4.2)), CONSTANT_VOLTAGE, (60, -1.0, 3.7))
    run = read_labelled(write(tmp_path, **columns), KNOWN)
    assert run.soh == pytest.approx((1.5 + 0.35) / 2.0, abs=0.01)


def test_a_count_that_climbs_far_without_reaching_a_full_point_is_not_believed(tmp_path):
    run = read_labelled(write(tmp_path, net_capacity_ah=[0.0, -1.0, -2.0, -1.0, -0.1]), TOLD)
    np.testing.assert_allclose(run.soc_nominal, [1.0, 0.5, 0.0])


def test_a_count_that_regenerates_a_little_is_believed(tmp_path):
    run = read_labelled(write(tmp_path, net_capacity_ah=[0.0, -1.0, -0.6, -1.2, -1.0]), TOLD)
    np.testing.assert_allclose(run.soc_nominal, [1.0, 0.5, 0.7, 0.4, 0.5])


def test_rows_are_put_in_order_of_time_and_duplicates_dropped(tmp_path):
    run = read_labelled(write(tmp_path, test_time_second=[2.0, 0.0, 0.0], soc=[0.3, 0.5, 0.4]), KNOWN)
    assert run.test_time_second.tolist() == [0.0, 2.0]
    assert run.soc_nominal.tolist() == [0.5, 0.3]


def test_a_hole_without_a_counter_is_refused(tmp_path):
    with pytest.raises(LogError, match="a hole of 500 s"):
        read_labelled(write(tmp_path, test_time_second=[0.0, 1.0, 501.0]), TOLD)


def test_a_rule_beside_the_logs_goes_before_what_the_log_shows(tmp_path):
    (tmp_path / "labels.yaml").write_text(
        "- files: [other_*, lo?]\n  initial_soc: 0.6\n  capacity_ah: 1.8\n  temperature_celsius: -15\n"
    )
    run = read_labelled(write(tmp_path, voltage_volt=[4.1, 4.0], net_capacity_ah=[0.0, -0.2]), KNOWN)
    np.testing.assert_allclose(run.soc_nominal, [0.6, 0.5])
    assert run.soh == pytest.approx(0.9)
    assert run.temperature_celsius.tolist() == [-15.0, -15.0]


def test_the_first_rule_that_fits_counts(tmp_path):
    rules = (Rule(files=("a*",), initial_soc=0.1), Rule(files=("*",), initial_soc=0.2))
    known = replace(KNOWN, rules=rules)
    assert known.rule("abc").initial_soc == 0.1
    assert known.rule("xyz").initial_soc == 0.2


def test_a_rule_with_a_word_that_means_nothing_is_refused_by_its_place(tmp_path):
    path = tmp_path / "labels.yaml"
    path.write_text("- files: [x]\n  inital_soc: 0.5\n")
    with pytest.raises(LogError, match="inital_soc"):
        read_rules(path)
