"""Counted charge and its correction."""

import numpy as np
import pytest

from estimators.srse import features
from estimators.srse.plain import Correction, Looks, learn
from tests.estimators.srse.synthetic import full

pytest.importorskip("sklearn")

CONFIGURATIONS = ("cold", "warm", "hot")


@pytest.fixture(scope="module")
def campaign():
    """Cells of three configurations; the charger loses 1 %, and each cell is emptied below the reading voltage."""
    looks, soh, cell, below = [], [], [], []
    for c, name in enumerate(CONFIGURATIONS):
        for i in range(3):
            under = 0.02 + 0.02 * i
            for capacity in np.linspace(1.9, 1.6, 8):
                looks.append(features.statistics(full(capacity_ah=capacity * 1.01, ohm=0.1 + 0.05 * c)))
                soh.append(capacity / 2.0 - under)
                cell.append(f"{name} {i}")
                below.append(under)
    names = np.repeat(CONFIGURATIONS, 24)
    return Looks(np.stack(looks), np.array(below), names), np.array(soh), np.array(cell)


@pytest.fixture(scope="module")
def correction(campaign):
    return learn(*campaign)


def test_what_the_discharge_took_below_is_taken_off(campaign, correction):
    looks, soh, _ = campaign
    said = correction.predict(looks)
    assert said.mean == pytest.approx(soh, abs=0.003)
    assert said.in_domain.mean() > 0.9


def test_a_discharge_that_was_not_seen_leaves_more_doubt(campaign, correction):
    looks, soh, _ = campaign
    unseen = correction.predict(Looks(looks.statistics, np.full(len(soh), np.nan), looks.configuration))
    assert (unseen.std > 2 * correction.predict(looks).std).all()
    assert np.abs(unseen.mean - soh).max() < 0.05


def test_an_unknown_configuration_is_answered_out_of_domain(campaign, correction):
    looks, soh, _ = campaign
    said = correction.predict(Looks(looks.statistics, looks.below, np.full(len(soh), "moon")))
    assert not said.in_domain.any()
    assert np.isfinite(said.mean).all()
    assert np.isfinite(said.std).all()


def test_it_is_the_same_after_a_file(tmp_path, campaign, correction):
    correction.keep(tmp_path / "plain.safetensors")
    again = Correction.read(tmp_path / "plain.safetensors")
    for one, other in zip(again.predict(campaign[0]), correction.predict(campaign[0]), strict=True):
        assert one == pytest.approx(other, rel=1e-5)
