import numpy as np
import pytest

from estimators.early_life.features import CHARGES, KINETIC, NAMES, THERMODYNAMIC, in_cycle

CURRENTS = np.array([0.4, 3.3, 3.2, 3.1, 2.6, 2.2, 2.0, 1.5, 0.4])
OHM, VOLT_PER_AH, STEP = 0.02, 0.8, 100


def recording(lead=0, currents=CURRENTS, rest=300):
    """An ohmic cell whose voltage rises with charge, and falls by 10 mV at rest with a time constant of 60 s."""
    current = np.concatenate([np.zeros(lead), np.repeat(currents, STEP), np.zeros(rest)])
    volt = 3.2 + VOLT_PER_AH * np.cumsum(current) / 3600.0 + OHM * current
    volt[len(current) - rest :] += 0.01 * np.exp(-np.arange(rest) / 60.0)
    return np.arange(len(current), dtype=float), volt, current


def named(features):
    return dict(zip(NAMES, features, strict=True))


def test_features_are_what_their_names_say():
    f = named(in_cycle(*recording()))
    charge = np.cumsum(CURRENTS) * STEP / 3600.0
    np.testing.assert_allclose([f[f"q_{k}_ah"] for k in range(1, 10)], charge, rtol=1e-9)
    np.testing.assert_allclose([f[f"ro_{k}_ohm"] for k in range(1, 9)], OHM, atol=0.03)
    rise = VOLT_PER_AH * CURRENTS / 3600.0
    np.testing.assert_allclose([f[f"vg_{k}_volt_per_second"] for k in range(1, 9)], rise[:8], rtol=1e-6)
    np.testing.assert_allclose([f[f"rl_{k}_ohm"] for k in range(1, 10)], rise * (STEP - 1) / CURRENTS, rtol=1e-6)
    assert f["vg_2_to_1"] == pytest.approx(3.3 / 0.4)
    assert f["vc_89_volt"] == pytest.approx(OHM * (0.4 - 1.5) + rise[8])
    assert f["re_vc_volt"] == pytest.approx(OHM * 0.4 - 0.01)
    assert f["re_vd_volt"] == pytest.approx(0.01, rel=0.02)
    assert f["t_re_vd_second"] == pytest.approx(60 * np.log(5), abs=3)


def test_a_rest_before_the_charge_changes_nothing():
    np.testing.assert_allclose(in_cycle(*recording(lead=50))[2:], in_cycle(*recording())[2:], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "other", [recording(currents=CURRENTS[:8]), recording(rest=0), recording(currents=-CURRENTS), ([], [], [])]
)
def test_what_is_no_nine_step_charge_has_no_features(other):
    assert in_cycle(*map(np.asarray, other)) is None


def test_a_step_that_is_over_at_once_still_counts():
    second, volt, current = recording()
    keep = np.ones(len(second), bool)
    keep[STEP + 1 : 2 * STEP] = False
    found = in_cycle(np.arange(keep.sum(), dtype=float), volt[keep], current[keep])
    assert np.isfinite(found).all()
    assert named(found)["vg_2_volt_per_second"] == 0.0


def test_every_feature_is_either_thermodynamic_or_kinetic():
    assert len(NAMES) == len(set(NAMES)) == 42
    assert sorted((*THERMODYNAMIC, *KINETIC)) == list(range(42))
    assert set(CHARGES) < set(THERMODYNAMIC)
