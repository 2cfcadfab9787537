"""daemon/outbox.py: what waits, for whom, how long."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from daemon.config import Outbox as Rule
from daemon.errors import JournalError
from daemon.journal import Position
from daemon.outbox import Outbox
from daemon.parcel import Parcel, decode, encode
from daemon.sinks.contract import Refused
from daemon.wire import Event, Health, State

DAY = 86_400.0


def parcel(first: int, count: int = 10, text: str = "") -> Parcel:
    states = [
        (f"p0/c{k}", State(float(k), 0.5, 0.01, 0.9, 0.02, f"ekf-1{text}", [])) for k in range(first, first + count)
    ]
    return Parcel(states, [("p0/c0", Event(float(first), "rest", "begin", 0.0, {"c_rate": 0.5, "why": "x"}))])


def seconds(found: tuple[int, Parcel] | None) -> list[float]:
    assert found is not None
    return [state.unix_time_second for _, state in found[1].states]


@pytest.fixture
def outbox(tmp_path):
    with closing(Outbox(tmp_path, Rule(keep_byte=1_048_576), ["a", "b"])) as outbox:
        yield outbox


def test_parcels_come_back_whole_and_in_order_some_at_a_time(outbox):
    for k in range(4):
        outbox.add(parcel(10 * k), 0.0)
    upto, first = outbox.next("a", 1)
    assert first == parcel(0)
    assert seconds(outbox.next("a", 20)) == [float(k) for k in range(20)]
    outbox.done("a", upto, [], 0.0)
    assert seconds(outbox.next("a", 10_000)) == [float(k) for k in range(10, 40)]


def test_each_sink_has_a_pace_of_its_own(outbox):
    outbox.add(parcel(0), 0.0)
    outbox.done("a", outbox.next("a", 100)[0], [], 0.0)
    assert outbox.next("a", 100) is None
    assert len(seconds(outbox.next("b", 100))) == 10
    assert {name: w.items for name, w in outbox.waiting().items()} == {"a": 0, "b": 11}
    assert outbox.delivered == {"a": 11}


def test_what_every_sink_has_is_deleted(outbox, tmp_path):
    outbox.add(parcel(0), 0.0)
    for sink in ("a", "b"):
        outbox.done(sink, outbox.next(sink, 100)[0], [], 0.0)
    with closing(sqlite3.connect(tmp_path / "outbox.sqlite")) as file:
        assert file.execute("SELECT count(*) FROM parcel").fetchone() == (0,)


def test_what_waits_outlives_the_service(tmp_path):
    with closing(Outbox(tmp_path, Rule(), ["a"])) as outbox:
        outbox.add(parcel(0), 0.0)
        outbox.add(parcel(10), 0.0)
        outbox.done("a", outbox.next("a", 1)[0], [], 0.0)
    with closing(Outbox(tmp_path, Rule(), ["a"])) as outbox:
        assert seconds(outbox.next("a", 100)) == [float(k) for k in range(10, 20)]
        assert outbox.waiting()["a"].items == 11


def test_a_new_sink_begins_now_and_one_that_is_gone_holds_nothing_up(tmp_path):
    with closing(Outbox(tmp_path, Rule(), ["a", "gone"])) as outbox:
        outbox.add(parcel(0), 0.0)
    with closing(Outbox(tmp_path, Rule(), ["a", "new"])) as outbox:
        assert outbox.next("new", 100) is None
        outbox.done("a", outbox.next("a", 100)[0], [], 0.0)
        assert outbox._database.run("SELECT count(*) FROM parcel").fetchone() == (0,)
        outbox.add(parcel(10), 0.0)
        assert len(seconds(outbox.next("new", 100))) == 10


def test_too_much_drops_the_oldest_and_counts_it(outbox):
    for k in range(300):
        outbox.add(parcel(10 * k, text="x" * 1_000), 0.0)
    before = outbox.waiting()["a"]
    assert before.bytes > 1_048_576
    while outbox.trim(0.0):
        pass
    after = outbox.waiting()["a"]
    assert after.bytes <= 1_048_576
    assert outbox.dropped == {"a": before.items - after.items, "b": before.items - after.items}
    assert len(seconds(outbox.next("a", 10**9))) > 0
    assert seconds(outbox.next("a", 1))[0] > 0.0


def test_what_is_too_old_is_dropped_and_what_is_not_stays(tmp_path):
    with closing(Outbox(tmp_path, Rule(keep_day=1.0), ["a"])) as outbox:
        outbox.add(parcel(0), 0.0)
        outbox.add(parcel(10), 0.5 * DAY)
        assert outbox.trim(1.2 * DAY) == 11
        assert outbox.trim(1.2 * DAY) == 0
        assert seconds(outbox.next("a", 100)) == [float(k) for k in range(10, 20)]
        assert outbox.waiting()["a"].items == 11


def test_what_was_dropped_while_it_was_on_its_way_is_not_counted_twice(tmp_path):
    with closing(Outbox(tmp_path, Rule(keep_day=1.0), ["a"])) as outbox:
        outbox.add(parcel(0), 0.0)
        upto, _ = outbox.next("a", 100)
        assert outbox.trim(2 * DAY) == 11
        outbox.done("a", upto, [], 2 * DAY)
        assert outbox.dropped == {"a": 11}
        assert outbox.delivered["a"] == 0
        assert outbox.waiting()["a"] == (0, 0)


def test_what_a_sink_refused_is_set_aside_with_its_reason_and_bounded(outbox):
    outbox.add(parcel(0), 0.0)
    outbox.done("a", outbox.next("a", 100)[0], [Refused("line 1", "400 no")], 5.0)
    assert (outbox.delivered["a"], outbox.refused["a"]) == (10, 1)
    kept = outbox._database.run("SELECT sink, second, why, item FROM refused").fetchall()
    assert kept == [("a", 5.0, "400 no", "line 1")]
    outbox.add(parcel(0, 2_000), 0.0)
    outbox.done("a", outbox.next("a", 1)[0], [Refused("line", "400 no")] * 1_500, 5.0)
    assert outbox._database.run("SELECT count(*) FROM refused").fetchone() == (1_000,)


def test_a_damaged_parcel_is_left_out_and_a_damaged_file_set_aside(tmp_path, caplog):
    with closing(Outbox(tmp_path, Rule(), ["a"])) as outbox:
        for k in range(3):
            outbox.add(parcel(10 * k), 0.0)
        outbox._database.run("UPDATE parcel SET body = x'00' WHERE id = 2")
        assert seconds(outbox.next("a", 100)) == [*(float(k) for k in range(10)), *(float(k) for k in range(20, 30))]
        assert outbox.dropped == {"a": 11}
        assert outbox.waiting()["a"].items == 22
    (tmp_path / "outbox.sqlite").write_bytes(b"no database" * 1_000)
    with closing(Outbox(tmp_path, Rule(), ["a"])) as outbox:
        assert outbox.next("a", 100) is None
        outbox.add(parcel(0), 0.0)
        assert len(seconds(outbox.next("a", 100))) == 10
    assert len(list(tmp_path.glob("outbox.sqlite.damaged-*"))) >= 1


def test_halves_part_any_parcel_and_lose_nothing():
    for count in range(1, 6):
        reports = [(f"p0/c{k}", Health(0.0, "rest", "svr-1", "rest", 0.0, {"soh": 0.9})) for k in range(count)]
        whole = Parcel(parcel(0, count).states, parcel(0, count).events, reports)
        while len(whole) > 1:
            first, second = whole.halves()
            assert 0 < len(first) < len(whole)
            assert Parcel.join([first, second]) == whole
            assert decode(encode(whole)) == whole
            whole = second


def test_it_knows_the_block_that_brought_about_the_newest_parcel_after_a_restart_too(tmp_path):
    with closing(Outbox(tmp_path, Rule(), ["a"])) as outbox:
        assert outbox.position == Position()
        outbox.add(parcel(0), 0.0, Position("j", 3))
        outbox.add(parcel(10), 0.0)  # the clock brought it about
        outbox.add(parcel(20), 0.0, Position("j", 4))
    with closing(Outbox(tmp_path, Rule(), ["a"])) as outbox:
        assert outbox.position == ("j", 4)


STEPS = ("add", "deliver", "refuse", "lag", "old", "restart", "full", "parcel damaged", "file damaged")


@settings(max_examples=60, deadline=None)
@example(steps=[(step, "a") for step in ("add", "lag", "file damaged", "deliver", "add")])
@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from(["a", "b"])), max_size=40))
def test_what_was_produced_is_delivered_or_waits_or_was_refused_or_dropped_to_the_last_item(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("outbox")
    outbox, made, on_its_way = Outbox(folder, Rule(keep_day=1.0), ["a", "b"]), 0, {}
    for now, (step, sink) in enumerate(steps):
        if step == "add":
            outbox.add(parcel(10 * now), float(now), Position("j", now))
            made += 11
        elif step in {"deliver", "refuse"} and (found := on_its_way.pop(sink, None) or outbox.next(sink, 20)):
            outbox.done(sink, found[0], [Refused("x", "no")] * 3 if step == "refuse" else [], float(now))
        elif step == "lag" and (found := outbox.next(sink, 20)):
            on_its_way[sink] = found
        elif step == "old":
            outbox.trim(DAY + now / 2)
        elif step == "full":
            pages = outbox._database.run("PRAGMA page_count").fetchone()[0]
            outbox._database.run(f"PRAGMA max_page_count = {pages}")
            with pytest.raises(JournalError):
                outbox.add(parcel(0, 2_000), float(now))
            outbox.drop(2_001)
            made += 2_001
            outbox._database.run("PRAGMA max_page_count = 1000000")
        elif step == "parcel damaged":
            outbox._database.run("UPDATE parcel SET body = x'00' WHERE id = (SELECT min(id) FROM parcel)")
        elif step == "file damaged":
            outbox._database._begin_anew(sqlite3.DatabaseError("disk image is malformed"))
        elif step == "restart":
            outbox.close()
            outbox, made = Outbox(folder, Rule(keep_day=1.0), ["a", "b"]), 0
        tally = outbox.tally()
        assert tally.produced == made
        for name in ("a", "b"):
            ended = [tally.waiting[name], tally.delivered[name], tally.refused[name], tally.dropped[name]]
            assert tally.carried[name] + made == sum(ended), (step, name, tally)
            assert min(ended) >= 0
    for name in ("a", "b"):  # and what waits is there
        while found := outbox.next(name, 10_000):
            outbox.done(name, found[0], [], 0.0)
    assert set(outbox.tally().waiting.values()) == {0}
    outbox.close()
