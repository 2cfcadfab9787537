import numpy as np
import polars as pl
import pytest

from daemon.log import read_log
from simulators import log
from simulators.fleet import Fleet
from simulators.sensor import Channel, Fault, Sensing

COLUMNS = ["test_time_second", "voltage_volt", "current_ampere", "temperature_celsius", "soc", "soh"]


def truth(seconds, **settings):
    fleet = Fleet(**settings)
    return [fleet.advance() for _ in range(seconds)]


@pytest.mark.parametrize("form", log.FORMS)
def test_what_is_written_is_read_again(tmp_path, form):
    (path,) = log.write(tmp_path / f"drive{form}", Fleet(cells=1, seed=3, initial_soh=0.9), 1_200)
    read = read_log(path)
    assert read.broken == []
    np.testing.assert_array_equal(read.test_time_second, np.arange(1_200))
    wanted = truth(1_200, cells=1, seed=3, initial_soh=0.9)
    for name in COLUMNS[1:]:
        np.testing.assert_allclose(getattr(read, name), [getattr(r, name)[0] for r in wanted], atol=5.1e-7)


def test_several_cells_write_a_file_each(tmp_path):
    paths = log.write(tmp_path / "drive.parquet", Fleet(cells=3, packs=2, seed=1), 60)
    assert [p.name for p in paths] == ["drive_p0_c00.parquet", "drive_p0_c01.parquet", "drive_p1_c00.parquet"]
    wanted = truth(60, cells=3, seed=1)
    for number, path in enumerate(paths):
        table = pl.read_parquet(path)
        assert table.columns == COLUMNS
        np.testing.assert_allclose(table["soc"], [r.soc[number] for r in wanted], atol=5.1e-7)


@pytest.mark.parametrize("form", log.FORMS)
def test_the_same_seed_writes_the_same_bytes(tmp_path, form):
    sensing = Sensing(voltage=Channel(noise=0.002), dropout=0.05, faults=tuple(Fault))
    written = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (path,) = log.write(tmp_path / folder / f"x{form}", Fleet(cells=1, seed=2, sensing=sensing), 300)
        written.append(path.read_bytes())
    assert written[0] == written[1]


def test_time_is_counted_from_the_start_whatever_the_wall_says(tmp_path):
    (path,) = log.write(tmp_path / "x.csv", Fleet(cells=1, start_unix_second=1_763_700_000.0), 5)
    assert read_log(path).test_time_second.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_sensor_faults_reach_the_file_and_leave_the_truth_beside(tmp_path):
    sensing = Sensing(faults=(Fault.NAN,), fault_rate=0.1)
    (path,) = log.write(tmp_path / "x.parquet", Fleet(cells=1, sensing=sensing), 500)
    table = pl.read_parquet(path)
    assert 20 < table["voltage_volt"].is_nan().sum() < 100
    assert table["soc"].is_nan().sum() == 0


def test_a_missing_folder_is_refused_before_anything_is_simulated(tmp_path):
    fleet = Fleet(cells=1)
    with pytest.raises(ValueError, match="no folder"):
        log.write(tmp_path / "nowhere" / "x.csv", fleet, 10)
    assert fleet.second == 0


def test_another_ending_is_refused_before_anything_is_simulated(tmp_path):
    fleet = Fleet(cells=1)
    with pytest.raises(ValueError, match=r"x\.txt.*\.csv, \.csv\.gz, \.parquet"):
        log.write(tmp_path / "x.txt", fleet, 10)
    assert fleet.second == 0
