from dataclasses import replace

import numpy as np
import pytest

from estimators.check import Evidence, Facts, Needs, Recording, Refusal, Report, Standing, Trigger, ask, wanted

FACTS = Facts("generic-nmc", "nmc", 3.0, 2.5, 4.2)
NEEDS = Needs(
    frozenset({Trigger.REST}),
    {"constant_current": 600.0, "rest": 300.0},
    frozenset({"charge"}),
    (0.0, 45.0),
    frozenset({"nmc", "nca"}),
)


class Agreeing:
    name, model = "agreeing", "agreeing-1"

    def __init__(self, needs=NEEDS):
        self.needs = needs

    def run(self, evidence):
        return Report(self.name, self.model, {"soh": 0.9})


def recording(seconds, celsius=25.0, interrupted=False, step=10.0):
    second = np.append(np.arange(0.0, seconds - 1, step), seconds - 1)
    one = np.ones(len(second))
    return Recording(1000.0, second, 4.0 * one, 1.8 * one, celsius * one, interrupted)


def evidence(**other):
    seen = {"constant_current": recording(3600), "rest": recording(1800), "rest_after": "charge"} | other
    return Evidence(Trigger.REST, 1000.0, 2800.0, False, FACTS, Standing(), **seen)


def test_a_recording_knows_its_length_and_its_charge():
    seen = recording(3601)
    assert seen.length_second == 3601.0
    assert seen.charge_ah[-1] == pytest.approx(1.8)
    uneven = replace(seen, second=seen.second[::7], **{n: getattr(seen, n)[::7] for n in ("current_ampere",)})
    assert uneven.charge_ah[-1] == pytest.approx(1.8 * uneven.second[-1] / 3600)


def test_a_check_is_wanted_for_its_own_phases_only():
    assert wanted(NEEDS, Trigger.REST, "charge")
    assert not wanted(NEEDS, Trigger.REST, "discharge")
    assert not wanted(NEEDS, Trigger.CYCLE, "charge")


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (evidence(), None),
        (evidence(rest=None), Refusal.NOTHING_RECORDED),
        (evidence(rest_after="discharge"), Refusal.NOTHING_RECORDED),
        (evidence(rest=recording(200)), Refusal.TOO_SHORT),
        (evidence(constant_current=recording(3600, interrupted=True)), Refusal.INTERRUPTED),
        (evidence(rest=recording(1800, celsius=-5.0)), Refusal.TEMPERATURE_OUT_OF_DOMAIN),
        (replace(evidence(), facts=replace(FACTS, chemistry="lfp")), Refusal.UNKNOWN_CONFIGURATION),
    ],
)
def test_what_all_checks_refuse_has_a_reason(seen, reason):
    assert ask(Agreeing(), seen).refused == reason


def test_a_check_may_read_what_was_cut_off():
    cut = evidence(rest=recording(1800, interrupted=True))
    assert ask(Agreeing(), cut).refused == Refusal.INTERRUPTED
    assert ask(Agreeing(replace(NEEDS, interrupted=True)), cut).values == {"soh": 0.9}
