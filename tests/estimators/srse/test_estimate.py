"""One recording in, a number or a reason out."""

import time

import numpy as np
import pytest
import torch

from estimators.srse import features, saved
from estimators.srse.estimate import Known, configuration_of, estimate
from estimators.srse.estimate import read as read_weights
from estimators.srse.network import Srse
from estimators.srse.plain import Looks, learn
from estimators.srse.saved import Profile, Saved
from tests.estimators.srse.synthetic import full, recording

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def known() -> Known:
    """Corrections learnt from three cells in either of two configurations; a network that learnt nothing."""
    what = [(name, celsius, c) for name, celsius in (("24 C", 24.0), ("43 C", 43.0)) for c in np.linspace(1.6, 1.9, 9)]
    charges = [full(capacity_ah=c, celsius=celsius) for _, celsius, c in what]
    looks = Looks(
        np.stack([features.statistics(c) for c in charges]),
        np.full(18, np.nan),
        np.array([name for name, _, _ in what]),
    )
    plain = learn(
        looks, np.array([c / 2.0 for _, _, c in what]), np.array([f"{n} {i % 3}" for i, (n, _, _) in enumerate(what)])
    )
    torch.manual_seed(0)
    net = Srse(2, "mlp", len(features.CHANNELS), features.POINTS).eval()
    profiles = tuple(Profile(n, 2.0, 0.02, 3.55, 4.19, c, c, 0.74, 0.76) for n, c in (("24 C", 24.0), ("43 C", 43.0)))
    return Known(plain, Saved(net, "mlp", profiles, 0.2))


def test_a_full_charge_gives_soh_and_how_sure_it_is(known):
    said = estimate(known, *recording(capacity_ah=1.7), 2.0, "24 C")
    assert said.refused is None
    assert said.in_domain
    assert said.soh == pytest.approx(0.85, abs=0.01)
    assert 0 < said.std < 0.05


@pytest.mark.parametrize(
    ("what", "configuration", "reason"),
    [
        ({"begun_soc": 0.97}, "24 C", "too_short"),
        ({"begun_soc": 0.4}, "24 C", "not_full_charge"),
        ({"end_ampere": 0.9}, "24 C", "not_full_charge"),
        ({"celsius": 5.0}, "24 C", "temperature_out_of_domain"),
        ({}, "-10 C", "unknown_configuration"),
    ],
)
def test_poor_input_is_refused_with_a_reason(known, what, configuration, reason):
    said = estimate(known, *recording(**what), 2.0, configuration)
    assert said.refused == reason
    assert np.isnan(said.soh)
    assert not said.in_domain


@pytest.mark.parametrize("network", [False, True])
def test_an_unknown_configuration_is_answered_where_that_is_wanted(known, network):
    said = estimate(known, *recording(), 2.0, "-10 C", joint=True, network=network)
    assert np.isfinite(said.soh)
    assert not said.in_domain
    assert said.std > estimate(known, *recording(), 2.0, "24 C", network=network).std * 0.99


def test_a_charge_tells_its_configuration_by_temperature_and_rate(known):
    assert configuration_of(known, full(celsius=41.0)) == "43 C"
    assert configuration_of(known, full(celsius=5.0)) is None
    assert configuration_of(known, full(ampere=0.5)) is None


def test_weights_are_the_same_after_a_file(tmp_path, known):
    saved.save(known.network, tmp_path / "net.safetensors")
    again = saved.load(tmp_path / "net.safetensors")
    x = torch.as_tensor(features.curves(full()), dtype=torch.float32)[None]
    for one, other in zip(again.predict(x, ["43 C"]), known.network.predict(x, ["43 C"]), strict=True):
        assert one == pytest.approx(other)


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"net\.safetensors"):
        saved.load(path)


def test_what_is_shipped_judges_a_charge_in_milliseconds():
    shipped = read_weights()
    assert sum(p.stat().st_size for p in saved.FOLDER.iterdir()) < 1e6
    taken = []
    for _ in range(5):
        begun = time.perf_counter()
        said = estimate(shipped, *recording(celsius=26.0), 2.0, "24 C", network=True)
        taken.append(time.perf_counter() - begun)
    assert 0.3 < said.soh < 1.2
    assert min(taken) < 0.25
