"""A charge to full after a rest, made from the tables themselves: what is counted must be what went in."""

from dataclasses import replace

import numpy as np
import pytest

from estimators.cell_type import CellType
from estimators.check import Evidence, Facts, Recording, Refusal, RestEnd, Standing, Trigger, ask
from estimators.counted.check import CountedCheck

TYPE = CellType.load("generic-nca")
TABLES = TYPE.tables()
NOMINAL = TYPE.nominal_capacity_ah
FACTS = Facts(TYPE.name, TYPE.chemistry, NOMINAL, TYPE.voltage_min_volt, TYPE.voltage_max_volt, TABLES)


def at(table, soc, celsius=25.0):
    """A table at a SOC of present capacity."""
    nominal = 1.0 - (1.0 - soc) * TABLES.reference_soh[0]
    column = [np.interp(celsius, TABLES.temperature_celsius, row) for row in table]
    return float(np.interp(nominal, TABLES.soc, column))


def evidence(soh=0.85, soc=0.1, end_ampere=0.02 * NOMINAL, points=200, **changes):
    """Constant current from `soc` of present capacity to full, then a taper in the same recording's end."""
    ampere = np.full(points, 0.5 * NOMINAL)
    ampere[-points // 4 :] = np.linspace(0.5 * NOMINAL, end_ampere, points // 4)
    length = (1.0 - soc) * soh * NOMINAL * 3600.0 / ampere[:-1].mean()
    second = np.linspace(0.0, length, points)
    volt = np.linspace(3.4, TYPE.voltage_max_volt, points)
    rest = RestEnd(at(TABLES.ocv_volt, soc) - at(TABLES.hysteresis_volt, soc), 7_200.0, 25.0, "discharge")
    charge = Recording(1_000.0, second, volt, ampere, np.full(points, 25.0))
    made = Evidence(
        Trigger.CHARGE, 1_000.0, 1_000.0 + length, False, FACTS, Standing(), rest_before=rest, constant_current=charge
    )
    return replace(made, **changes)


@pytest.mark.parametrize("soh", [1.0, 0.85, 0.7])
@pytest.mark.parametrize("soc", [0.05, 0.2, 0.4])
def test_what_went_in_is_the_capacity(soh, soc):
    report = ask(CountedCheck(), evidence(soh, soc))
    assert report.refused is None
    assert abs(report.values["soh"] - soh) < 2.0 * report.std["soh"]
    assert report.values["soh"] == pytest.approx(soh, abs=0.02)
    assert report.values["capacity_ah"] == pytest.approx(report.values["soh"] * NOMINAL)


def test_a_short_rest_is_less_sure_than_a_long_one():
    long = evidence()
    short = replace(long, rest_before=replace(long.rest_before, length_second=400.0))
    assert ask(CountedCheck(), short).std["soh"] > ask(CountedCheck(), long).std["soh"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (evidence(rest_before=None), Refusal.NOTHING_RECORDED),
        (evidence(facts=replace(FACTS, tables=None)), Refusal.UNKNOWN_CONFIGURATION),
        (evidence(end_ampere=0.4 * NOMINAL), Refusal.NOT_FULL_CHARGE),
        (evidence(soc=0.8), Refusal.WINDOW_NOT_COVERED),
        (evidence(begin_second=0.0), Refusal.NOT_FULL_CHARGE),  # a first step was not recorded
        (replace(evidence(), rest_before=replace(evidence().rest_before, length_second=60.0)), Refusal.TOO_SHORT),
    ],
)
def test_what_cannot_be_counted_is_refused_with_the_reason(changed, reason):
    assert ask(CountedCheck(), changed).refused is reason


def test_it_wants_a_charge():
    assert ask(CountedCheck(), evidence(constant_current=None)).refused is Refusal.NOTHING_RECORDED
