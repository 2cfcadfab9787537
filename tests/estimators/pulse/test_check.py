import numpy as np
import pytest

from estimators.check import Evidence, Facts, Recording, Refusal, Standing, Trigger, ask, wanted
from estimators.pulse.check import PulseCheck
from estimators.pulse.estimate import WEIGHTS, PulseModels, name
from estimators.pulse.features import Configuration, inputs
from estimators.pulse.train import fit
from tests.estimators.pulse.made_up import on_the_grid, played, table, voltages

KIND = Configuration("lmo", 20.0, 5000)
VOLT, SOH, _, CELL = table(cells=30)
MODELS = PulseModels({name(KIND, "ends", "unknown", "varying"): fit(inputs(VOLT, "ends"), SOH, CELL)})
WEAK = voltages(np.array([0.7]), np.array([0.3]))[0]
CHECK = PulseCheck(models=MODELS)
BEGIN = 1.7e9


def evidence(volt, rest_second=660.0, **played_as):
    """What the service keeps: from a second before the first pulse, half a minute after each, and the last before."""
    second, voltage, ampere = on_the_grid(*played(volt, 20.0, rest_second=660.0, **played_as))
    pulse = np.flatnonzero(np.abs(ampere) > 1.0)
    near = np.unique(np.concatenate([pulse + k for k in range(-1, 31)]))
    near = near[near < len(second)]
    recording = Recording(BEGIN, second[near] - second[near[0]], voltage[near], ampere[near], np.full(len(near), 25.0))
    rest = Recording(BEGIN - rest_second, np.arange(9.0), np.full(9, 3.5), np.zeros(9), np.full(9, 25.0))
    facts = Facts("made-up", "lmo", 20.0, 2.5, 4.2)
    return Evidence(Trigger.PULSES, BEGIN, BEGIN + 1000, False, facts, Standing(), rest=rest, pulses=recording)


def test_the_check_says_soh_resistances_and_that_it_saw_only_ends():
    seen = evidence(WEAK)
    assert wanted(CHECK.needs, seen.trigger, seen.rest_after)
    report = ask(CHECK, seen)
    assert report.refused is None
    assert report.values["soh"] == pytest.approx(0.7, abs=0.08)
    assert report.std["soh"] > 0.0
    assert report.quality == {"only_ends": 1.0, "width_ms": 5000.0}
    assert "charge_whole_0.5c_ohm" in report.values
    assert "charge_ohmic_0.5c_ohm" not in report.values


def test_the_check_refuses_with_a_reason_of_the_house():
    assert ask(CHECK, evidence(WEAK, cut=1)).refused == Refusal.PULSES_DO_NOT_FIT
    assert ask(CHECK, evidence(WEAK, rest_second=30.0)).refused == Refusal.PULSES_DO_NOT_FIT
    seen = evidence(WEAK)
    pulses = seen.pulses
    still = Recording(BEGIN, pulses.second, pulses.voltage_volt, 0 * pulses.second, pulses.temperature_celsius)
    cold = Recording(BEGIN, pulses.second, pulses.voltage_volt, pulses.current_ampere, 0 * pulses.second)
    for recording, reason in (
        (still, Refusal.PULSES_DO_NOT_FIT),
        (cold, Refusal.TEMPERATURE_OUT_OF_DOMAIN),
        (None, Refusal.NOTHING_RECORDED),
    ):
        one = Evidence(Trigger.PULSES, BEGIN, BEGIN + 1, False, seen.facts, seen.standing, pulses=recording)
        assert ask(CHECK, one).refused == reason


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="no weights: bmsd train pulse")
def test_the_shipped_weights_know_no_such_cell():
    check = PulseCheck()
    assert check.model.startswith("varying-")
    assert ask(check, evidence(WEAK)).refused == Refusal.UNKNOWN_CONFIGURATION
