"""A known cell type as the beginning of a new one."""

from dataclasses import replace

import numpy as np
import pytest

from daemon import similar
from daemon.errors import UsageError
from estimators.cell_type import CellType


@pytest.fixture
def new():
    return replace(CellType.load("generic-nca"), name="mine", nominal_capacity_ah=5.8)


def test_the_generic_type_of_the_chemistry_is_taken_for_the_new_capacity(new):
    found = similar.find(None, new)
    assert found is not None
    known = CellType.load("generic-nca")
    ratio = known.nominal_capacity_ah / 5.8
    assert np.allclose(found.tables.ohmic_ohm, known.tables().ohmic_ohm * ratio)
    assert found.has_network


def test_a_generic_type_is_not_the_beginning_of_itself(new):
    assert similar.find(None, replace(new, name="generic-nca")) is None


def test_a_type_that_is_named_and_not_there_is_refused(new):
    with pytest.raises(UsageError, match="no cell type"):
        similar.find("nobody", new)


def test_a_folder_is_written_that_loads_as_the_type(new, tmp_path):
    known = CellType.load("generic-nca")
    made = similar.write(tmp_path / "then", new, known.tables(), known.folder)
    assert CellType.load(made.folder) == made
    assert similar.Similar(made, made.tables()).has_network
