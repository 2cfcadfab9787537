"""The fleet: samples of any cells in, estimates and events out. Pure and synchronous.

    batch -> roster (slots) -> admission (clocks) -> grid (seconds) -> tick (estimates) and events

State changes only because of samples: no wall clock is read here. Nothing outside of here, and of the parts
named above, knows a cell's slot otherwise than through `Fleet.names`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daemon import admission, events, grid
from daemon.admission import Admission, Clocks, Verdict
from daemon.events import Activities
from daemon.grid import Closed, GridState, Samples
from daemon.kinds import Kinds
from daemon.roster import REFUSED, Adopted, Roster
from daemon.rows import Output
from daemon.slots import Slots, clear, grow
from daemon.tick import Served, tick
from estimators.contract import Start, to_present

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daemon.batch import Batch
    from daemon.config import Config
    from daemon.wire import Reject

Float = NDArray[np.float64]


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


class Fleet:
    """All cells. Raises ConfigError or WeightsError when made, nothing afterwards."""

    def __init__(self, config: Config, initial_soc: Mapping[str, float] | None = None) -> None:
        """Load what the configuration names. `initial_soc`: by "pack/cell", in the reference that is published."""
        self.kinds = Kinds(config)
        self.counters = Counters()
        self._rule = config.grid
        self._initial_soc = dict(initial_soc or {})
        self._roster = Roster(self.kinds, config.cells)
        self._clocks, self._grid = Clocks(), GridState()
        self._served, self._activities = Served(), Activities()

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
        told = [*self._recognised(closed), *events.of_gaps(gaps, self._roster.members.max_hold_second)]
        told = [t._replace(sample=int(taken[t.sample])) for t in told] + [*events.of_jumps(judged)]
        return self._output(closed, sorted(told, key=lambda t: t.sample))

    def flush(self) -> Output:
        """Close the second that is open in every cell: the log is over. A later sample starts its cell again."""
        open_second = self._grid.second.copy()
        closed = grid.flush(self._grid, self._clocks.disturbed)
        ended = open_second >= 0
        self._clocks.newest[ended] = np.nextafter(open_second[ended] + 1.0, 0.0)  # what lies in it comes too late now
        self._clocks.disturbed[ended] = False
        return self._output(closed, [*self._recognised(closed)])

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

    def _recognised(self, closed: Closed) -> list[events.Told]:
        return [*events.recognise(self._activities, closed, self._roster.members.rest_ampere)]

    def _output(self, closed: Closed, told: list[events.Told]) -> Output:
        rows = tick(self.kinds.programmes, self._served, closed)
        self.counters.held_second += int(closed.held.sum())
        self.counters.rows += len(rows)
        self.counters.absurd += len(closed) - len(rows)
        return Output(rows, [(str(self.names[t.slot]), t.event) for t in told])

    def _welcome(self, adopted: list[Adopted]) -> None:
        """Make the state of new cells, having made room for it."""
        if not adopted:
            return
        states = (self._clocks, self._grid, self._served, self._activities)
        room = len(self._roster.names)
        if room > len(self._grid.second):
            for state in states:
                grow(state, room)
            for bank in self.kinds.banks:
                bank.grow(room)
        slots = np.array([a.slot for a in adopted])
        for state in states:
            clear(state, slots)
        served, soh = self._served, np.array([a.kind.initial_soh for a in adopted])
        served.soh[slots] = soh
        served.nominal[slots] = [a.kind.nominal for a in adopted]
        served.programme[slots] = [a.kind.programme for a in adopted]
        given = np.array([self._initial_soc.get(a.name, np.nan) for a in adopted])
        soc = np.where(served.nominal[slots], to_present(given, soh), given)
        for index in np.unique(served.programme[slots]):
            these = served.programme[slots] == index
            for voice in self.kinds.programmes[index].voices:
                voice.bank.start(slots[these], Start(soc[these], soh[these]))
        self.counters.adopted += len(adopted)

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
