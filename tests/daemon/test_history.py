"""daemon/history.py: bounded, thinned evenly, and the same after a restart."""

import numpy as np
import pytest

from daemon import memory
from daemon.batch import Batch
from daemon.config import Cells, Config, PackRule
from daemon.fleet import Fleet
from daemon.history import DAY_SECOND, POINTS, Measured, Week
from daemon.publish import Publisher
from daemon.slots import grow
from estimators.cell_type import CellType
from estimators.check import Facts, Standing, ask
from estimators.early_life.check import FirstCyclesCheck
from tests.daemon.events.test_discharges import cycle, cycles
from tests.daemon.events.test_phases import Collecting
from tests.daemon.events.watching import watch

ONE = np.array([0])


def lived(cycles, every=1):
    kept = Measured()
    grow(kept, 2)
    for number in range(cycles):
        if number % every == 0:
            kept.put(ONE, np.array([3.0 - 1e-3 * number]), np.array([1.0]), np.array([25.0]))
        kept.deep[ONE] = True
        kept.complete(ONE)
    return kept


@pytest.mark.parametrize(("cycles", "period"), [(300, 1), (POINTS + 1, 2), (1_300, 4)])
def test_capacities_stay_at_their_cycles_however_many_there_are(cycles, period):
    told = lived(cycles).told(0)
    assert len(told.cycle) == -(-cycles // period)
    np.testing.assert_allclose(told.capacity_ah, 3.0 - 1e-3 * (told.cycle - 1), atol=1e-6)
    assert set(np.diff(told.cycle)) == {period}
    assert told.complete == cycles
    assert told.c_rate.tolist() == [1.0] * len(told.cycle)


def test_cycles_without_a_capacity_leave_a_place_free():
    told = lived(100, every=10).told(0)
    assert told.cycle.tolist() == [1.0 + 10 * k for k in range(10)]
    sparse = lived(1_000, every=50).told(0)
    np.testing.assert_allclose(sparse.capacity_ah, 3.0 - 1e-3 * (sparse.cycle - 1), atol=2e-3)


def test_one_cell_s_capacities_leave_another_s_alone():
    assert not len(lived(600).told(1).cycle)


def test_a_week_forgets_what_is_older():
    week = Week()
    grow(week, 1)
    for day in range(9):
        values = np.array([[10.0 * day, 3.0, np.nan]])
        for second in range(5):
            week.add(ONE, np.array([day * DAY_SECOND + second]), values, np.array([[True, day < 2, False]]))
    told = week.told(0, 8 * DAY_SECOND + 5, 3.0)
    assert told.temperature_celsius == pytest.approx(50.0)
    assert np.isnan(told.charge_c_rate)  # only of the first two days
    assert np.isnan(told.discharge_c_rate)
    assert week.told(0, 8 * DAY_SECOND - 5, 3.0).temperature_celsius == pytest.approx(45.0)


def test_the_two_hundredth_capacity_of_a_prototype_tells_its_life():
    nominal, ampere = 1.1, 5.0
    seeing, bounds = watch()
    bounds = bounds._replace(nominal_capacity_ah=np.array([nominal]), rest_ampere=np.array([0.02 * nominal]))
    for number in range(199):
        seeing.measured.put(ONE, np.array([1.06 - 1e-4 * number]), np.array([ampere / nominal]), np.array([25.0]))
        seeing.measured.complete(ONE)
    seen = seeing.see(cycles(cycle(1.04, ampere=-ampere)), bounds)
    (phase,) = [p for p in seen.phases if p.trigger == "capacity"]
    report = ask(FirstCyclesCheck(), phase.evidence(Facts("prototype", "nmc", nominal, 2.5, 4.2), Standing()))
    assert report.refused is None
    assert (report.quality["cycles"], report.quality["measured"]) == (200.0, 1.0)
    assert 0.7 < report.values["capacity_ah"] < 1.04
    assert report.trajectories["horizon_cycle"][-1] == 800.0


def test_a_restart_in_the_midst_of_a_discharge_leaves_no_trace():
    kind = CellType.load("generic-nmc")
    config = Config(cells=Cells(packs=[PackRule(pattern="*", cell_type=kind.name, estimator="coulomb")]))
    current, volt = (np.concatenate(parts) for parts in zip(cycle(), cycle(), strict=True))
    low, high = kind.voltage_min_volt, kind.voltage_max_volt
    volt = low + (volt - 2.5) / 1.7 * (high - low)
    second = np.arange(float(len(current)))

    cuts = (1_500, 2_500, 5_600)

    def through(restarts):
        asked = Collecting()
        fleet, publisher, told = Fleet(config, None, asked), Publisher(config), []
        for begin, end in zip([0, *cuts], [*cuts, len(second)], strict=True):
            rows = slice(begin, end)
            columns = (second[rows], volt[rows], current[rows], np.full(end - begin, 25.0))
            told += fleet.push(Batch(("p/a",), np.zeros(end - begin, np.int32), *columns)).events
            kept = memory.take(fleet, publisher)
            if restarts:
                fleet = Fleet(config, None, asked)
                memory.put(kept, fleet, publisher)
        return told, kept, [c.evidence() for c in asked.closings]

    told, kept, seen = through(restarts=False)
    again, after, seen_again = through(restarts=True)
    assert [e.kind for _, e in told].count("capacity") == 2
    assert told == again
    assert {n: a.tobytes() for n, a in kept.arrays.items()} == {n: a.tobytes() for n, a in after.arrays.items()}
    histories = [[e.history.capacities.capacity_ah.tobytes() for e in some] for some in (seen, seen_again)]
    assert histories[0] == histories[1]
