import numpy as np
import pytest

from daemon.batch import Batch
from daemon.config import Cells, Config, PackRule
from daemon.fleet import Fleet
from estimators.check import Trigger

CURRENT = [0.0] * 90 + [1.5] * 600 + [0.0] * 300
NAMES = ("p/a", "p/b")


class Collecting:
    """In the place of the examiner: keeps what it is asked about."""

    def __init__(self):
        self.closings = []

    def ask(self, closing, due_step):
        self.closings.append(closing)

    def collect(self, is_due):
        return []


def fleet():
    rule = PackRule(pattern="*", cell_type="generic-nmc", estimator="coulomb")
    asked = Collecting()
    return Fleet(Config(cells=Cells(packs=[rule])), dict.fromkeys(NAMES, 0.4), asked), asked.closings


def batch(name, current, start=0):
    n = len(current)
    second = start + np.arange(float(n))
    volt = 3.6 + 0.0005 * second
    return Batch((name,), np.zeros(n, np.int32), second, volt, np.array(current), np.full(n, 25.0))


def test_a_fleet_hands_out_each_phase_that_is_over_with_how_the_cell_stood():
    ours, closings = fleet()
    output = ours.push(batch("p/a", CURRENT))
    first, stage, charge = closings
    assert [c.phase.trigger for c in closings] == [Trigger.REST, Trigger.CONSTANT_CURRENT, Trigger.CHARGE]
    evidence = charge.evidence()
    assert (charge.cell, evidence.begin_second, evidence.end_second) == ("p/a", 90.0, 690.0)
    assert (evidence.facts.cell_type, evidence.facts.chemistry) == ("generic-nmc", "nmc")
    row = np.flatnonzero(output.rows.second == charge.phase.second)[0]
    assert evidence.standing.soc == output.rows.soc[row]
    assert evidence.standing.soh_std == output.rows.soh_std[row]
    assert evidence.standing.throughput_ah == pytest.approx(0.25)
    assert evidence.standing.equivalent_full_cycles == pytest.approx(0.25 / 6.0)
    assert evidence.constant_current.charge_ah[-1] == pytest.approx(0.25, rel=0.01)
    ours.flush()
    (rest,) = closings[3:]
    assert (rest.phase.trigger, rest.evidence().rest_after) == (Trigger.REST, "charge")
    assert (first.evidence().rest_after, stage.evidence().interrupted) == ("unknown", False)


def test_what_a_phase_holds_does_not_change_when_the_cell_goes_on():
    ours, closings = fleet()
    ours.push(batch("p/a", CURRENT))
    closing = closings[1]
    before = closing.evidence().constant_current
    ours.push(batch("p/a", [2.0] * 900, start=len(CURRENT)))
    after = closing.evidence().constant_current
    assert before.voltage_volt.tobytes() == after.voltage_volt.tobytes()
    assert before.begin_second == after.begin_second == 90.0


def test_a_gap_hands_out_what_it_cut_off_and_leaves_other_cells_alone():
    ours, closings = fleet()
    ours.push(batch("p/a", CURRENT[:400]))
    closings.clear()
    ours.push(batch("p/b", [0.0] * 200))
    assert closings == []
    gap = ours.push(batch("p/a", [0.0] * 100, start=10_000))
    assert {(c.phase.trigger, c.phase.interrupted) for c in closings} == {
        (Trigger.CONSTANT_CURRENT, True),
        (Trigger.CHARGE, True),
    }
    assert {e.detail.get("interrupted") for _, e in gap.events if e.phase == "end"} == {1.0}
