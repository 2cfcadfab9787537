import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from estimators.check import Evidence, Facts, Recording, Refusal, Standing, Trigger, ask
from estimators.multitask.check import ChargeEndCheck

CHECK = ChargeEndCheck()
XJTU_LIKE = Facts("made-up", "nmc", 2.0, 2.5, 4.2)


def recording(begin, volt, ampere):
    return Recording(begin, np.arange(float(len(volt))), volt, ampere, np.full(len(volt), 25.0))


def charge(last_ampere=0.05, facts=XJTU_LIKE):
    second = np.arange(1400.0)
    current = recording(0.0, 3.6 + 0.6 * (second / second[-1]) ** 0.9, np.full(1400, 4.0))
    ampere = 4.0 * np.exp(-np.arange(4000.0) / 600.0)
    ampere = ampere[ampere >= last_ampere]
    voltage = recording(1400.0, np.full(len(ampere), 4.2), ampere)
    end = 1400.0 + len(ampere)
    return Evidence(
        Trigger.CHARGE, 0.0, end, interrupted=False, facts=facts, standing=Standing(),
        constant_current=current, constant_voltage=voltage,
    )  # fmt: skip


def test_a_full_charge_gets_soh_cycles_left_and_fade_rate_each_with_how_sure():
    report = ask(CHECK, charge())
    assert report.refused is None
    assert set(report.values) == {"soh", "rul_cycle", "dccr"} == set(report.std)
    assert 0.6 < report.values["soh"] < 1.2
    assert all(std > 0 for std in report.std.values())


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (charge(last_ampere=0.6), Refusal.NOT_FULL_CHARGE),
        (charge(facts=replace(XJTU_LIKE, nominal_capacity_ah=50.0)), Refusal.UNKNOWN_CONFIGURATION),
        (charge(facts=replace(XJTU_LIKE, chemistry="lco")), Refusal.UNKNOWN_CONFIGURATION),
        (replace(charge(), constant_voltage=None), Refusal.NOTHING_RECORDED),
    ],
)
def test_poor_input_is_refused_with_its_reason(evidence, reason):
    report = ask(CHECK, evidence)
    assert report.refused == reason
    assert report.values == {}


def test_a_charge_unlike_any_is_told_to_be_out_of_domain():
    one = charge()
    slow = replace(one, constant_current=replace(one.constant_current, second=20.0 * one.constant_current.second))
    assert not ask(CHECK, slow).in_domain


def test_judging_needs_no_torch():
    ask = "import sys; from estimators.multitask.check import ChargeEndCheck; ChargeEndCheck(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", ask], check=True, capture_output=True, text=True).stdout.split()
    assert not {"torch", "sklearn"} & set(loaded)
