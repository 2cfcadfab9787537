from itertools import pairwise

import numpy as np
import pytest

from daemon import models
from daemon.batch import BatchBuilder
from daemon.config import Cells, Config, Grid, PackRule
from daemon.errors import ConfigError, WeightsError
from daemon.fleet import Fleet
from daemon.models import Model
from daemon.rows import Flag, Rows
from daemon.wire import Reject
from estimators.contract import Second
from tests.daemon.counting import CAPACITY_AH, Counting, write_cell_type

DAY = 86_400.0


@pytest.fixture
def rule(tmp_path, monkeypatch):
    """A rule for all packs, whose estimator is `Counting` under each name."""
    for name in models.MODELS:
        fallback = models.MODELS[name].fallback
        monkeypatch.setitem(models.MODELS, name, Model(lambda t, n=name: Counting(t, n), fallback))
    return {"pattern": "*", "cell_type": write_cell_type(tmp_path / "counted")}


def config(rule, **cells):
    rules = rule if isinstance(rule, list) else [rule]
    return Config(cells=Cells(packs=[PackRule(**r) for r in rules], **cells))


def batch(*samples):
    """Make a batch of (cell, time, volt, ampere, celsius), celsius NaN where left out."""
    builder = BatchBuilder()
    for sample in samples:
        builder.add(*sample, *[np.nan] * (5 - len(sample)))
    return builder.build()


def steady(cell, seconds, volt=3.5, ampere=-1.0, celsius=25.0, start=0.0):
    return [(cell, start + i, volt, ampere, celsius) for i in range(seconds)]


def slot(fleet, cell):
    return fleet.names.index(cell) if cell in fleet.names else None


def rows_of(fleet, outputs, cell):
    rows = Rows.join([o.rows for o in outputs])
    mine = rows.cell == slot(fleet, cell)
    return [tuple(getattr(rows, n)[mine].tolist()) for n in Rows.__slots__ if n != "cell"]


def events_of(output, *kinds):
    return [e for _, e in output.events if e.kind in kinds]


def test_a_pushed_cell_gives_a_row_per_closed_second(rule):
    fleet = Fleet(config(rule), {"p/c": 0.5})
    rows = fleet.push(batch(*steady("p/c", 11))).rows
    assert rows.second.tolist() == list(range(10))
    assert rows.soc[-1] == pytest.approx(0.5 - 10 / 3600 / (0.9 * CAPACITY_AH))
    assert fleet.labels == ["coulomb"]
    assert fleet.flush().rows.second.tolist() == [10]
    assert (fleet.counters.accepted, fleet.counters.rows) == (11, 11)


def test_soc_is_taken_and_given_in_the_reference_that_was_asked(rule):
    nominal = Fleet(config(rule | {"soc_reference": "nominal"}), {"p/c": 0.5})
    rows = nominal.push(batch(*steady("p/c", 3600))).rows
    assert rows.soc[0] == pytest.approx(0.5, abs=1e-3)
    assert rows.soc[0] - rows.soc[-1] == pytest.approx(1 / CAPACITY_AH, rel=1e-3)
    assert rows.soh[0] == 0.9
    assert rows.soc_std[0] == 0.03  # that of the nominal SOC, which the estimator knows itself


def test_soc_stays_between_empty_and_full(rule):
    fleet = Fleet(config(rule), {"p/c": 0.999, "p/d": 0.001})
    rows = fleet.push(batch(*steady("p/c", 100, ampere=9.0), *steady("p/d", 100, ampere=-9.0))).rows
    assert (rows.soc.max(), rows.soc.min()) == (1.0, 0.0)


def test_a_source_of_the_other_sign_is_turned_round(rule):
    fleet = Fleet(config([{**rule, "pattern": "x*", "current_sign": -1}, rule]), {"x/c": 0.5, "p/c": 0.5})
    rows = fleet.push(batch(*steady("x/c", 100, ampere=1.0), *steady("p/c", 100, ampere=-1.0))).rows
    assert rows.soc[:99].tobytes() == rows.soc[99:].tobytes()


def test_a_missing_temperature_is_the_packs_latest_else_the_ambient(rule):
    class Thermometer(Counting):
        def step(self, state, second):
            state, estimate = super().step(state, second)
            estimate.soc_std[:] = second.temperature_celsius / 100
            return state, estimate

    models.MODELS["coulomb"] = Model(Thermometer)
    fleet = Fleet(config(rule | {"ambient_temperature_celsius": 15}))
    out = fleet.push(
        batch(
            ("p/a", 0, 3.5, 0),
            ("p/b", 0, 3.5, 0, 30),
            ("q/a", 0, 3.5, 0),
            ("p/a", 1, 3.5, 0),
            ("q/a", 1, 3.5, 0),
            ("p/b", 1, 3.5, 0, 40),
            ("p/b", 1, 3.5, 0, 99),
        )
    )
    out2 = fleet.push(batch(("p/a", 2, 3.5, 0), ("p/b", 2, 3.5, 0), ("p/a", 3, 3.5, 0), ("p/b", 3, 3.5, 0)))
    assert rows_of(fleet, [out, out2], "p/a")[2] == (0.15, 0.3, 0.4)  # the duplicate's 99 is nobody's
    assert set(rows_of(fleet, [out, out2], "p/a")[5]) == {Flag.TEMPERATURE_ASSUMED}
    assert rows_of(fleet, [out, out2], "q/a")[2] == (0.15,)
    assert rows_of(fleet, [out, out2], "p/b")[5] == (0, 0, Flag.TEMPERATURE_ASSUMED)


def test_the_temperature_is_the_same_however_samples_are_batched(rule):
    rng = np.random.default_rng(3)
    samples = [
        (f"p{rng.integers(3)}/c{rng.integers(4)}", float(i // 4), 3.5, -1.0, rng.choice([np.nan, 25.0, 30.0 + i]))
        for i in range(400)
    ]
    whole, single = Fleet(config(rule)), Fleet(config(rule))
    one = whole.push(batch(*samples)).rows
    many = Rows.join([single.push(batch(s)).rows for s in samples])
    assert len(one) > 100
    names = [n for n in Rows.__slots__ if n != "cell"]
    assert [getattr(one, n).tobytes() for n in names] == [getattr(many, n).tobytes() for n in names]
    assert [whole.names[i] for i in one.cell] == [single.names[i] for i in many.cell]


def test_a_stranger_is_refused_and_counted_or_adopted_as_configured(rule):
    samples = batch(("garage/c", 0, 3.5, 0), ("attic/c", 0, 3.5, 0), ("attic/c", 1, 3.5, 0))
    refusing = Fleet(config(rule | {"pattern": "garage"}))
    refusing.push(samples)
    assert refusing.counters.refused == {Reject.UNKNOWN_CELL: 2}
    assert (len(refusing), slot(refusing, "attic/c")) == (1, None)
    adopting = Fleet(config(rule | {"pattern": "garage"}, unknown="adopt", default_type=rule["cell_type"]))
    adopting.push(samples)
    assert len(adopting) == 2


def test_a_full_fleet_refuses_and_goes_on(rule):
    fleet = Fleet(config(rule, cells_max=20))
    out = fleet.push(batch(*(s for i in range(50) for s in steady(f"p/c{i}", 3))))
    assert len(fleet) == 20
    assert fleet.counters.refused == {Reject.FLEET_FULL: 90}
    assert len(out.rows) == 40


def test_a_cell_silent_for_long_gives_its_slot_to_another(rule):
    fleet = Fleet(config(rule, cells_max=2, retire_after_day=2))
    fleet.push(batch(("old/c", 0, 3.5, 0), ("p/c", 0, 3.5, 0)))
    place = slot(fleet, "old/c")
    for day in range(1, 3):
        fleet.push(batch(("p/c", day * DAY, 3.5, 0)))
    assert len(fleet) == 2
    for second in (1, 2, 3):
        fleet.push(batch(("p/c", 2 * DAY + second, 3.5, 0)))
    assert (len(fleet), slot(fleet, "old/c")) == (1, None)
    rows = fleet.push(batch(*steady("new/c", 3, start=2 * DAY))).rows
    assert (len(fleet), slot(fleet, "old/c"), slot(fleet, "new/c")) == (2, None, place)
    assert fleet.counters.retired == 1
    assert rows.flags.tolist() == [0, 0]


def test_one_wrong_clock_retires_nobody(rule):
    fleet = Fleet(config(rule, retire_after_day=1))
    fleet.push(batch(("p/c", 1e9, 3.5, 0)))
    fleet.push(batch(("p/wrong", 4e9, 3.5, 0), ("p/wrong", 4e9 + 1, 3.5, 0)))
    fleet.push(batch(("p/c", 1e9 + 1, 3.5, 0)))
    assert fleet.counters.retired == 0


def test_the_policy_after_a_gap_keeps_a_resting_cell_and_begins_another_anew(rule):
    fleet = Fleet(config(rule), {"p/rest": 0.5, "p/load": 0.5})
    first = [*steady("p/rest", 2, ampere=0.01), *steady("p/load", 2, ampere=-1.0)]
    after = [*steady("p/rest", 3, ampere=0.0, start=1000), *steady("p/load", 3, volt=3.2, ampere=0.0, start=1000)]
    out = fleet.push(batch(*first, *after))
    second, soc, _, _, _, flags, _ = rows_of(fleet, [out], "p/rest")
    assert (second, flags) == ((0, 1, 1000, 1001), (0, 0, 0, 0))
    assert soc[-1] == pytest.approx(0.5, abs=1e-5)
    second, soc, _, _, _, flags, _ = rows_of(fleet, [out], "p/load")
    assert (second, flags) == ((0, 1, 1000, 1001), (0, 0, Flag.REINITIALISED, 0))
    assert soc[-1] == pytest.approx(0.2)
    assert fleet.counters.gaps == 2
    assert [(e.kind, e.unix_time_second, e.begin_second, e.detail) for e in events_of(out, "stale", "resumed")] == [
        ("stale", 31.0, 1.0, {}),
        ("resumed", 1000.0, 1.0, {"gap_second": 999.0, "policy": "kept"}),
        ("stale", 31.0, 1.0, {}),
        ("resumed", 1000.0, 1.0, {"gap_second": 999.0, "policy": "reinitialised"}),
    ]


def test_a_clock_jump_is_told_once_and_marks_the_row(rule):
    fleet = Fleet(config(rule))
    far = [("p/c", 1e8 + i, 3.5, -1.0, 25.0) for i in range(5)]
    out = fleet.push(batch(*steady("p/c", 3), *far, *steady("p/c", 3, start=3)))
    assert [(e.unix_time_second, e.detail) for e in events_of(out, "clock")] == [(2.0, {"jump_second": 1e8 - 2})]
    assert out.rows.flags.tolist() == [0, 0, Flag.CLOCK, 0, 0]
    assert fleet.counters.clock == 5


def test_a_state_begun_anew_is_told_when_the_filter_speaks_too(rule):
    fleet = Fleet(config(rule | {"estimator": "cross_stitch"}))
    hot = steady("p/c", 3, celsius=80.0, start=1000)
    rows = fleet.push(batch(*steady("p/c", 2), *hot)).rows
    falls = Flag.FALLBACK | Flag.OUT_OF_DOMAIN
    assert rows.flags.tolist() == [0, 0, falls | Flag.REINITIALISED, falls]


def test_after_the_end_of_a_log_its_last_second_is_not_stepped_again(rule):
    fleet = Fleet(config(rule))
    fleet.push(batch(*steady("p/c", 3)))
    fleet.flush()
    out = fleet.push(batch(("p/c", 2.5, 3.5, 0), ("p/c", 3.0, 3.5, 0), ("p/c", 4.0, 3.5, 0)))
    assert out.rows.second.tolist() == [3]
    assert fleet.counters.late == 1


@pytest.mark.parametrize(("volt", "celsius"), [(3.5, 80.0), (0.5, 25.0)])
def test_out_of_domain_or_not_finite_lets_the_filter_speak_for_the_network(rule, volt, celsius, monkeypatch):
    class Robust(Counting):
        def step(self, state, second):
            volt = np.maximum(second.voltage_volt, 3.1)
            return super().step(state, Second(volt, second.current_ampere, np.full_like(volt, 25.0)))

    monkeypatch.setitem(models.MODELS, "ekf", Model(lambda t: Robust(t, "ekf")))
    fleet = Fleet(config(rule | {"estimator": "cross_stitch"}))
    bad = steady("p/c", 2, volt, -1.0, celsius, start=3)
    rows = fleet.push(batch(*steady("p/c", 3), *bad, *steady("p/c", 3, start=5))).rows
    assert [fleet.labels[i] for i in rows.estimator] == ["cross_stitch"] * 3 + ["ekf"] * 2 + ["cross_stitch"] * 2
    assert all(f & Flag.FALLBACK and f & Flag.OUT_OF_DOMAIN for f in rows.flags[3:5].tolist())
    assert not any(f & Flag.FALLBACK for f in rows.flags[[0, 1, 2, 5, 6]].tolist())
    assert np.isfinite(rows.soc).all()


def test_an_absurd_row_does_not_leave_and_does_not_stick(rule):
    fleet = Fleet(config(rule), {"p/c": 0.9, "p/d": 0.9})
    bad = [*steady("p/c", 3), *steady("p/c", 2, volt=0.5, start=3), *steady("p/c", 3, start=5)]
    rows = fleet.push(batch(*bad, *steady("p/d", 8))).rows
    mine = rows.cell == slot(fleet, "p/c")
    assert rows.second[mine].tolist() == [0, 1, 2, 5, 6]
    assert rows.flags[mine].tolist() == [0, 0, 0, Flag.REINITIALISED, 0]
    assert rows.soc[mine][-1] == pytest.approx(0.5, abs=1e-3)
    assert fleet.counters.absurd == 2
    assert len(rows.soc[~mine]) == 7


def test_an_unknown_cell_type_or_one_without_weights_is_refused_at_the_start(tmp_path):
    with pytest.raises(ConfigError, match="no cell type `nowhere`"):
        Fleet(config({"pattern": "*", "cell_type": "nowhere"}))
    with pytest.raises(WeightsError, match="no usable ekf"):
        Fleet(config({"pattern": "*", "cell_type": write_cell_type(tmp_path / "bare"), "estimator": "ekf"}))


def test_arrays_grow_without_touching_what_is_in_them(rule):
    fleet = Fleet(config(rule), {"p/first": 0.5})
    outputs = [fleet.push(batch(*steady("p/first", 5)))]
    fleet.push(batch(*(s for i in range(300) for s in steady(f"p/c{i}", 2))))
    outputs.append(fleet.push(batch(*steady("p/first", 5, start=5))))
    soc = rows_of(fleet, outputs, "p/first")[1]
    assert len(soc) == 9
    assert all(b < a for a, b in pairwise(soc))


def test_an_empty_batch_gives_nothing(rule):
    out = Fleet(config(rule)).push(batch())
    assert (len(out.rows), out.events) == (0, [])


def test_the_longest_bridged_gap_is_the_packs_else_the_grids(rule):
    cells = Cells(packs=[PackRule(**rule | {"pattern": "slow", "max_hold_second": 100}), PackRule(**rule)])
    fleet = Fleet(Config(cells=cells, grid=Grid(max_hold_second=5.0)))
    out = fleet.push(batch(("p/c", 0, 3.5, 0), ("p/c", 6, 3.5, 0), ("slow/c", 0, 3.5, 0), ("slow/c", 100, 3.5, 0)))
    assert len(rows_of(fleet, [out], "p/c")[0]) == 1
    assert len(rows_of(fleet, [out], "slow/c")[0]) == 100
