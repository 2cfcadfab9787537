"""What a network is told: the SOC that its cell type publishes, and the voltage of the type's own tables."""

from dataclasses import replace

import numpy as np
import pytest

from daemon.runs import Run
from daemon.training_runs import measured, simulated
from estimators.cell_type import TABLES_FILE, CellType, save_tables
from estimators.cross_stitch.recipe import Simulated


@pytest.fixture(scope="module")
def cell_type():
    return CellType.load("lg-18650hg2")


def test_a_measured_run_is_labelled_as_the_type_publishes(cell_type):
    same = [np.full(3, value) for value in (3.7, -1.5, 25.0)]
    run = Run("a", np.arange(3.0), *same, 25.0, np.array([1.0, 0.54, 0.08]), 0.92)
    assert measured(run, cell_type, 0.92).soc == pytest.approx([1.0, 0.5, 0.0])
    nominal = replace(cell_type, soc_reference="nominal")
    assert measured(run, nominal, 0.92).soc == pytest.approx([1.0, 0.54, 0.08])
    assert measured(run, nominal, 0.92).c_rate == pytest.approx([-0.5] * 3)


def test_a_simulated_cell_at_rest_shows_the_open_circuit_voltage_of_its_charge(cell_type):
    what = Simulated("nmc", cells=4, seconds=600, temperature_celsius=(20.0, 30.0), own_voltage=False)
    tables = cell_type.tables()
    rested = 0
    for run in simulated(what, cell_type, 0):
        moved = np.flatnonzero(run.c_rate)
        first = int(moved[0]) if len(moved) else len(run)
        if not first:
            continue
        rested += 1
        at = 1.0 - (1.0 - run.soc[0]) * tables.reference_soh[0]  # the tables' own axis
        warm = np.abs(tables.temperature_celsius - run.temperature_celsius[0]).argmin()
        assert run.voltage_volt[0] == pytest.approx(np.interp(at, tables.soc, tables.ocv_volt[:, warm]), abs=0.01)
    assert rested


def test_a_simulated_cell_speaks_with_the_hysteresis_of_the_tables(tmp_path, cell_type):
    what = Simulated("nmc", cells=2, seconds=7200, temperature_celsius=(20.0, 30.0), own_voltage=False)
    tables = cell_type.tables()
    high = np.full_like(tables.ocv_volt, 0.04)
    for name, hysteresis in (("without", 0.0 * high), ("with", high)):
        (tmp_path / name).mkdir()
        save_tables(replace(tables, hysteresis_volt=hysteresis), tmp_path / name / TABLES_FILE)
    without, with_it = (simulated(what, replace(cell_type, folder=tmp_path / name), 0) for name in ("without", "with"))
    for a, b in zip(without, with_it, strict=True):
        more = b.voltage_volt - a.voltage_volt
        assert more[0] == pytest.approx(0.0, abs=0.001)  # nobody knows where it stands at first
        assert 0.02 < np.abs(more).max() < 0.0401


def test_cells_are_shared_out_over_the_physics_that_are_named():
    pytest.importorskip("pybamm", reason="PyBaMM is not installed: pip install 'bmsd[train]'")
    nca = CellType.load("generic-nca")
    what = Simulated("nca", cells=3, seconds=600, temperature_celsius=(20.0, 30.0))
    one, both = (simulated(replace(what, physics=("circuit", name)), nca, 0) for name in ("circuit", "spme"))
    assert [run.name for run in both] == ["simulated-0", "simulated-1", "simulated-2"]
    assert [run.soh[0] for run in both] == pytest.approx([run.soh[0] for run in one], abs=0.01)
    apart = [np.abs(a.voltage_volt - b.voltage_volt).max() for a, b in zip(both, one, strict=True)]
    assert apart[0] == apart[2] == 0.0
    assert apart[1] > 1e-4
