"""The fleet: samples of any cells in, estimates and events out. Pure and synchronous.

    batch -> roster (slots) -> admission (clocks) -> grid (seconds) -> tick (estimates) and events

State changes only because of samples: no wall clock is read here. Nothing outside of here, and of the parts
named above, knows a cell's slot otherwise than through `Fleet.names`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daemon import admission, events, grid
from daemon.admission import Admission, Clocks, Verdict
from daemon.events import Bounds, Watch
from daemon.grid import Closed, GridState, Samples
from daemon.health.rounds import BLOCK_WAVES, Rounds, blocks
from daemon.kinds import Kinds
from daemon.roster import REFUSED, Adopted, Roster
from daemon.rows import Closing, Output, Rows
from daemon.slots import Slots, clear, grow, waves
from daemon.tick import Served, tick
from estimators.check import Standing
from estimators.contract import Start, to_present

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from _typeshed import DataclassInstance

    from daemon.batch import Batch
    from daemon.config import Config
    from daemon.events import Phase, Seen, Told
    from daemon.health.examiner import Examiner
    from daemon.wire import Event, Health, Reject

Float = NDArray[np.float64]
SECOND_BITS = 36  # hold any time that the wire lets in
STANDING = ("soc", "soc_std", "soh", "soh_std")


@dataclass(slots=True)
class Counters:
    """What became of samples and seconds since the start."""

    accepted: int = 0
    duplicate: int = 0
    late: int = 0
    clock: int = 0  # dropped, the cell's clock having jumped
    invalid: int = 0  # not numbers
    refused: Counter[Reject] = field(default_factory=Counter)  # samples of cells that were not adopted
    gaps: int = 0
    held_second: int = 0  # grid seconds without a sample inside, bridged
    rows: int = 0
    absurd: int = 0  # rows that no estimator could speak sanely of
    adopted: int = 0
    retired: int = 0


class _Part(NamedTuple):
    """What came of one block of closed seconds."""

    rows: Rows
    told: list[Told]
    health: list[tuple[str, Health]]
    found: list[tuple[str, Event]]  # that health checks gave rise to


def _most(closed: Closed) -> int:
    """Count the seconds of the cell that has most of them."""
    return int(np.bincount(closed.slot).max()) if len(closed) else 0


def _ordered(rows: Rows, closed: Closed) -> Rows:
    """Put rows that were stepped block by block in the order in which their seconds were closed."""
    key, wanted = (
        (slot.astype(np.int64) << SECOND_BITS) + s
        for slot, s in ((closed.slot, closed.second), (rows.cell, rows.second))
    )
    by_key = np.argsort(key, kind="stable")
    return rows.pick(np.argsort(by_key[np.searchsorted(key, wanted, sorter=by_key)], kind="stable"))


class Fleet:
    """All cells. Raises ConfigError or WeightsError when made, nothing afterwards."""

    def __init__(
        self, config: Config, initial_soc: Mapping[str, float] | None = None, examiner: Examiner | None = None
    ) -> None:
        """Load what the configuration names. `initial_soc`: by "pack/cell", in the reference that is published.

        `examiner` runs health checks; without one there are none.
        """
        self.kinds = Kinds(config)
        self.counters = Counters()
        self.on_step: Callable[[], None] = lambda: None  # told of each block of seconds that was stepped
        self._rule = config.grid
        self._initial_soc = MappingProxyType(dict(initial_soc or {}))
        self._roster = Roster(self.kinds, config.cells)
        self._clocks, self._grid = Clocks(), GridState()
        self._served, self._watch, self._rounds = Served(), Watch(), Rounds(examiner)

    def __len__(self) -> int:
        """Count the cells."""
        return len(self._roster.slot)

    @property
    def names(self) -> list[str | None]:
        """By slot, what `Rows.cell` points into: "pack/cell". Good until the next push, which may give a slot away."""
        return self._roster.names

    @property
    def labels(self) -> list[str]:
        """What `Rows.estimator` points into: "ekf-1a2b3c4d"."""
        return self.kinds.labels

    def push(self, batch: Batch) -> Output:
        """Take samples; give the grid seconds that they close, and what they bring to light."""
        self.counters.retired += self._roster.retire()
        slots, adopted = self._roster.find(batch.cells)
        self._welcome(adopted)
        self._count_refused(batch, slots)
        slot = slots[batch.cell]
        if (slots < 0).any():
            ours = np.flatnonzero(slot >= 0)
            batch, slot = batch.pick(ours), slot[ours]
        celsius = batch.temperature_celsius
        sound = np.isfinite(batch.voltage_volt) & np.isfinite(batch.current_ampere) & ~np.isinf(celsius)
        judged = admission.admit(self._clocks, slot, batch.unix_time_second, sound, self._rule)
        self._count_verdicts(judged)
        taken = np.flatnonzero(judged.verdict <= Verdict.ANCHORED)
        samples = self._samples(batch, judged, taken)
        closed, gaps = grid.push(self._grid, samples)
        self._roster.hear(samples)
        self.counters.gaps += len(gaps.sample)
        parts = [self._step(block, self._watch.see(block, self._bounds)) for block in self._blocks(closed)]
        told = [t for part in parts for t in part.told]
        told += events.of_gaps(gaps, self._roster.members.max_hold_second)
        told = [t._replace(sample=int(taken[t.sample])) for t in told] + [*events.of_jumps(judged)]
        output = self._output(parts, sorted(told, key=lambda t: t.sample))
        return output if len(parts) == 1 else replace(output, rows=_ordered(output.rows, closed))

    def flush(self) -> Output:
        """Close the second that is open in every cell: the log is over. A later sample starts its cell again."""
        open_second = self._grid.second.copy()
        closed = grid.flush(self._grid, self._clocks.disturbed)
        ended = open_second >= 0
        self._clocks.newest[ended] = np.nextafter(open_second[ended] + 1.0, 0.0)  # what lies in it comes too late now
        self._clocks.disturbed[ended] = False
        part = self._step(closed, self._watch.flush(closed, self._bounds))
        return Output.join([self._output([part], part.told), self.catch_up()])

    def catch_up(self) -> Output:
        """Wait for every check that was asked; gives their reports."""
        health, found = self._rounds.collect(self.names)
        return Output(Rows.empty(), found, health)

    def _samples(self, batch: Batch, judged: Admission, taken: Slots) -> Samples:
        """Dress the samples that were taken: current positive on charge, no temperature missing."""
        slot, members = judged.slot[taken], self._roster.members
        celsius = batch.temperature_celsius[taken]
        return Samples(
            slot=slot,
            time=judged.time[taken],
            voltage_volt=batch.voltage_volt[taken],
            current_ampere=batch.current_ampere[taken] * members.current_sign[slot],
            temperature_celsius=self._roster.temperature(slot, celsius),
            assumed=np.isnan(celsius),
            anchored=judged.verdict[taken] == Verdict.ANCHORED,
            disturbed=judged.disturbed[taken],
            max_hold_second=members.max_hold_second[slot],
            rest_ampere=members.rest_ampere[slot],
        )

    @property
    def _bounds(self) -> Bounds:
        return Bounds(*(getattr(self._roster.members, name) for name in Bounds._fields))

    @staticmethod
    def _blocks(closed: Closed) -> list[Closed]:
        """Part closed seconds so that what is found out about a phase counts in a later block than its own."""
        if _most(closed) <= BLOCK_WAVES:
            return [closed]
        return [closed.pick(rows) for rows in blocks(waves(closed.slot))]

    def _step(self, closed: Closed, seen: Seen) -> _Part:
        """Step a block; have the phases that it ends looked at."""
        health, found = self._rounds.collect(self.names, _most(closed))
        rows = tick(self.kinds.programmes, self._served, self._rounds.waiting, closed)
        self.counters.held_second += int(closed.held.sum())
        self.counters.rows += len(rows)
        self.counters.absurd += len(closed) - len(rows)
        if seen.phases:
            self._rounds.ask(self._closings(rows, seen.phases), closed)
        self.on_step()
        return _Part(rows, seen.told, health, found)

    def _output(self, parts: list[_Part], told: list[Told]) -> Output:
        return Output(
            Rows.join([part.rows for part in parts]),
            [*((str(self.names[t.slot]), t.event) for t in told), *(e for part in parts for e in part.found)],
            [h for part in parts for h in part.health],
        )

    def _closings(self, rows: Rows, phases: list[Phase]) -> list[Closing]:
        """Say how each cell stood when its phase was over; where no row of that second left, nothing is known."""
        places = dict(zip(zip(rows.cell.tolist(), rows.second.tolist(), strict=True), range(len(rows)), strict=True))
        closings = []
        for phase in phases:
            name = str(self.names[phase.slot])
            kind = self.kinds.of_pack(name.partition("/")[0])
            if kind is None:
                continue
            place = places.get((phase.slot, phase.second))
            said = {} if place is None else {n: float(getattr(rows, n)[place]) for n in STANDING}
            cycles = phase.throughput_ah / (2.0 * kind.nominal_capacity_ah)
            standing = Standing(**said, equivalent_full_cycles=cycles, throughput_ah=phase.throughput_ah)
            closings.append(Closing(name, phase, kind.facts, standing))
        return closings

    def _welcome(self, adopted: list[Adopted]) -> None:
        """Make the state of new cells, having made room for it."""
        if not adopted:
            return
        states: list[DataclassInstance] = [self._clocks, self._grid, self._served]
        states += (*self._rounds.states, *self._watch.states)
        room = len(self._roster.names)
        if room > len(self._grid.second):
            for state in states:
                grow(state, room)
            for bank in self.kinds.voices.values():
                bank.grow(room)
        slots = np.array([a.slot for a in adopted])
        for state in states:
            clear(state, slots)
        served, soh = self._served, np.array([a.kind.initial_soh for a in adopted])
        served.soh[slots] = soh
        served.soh_std[slots] = [a.kind.initial_soh_std for a in adopted]
        served.nominal[slots] = [a.kind.nominal for a in adopted]
        served.programme[slots] = [a.kind.programme for a in adopted]
        given = np.array([self._initial_soc.get(a.name, np.nan) for a in adopted])
        soc = np.where(served.nominal[slots], to_present(given, soh), given)
        for index in np.unique(served.programme[slots]):
            these = served.programme[slots] == index
            for voice in self.kinds.programmes[index].voices:
                voice.bank.start(slots[these], Start(soc[these], soh[these], served.soh_std[slots[these]]))
        self.counters.adopted += len(adopted)

    def settle(self) -> NDArray[np.int16]:
        """Take the configuration's word for cells that a checkpoint brought; gives the programmes that they had."""
        served = self._served
        programme = served.programme.copy()
        for cell in self._roster.settle():
            served.nominal[cell.slot], served.programme[cell.slot] = cell.kind.nominal, cell.kind.programme
        for bank in self.kinds.voices.values():
            bank.grow(len(self._roster.names))
        return programme

    def begin_anew(self, name: str, which: NDArray[np.bool_]) -> int:
        """Make one estimator's states anew where it is stepped for a cell, from what was last said; counts them."""
        bank, served, count = self.kinds.voices[name], self._served, 0
        for index, programme in enumerate(self.kinds.programmes):
            slots = np.flatnonzero(which & self._roster.members.used & (served.programme == index))
            if len(slots) and any(voice.bank is bank for voice in programme.voices):
                bank.start(slots, Start(served.soc[slots], served.soh[slots], served.soh_std[slots]))
                served.anew[slots] |= programme.chosen.bank is bank
                count += len(slots)
        return count

    def _count_verdicts(self, judged: Admission) -> None:
        count = np.bincount(judged.verdict, minlength=len(Verdict)).tolist()
        self.counters.accepted += count[Verdict.ACCEPTED] + count[Verdict.ANCHORED]
        self.counters.duplicate += count[Verdict.DUPLICATE]
        self.counters.late += count[Verdict.LATE]
        self.counters.clock += count[Verdict.CLOCK]
        self.counters.invalid += count[Verdict.INVALID]

    def _count_refused(self, batch: Batch, slots: Slots) -> None:
        refused = np.flatnonzero(slots < 0)
        if len(refused):
            samples = np.bincount(batch.cell, minlength=len(slots))
            for index in refused:
                self.counters.refused[REFUSED[int(slots[index])]] += int(samples[index])
