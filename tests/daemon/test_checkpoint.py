"""daemon/checkpoint.py and daemon/memory.py: a fleet that was killed goes on as one that was not, bit for bit."""

from __future__ import annotations

import importlib
import sys
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon import checkpoint, memory, parcel
from daemon.batch import BatchBuilder
from daemon.checkpoint import Checkpoints, read, read_header
from daemon.config import HealthChecks
from daemon.fleet import Fleet
from daemon.health.examiner import Examiner
from daemon.journal import Position
from daemon.publish import Publisher
from daemon.rows import Flag
from tests.daemon.fleets import config, stream

CONFIG = config()


class House:
    """A fleet and its publisher: what a process has."""

    def __init__(self, rules=CONFIG):
        self.fleet, self.publisher = Fleet(rules), Publisher(rules)

    def push(self, number, batch):
        output = self.fleet.push(batch)
        said = self.publisher.take(output, self.fleet.names, self.fleet.labels, 2e9 + number)
        rows = [getattr(output.rows, name).tobytes() for name in type(output.rows).__slots__]
        return parcel.encode(said), rows

    @property
    def memory(self):
        return memory.take(self.fleet, self.publisher)


def bits(kept):
    return {name: (a.dtype, a.shape, a.tobytes()) for name, a in kept.arrays.items()}, kept.facts


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(1, 20), min_size=1, max_size=4, unique=True))
def test_killed_at_any_time_it_ends_as_if_it_had_never_been(tmp_path_factory, seed, cuts):
    folder = tmp_path_factory.mktemp("state")
    batches = list(stream(seed))
    whole = House()
    said = [whole.push(*one) for one in enumerate(batches)]

    house, checkpoints = House(), Checkpoints(folder)
    again = {}
    for number, batch in enumerate(batches):
        again[number] = house.push(number, batch)
        if number in cuts:
            checkpoints.save(house.memory, Position("j", number))
        if number - 3 in cuts:  # killed: what came since the checkpoint is pushed once more
            house, checkpoints = House(), Checkpoints(folder)
            assert checkpoints.load(house.fleet, house.publisher)
            for k in range(checkpoints.saved.block + 1, number + 1):
                assert house.push(k, batches[k]) == again[k]
    assert [again[k] for k in range(len(batches))] == said
    assert bits(house.memory) == bits(whole.memory)


@pytest.fixture(scope="module")
def lived():
    """A fleet that has met all there is to meet."""
    house = House()
    for number, batch in enumerate(stream(7)):
        house.push(number, batch)
    return house


@pytest.fixture
def saved(lived, tmp_path):
    """A folder with two generations of it."""
    checkpoints = Checkpoints(tmp_path)
    for block in (5, 9):
        checkpoints.save(lived.memory, Position("journal", block))
    return tmp_path


def test_every_column_that_is_declared_anywhere_in_the_service_is_saved(lived):
    declared = set()
    importlib.import_module("daemon.service")
    for module in [m for name, m in sys.modules.items() if name.startswith("daemon.")]:
        for kind in vars(module).values():
            if isinstance(kind, type) and is_dataclass(kind):
                declared |= {(kind, f.name) for f in fields(kind) if "fresh" in f.metadata}
    leaves = [*memory.leaves(lived.fleet, "fleet"), *memory.leaves(lived.publisher, "publisher")]
    walked = {(type(leaf.owner), leaf.name): leaf for leaf in leaves}
    assert len(declared) > 30
    assert declared - walked.keys() == set()
    kept = lived.memory
    assert all(walked[one].path in kept.arrays for one in declared)
    for voice, bank in lived.fleet.kinds.voices.items():
        assert {f"voice/{voice}/{name}" for name in bank.state} <= kept.arrays.keys()


def test_state_that_a_file_cannot_keep_is_refused_when_it_is_met(lived):
    class Part:
        def __init__(self):
            self.open = {3: object()}

    Part.__module__ = "daemon.part"
    with pytest.raises(TypeError, match="part/open is a dict"):
        list(memory.leaves(Part(), "part"))


def test_a_file_gives_back_what_was_saved_and_says_what_it_is(saved, lived):
    header, kept = read(saved / "fleet.ckpt")
    assert bits(kept)[0] == bits(lived.memory)[0]
    assert header.position == ("journal", 9)
    assert read_header(saved / "fleet.ckpt.older").position == ("journal", 5)
    assert header.weights["panasonic-18650pf/ekf"].startswith("ekf-")
    assert list(saved.glob("*.new")) == []


@pytest.mark.parametrize("harm", ["torn", "one-bit", "no-checkpoint"])
def test_a_damaged_one_is_set_aside_and_the_older_one_serves(saved, harm, caplog):
    path = saved / "fleet.ckpt"
    body = bytearray(path.read_bytes())
    if harm == "torn":
        body = body[: len(body) // 2]
    elif harm == "one-bit":
        body[-1_000] ^= 1
    else:
        body = bytearray(b"no checkpoint" * 1_000)
    path.write_bytes(body)
    house, checkpoints = House(), Checkpoints(saved)
    assert checkpoints.load(house.fleet, house.publisher)
    assert checkpoints.saved == checkpoints.needed == ("journal", 5)
    assert len(house.fleet) > 0
    assert len(list(saved.glob("fleet.ckpt.damaged-*"))) == 1
    assert caplog.records[0].getMessage() == "damaged"


def test_the_journal_must_stay_from_the_older_generation_on(saved):
    house, checkpoints = House(), Checkpoints(saved)
    assert checkpoints.needed == Position()
    assert checkpoints.load(house.fleet, house.publisher)
    assert (checkpoints.needed.block, checkpoints.saved.block) == (5, 9)
    checkpoints.save(house.memory, Position("journal", 12))
    assert (checkpoints.needed.block, checkpoints.saved.block) == (9, 12)


def test_one_of_another_schema_is_refused_and_said(saved, lived, monkeypatch, caplog):
    monkeypatch.setattr(checkpoint, "SCHEMA", 99)
    house = House()
    assert not Checkpoints(saved).load(house.fleet, house.publisher)
    assert len(house.fleet) == 0
    assert [str(r.fields["why"]) for r in caplog.records] == ["it is of schema 1; this version reads and writes 99"] * 2


def test_one_with_other_columns_is_refused_with_their_names(lived):
    kept = lived.memory
    kept.arrays["fleet/grid/extra"] = kept.arrays.pop("fleet/grid/charge")
    with pytest.raises(memory.UnfitError, match="it lacks fleet/grid/charge, it has fleet/grid/extra"):
        memory.put(kept, (house := House()).fleet, house.publisher)
    kept = lived.memory
    kept.arrays["fleet/grid/charge"] = kept.arrays["fleet/grid/charge"].astype(np.float32)
    with pytest.raises(memory.UnfitError, match="charge is float32"):
        memory.put(kept, house.fleet, house.publisher)
    assert len(house.fleet) == 0


def test_an_estimator_of_other_weights_begins_anew_from_the_last_soc_and_soh_and_the_others_go_on(lived):
    kept = lived.memory
    kept.weights["panasonic-18650pf/ekf"] = "ekf-00000000"
    house = House()
    begun = memory.put(kept, house.fleet, house.publisher)
    count = sum(name is not None and name[0] in "en" for name in lived.fleet.names)  # the network's fallback, too
    assert begun == {"panasonic-18650pf/ekf": count}
    assert house.memory.arrays.keys() == kept.arrays.keys()
    for name in kept.arrays:
        if "/ekf/" not in name and name != "fleet/served/anew":
            assert house.memory.arrays[name].tobytes() == kept.arrays[name].tobytes(), name
    slot, cell = next((s, n) for s, n in enumerate(house.fleet.names) if n and n.startswith("e"))
    before = kept.arrays["fleet/served/soc"][slot]
    builder = BatchBuilder()
    for second in range(3):
        builder.add(cell, kept.arrays["fleet/clocks/newest"][slot] + second + 1.0, 3.7, 0.0, 25.0)
    rows = house.fleet.push(builder.build()).rows
    assert rows.flags[0] & Flag.REINITIALISED
    assert not rows.flags[1] & Flag.REINITIALISED
    assert house.memory.arrays["fleet/served/soc"][slot] == pytest.approx(before, abs=0.02)


def test_cells_go_on_under_the_configuration_as_it_is_now(lived):
    kept = lived.memory
    packs = [rule for rule in CONFIG.cells.packs if not rule.pattern.startswith("c")]
    packs[0] = packs[0].model_copy(update={"estimator": "coulomb", "max_hold_second": 7.0})
    house = House(CONFIG.model_copy(update={"cells": CONFIG.cells.model_copy(update={"packs": packs})}))
    begun = memory.put(kept, house.fleet, house.publisher)
    cells = [name for name in lived.fleet.names if name]
    assert sorted(n for n in house.fleet.names if n) == sorted(n for n in cells if not n.startswith("c"))
    assert begun == {"panasonic-18650pf/coulomb": sum(n.startswith("f") for n in cells)}
    slot = next(s for s, n in enumerate(house.fleet.names) if n and n.startswith("f"))
    assert house.memory.arrays["fleet/roster/members/max_hold_second"][slot] == 7.0


def test_what_was_said_by_weights_that_are_gone_keeps_their_name(lived):
    kept = lived.memory
    labels = kept.facts["publisher/labels"]
    old = next(label for label in labels if label.startswith("ekf-"))
    kept.facts["publisher/labels"] = ["gone-00000000" if label == old else label for label in reversed(labels)]
    count = len(labels) - 1
    for name in ("publisher/latest/estimator", "publisher/said/estimator"):
        kept.arrays[name] = (count - kept.arrays[name]).astype(np.int16)
    house = House()
    memory.put(kept, house.fleet, house.publisher)
    wanted = lived.publisher.silent(lived.fleet.names, 1e12)
    found = house.publisher.silent(house.fleet.names, 1e12)
    assert old in house.fleet.labels
    assert [(n, s.estimator.replace("gone-00000000", old)) for n, s in found.states] == [
        (n, s.estimator) for n, s in wanted.states
    ]
    assert {s.estimator for n, s in found.states if n.startswith("e")} == {"gone-00000000"}


def test_what_is_begun_anew_is_said(tmp_path, lived, caplog):
    checkpoints = Checkpoints(tmp_path)
    kept = lived.memory
    checkpoints.save(replace(kept, weights=kept.weights | {"panasonic-18650pf/coulomb": "coulomb-1"}), Position("j", 1))
    house = House()
    assert checkpoints.load(house.fleet, house.publisher)
    (line,) = [r.fields for r in caplog.records if r.getMessage() == "begun anew"]
    assert line["voice"] == "panasonic-18650pf/coulomb"
    assert line["cells"] > 0


def test_health_checks_can_be_switched_on_and_off_between_two_starts(lived):
    examiner = Examiner(list, HealthChecks())
    fleet, publisher = Fleet(CONFIG, None, examiner), Publisher(CONFIG)
    memory.put(lived.memory, fleet, publisher)
    house = House()
    memory.put(memory.take(fleet, publisher), house.fleet, house.publisher)
    assert bits(house.memory) == bits(lived.memory)
    examiner.close()
