import numpy as np
import pytest

from estimators.check import Refusal
from estimators.pulse.estimate import PulseModels, judge, name, named
from estimators.pulse.features import Configuration, inputs, resistances
from estimators.pulse.recognise import Flaw, recognise
from estimators.pulse.train import fit
from tests.estimators.pulse.made_up import played, table, voltages

KIND = Configuration("lmo", 20.0, 5000)
VOLT, SOH, _, CELL = table(cells=30)
MODELS = PulseModels(
    {name(KIND, v, "unknown", "varying"): fit(inputs(VOLT, v), SOH, CELL) for v in ("short", "whole", "ends")}
)
WEAK = voltages(np.array([0.7]), np.array([0.3]))[0]


@pytest.mark.parametrize(("points", "hertz", "view"), [(41, 100, "whole"), (21, 10, "short"), (41, 1, "ends")])
def test_a_recording_is_judged_by_what_it_shows(points, hertz, view):
    (train,) = recognise(*played(WEAK[:points], 20.0, hertz=hertz), 20.0)
    found = judge(MODELS, train, "lmo", 20.0)
    assert found.refused is None
    assert found.view == view
    assert found.in_domain
    assert found.soh == pytest.approx(0.7, abs=0.03)
    assert abs(found.soh - 0.7) < 3 * found.soh_std


def test_a_chemistry_a_capacity_or_a_width_that_nobody_trained_is_unknown():
    (train,) = recognise(*played(WEAK, 20.0), 20.0)
    (brief,) = recognise(*played(WEAK, 20.0, width_second=1.0), 20.0)
    assert judge(MODELS, train, "lfp", 20.0).refused == Refusal.UNKNOWN_CONFIGURATION
    assert judge(MODELS, train, "lmo", 26.0).refused == Refusal.UNKNOWN_CONFIGURATION
    assert judge(MODELS, brief, "lmo", 20.0).refused == Refusal.UNKNOWN_CONFIGURATION
    assert judge(MODELS, brief, "lmo", 20.0).resistances


def test_a_flawed_train_gets_no_number():
    (train,) = recognise(*played(WEAK, 20.0, cut=2), 20.0)
    found = judge(MODELS, train, "lmo", 20.0)
    assert found.refused == Flaw.PULSE_CUT_SHORT
    assert np.isnan(found.soh)


def test_voltages_like_no_cell_of_the_training_are_out_of_domain():
    (train,) = recognise(*played(WEAK + 1.0, 20.0), 20.0)
    assert not judge(MODELS, train, "lmo", 20.0).in_domain


def test_a_resistance_that_is_not_known_has_no_name():
    volt = WEAK.copy()
    volt[1::2] = np.nan
    assert sorted(named(resistances(volt[:21], 20.0))) == [
        *(f"charge_whole_{c}c_ohm" for c in ("0.5", "1.5", "1")),
        *(f"discharge_whole_{c}c_ohm" for c in ("0.5", "1")),
    ]
