import numpy as np
import pytest

from daemon.errors import LogError
from daemon.runs import read_labelled, read_run
from tests.daemon.test_labels import KNOWN, TOLD, write


def test_a_missing_temperature_is_the_one_around_the_cell(tmp_path):
    run = read_labelled(write(tmp_path, soc=[0.5, 0.4], ambient_temperature_celsius=[5.0, np.nan]), KNOWN)
    assert run.temperature_celsius.tolist() == [5.0, 5.0]


@pytest.mark.parametrize(("name", "celsius"), [("udds_neg15c_script1", -15.0), ("us06_20c", 20.0), ("c20_test", 25.0)])
def test_without_a_temperature_the_files_name_may_tell_the_chambers(tmp_path, name, celsius):
    run = read_labelled(write(tmp_path, name, soc=[0.5, 0.4]), KNOWN)
    assert run.temperature_celsius.tolist() == [celsius, celsius]


def test_a_measured_temperature_goes_before_the_files_name(tmp_path):
    run = read_labelled(write(tmp_path, "us06_20c", soc=[0.5, 0.4], temperature_celsius=[21.0, 22.0]), KNOWN)
    assert run.temperature_celsius.tolist() == [21.0, 22.0]
    assert run.ambient_temperature_celsius == 20.0


def test_a_log_with_nothing_but_its_current_has_no_truth_to_be_scored_by(tmp_path):
    path = write(tmp_path, voltage_volt=[4.1, 4.0], current_ampere=[-1.0, -1.0])
    assert not read_run(path, TOLD).labelled
    assert read_labelled(path, TOLD).labelled


def test_a_counter_that_parts_from_the_current_is_refused(tmp_path):
    path = write(tmp_path, net_capacity_ah=[0.0, -0.1, -0.2], voltage_volt=4.1)
    with pytest.raises(LogError, match="parts from the integral"):
        read_run(path, KNOWN)


def test_a_long_rest_before_the_load_is_cut_to_its_last_minute(tmp_path):
    current = np.concatenate([np.zeros(500), np.full(100, -2.0)])
    net = np.cumsum(current) / 3600.0
    run = read_run(write(tmp_path, current_ampere=current, net_capacity_ah=net, voltage_volt=4.1), KNOWN)
    assert run.test_time_second[0] == 440.0
    assert run.soc_nominal[0] == 1.0
