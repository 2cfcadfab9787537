"""Closed grid seconds -> estimates that may be published. Arrays in, arrays out; no clock, no I/O.

Seconds are stepped in waves, the j-th closed second of each cell in the j-th wave, so that a cell that is
behind catches up in order. Where the chosen estimator is outside of its domain, or says an absurd thing, the
one beside it speaks. An absurd row never leaves, and the state that made it is begun anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daemon.grid import Closed, Resume
from daemon.health.fold import Waiting, pass_second
from daemon.rows import Flag, Rows
from daemon.slots import Slots, column, waves
from daemon.wire import STATE_COLUMNS
from estimators.contract import Second, Start, to_nominal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.kinds import Programme, Voice

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
OUT_OF_DOMAIN, WARMING_UP, FALLBACK, REINITIALISED = (
    np.uint32(f) for f in (Flag.OUT_OF_DOMAIN, Flag.WARMING_UP, Flag.FALLBACK, Flag.REINITIALISED)
)
PUBLISHED = np.array([[[c.low] for c in STATE_COLUMNS], [[c.high] for c in STATE_COLUMNS]])  # [low | high, column, 1]
ESTIMATED = np.concatenate([PUBLISHED, PUBLISHED[:, 1:2]], axis=1)  # the nominal SOC's deviation beside them
ESTIMATED[:, 0, 0] = np.finfo(np.float64).min, np.finfo(np.float64).max  # SOC is not clamped yet, but it is finite


@dataclass(slots=True)
class Served:
    """What the tick has to know of each cell."""

    programme: NDArray[np.int16] = column(0, np.int16)
    nominal: Bool = column(0, np.bool_)  # SOC is published against the nominal capacity
    soc: Float = column(np.nan)  # last known, of present capacity and not clamped: for states that a restart has lost
    soh: Float = column(np.nan)  # last known: what a state begun anew starts from
    soh_std: Float = column(np.nan)
    anew: Bool = column(0, np.bool_)  # the chosen estimator's state was begun anew, and no row has said so


@dataclass(frozen=True, slots=True)
class Spoken:
    """One estimator's word on some cells."""

    values: Float  # [soc of present capacity not clamped, soc_std, soh, soh_std, soc_nominal_std; row]
    absurd: Bool  # [row]
    flags: NDArray[np.uint32]  # OUT_OF_DOMAIN, WARMING_UP, ...
    label: NDArray[np.int16]  # who speaks

    @classmethod
    def empty(cls, rows: int) -> Spoken:
        """Make room for so many rows."""
        none = np.zeros(rows, dtype=bool)
        return cls(np.empty((len(ESTIMATED[0]), rows)), none, np.zeros(rows, np.uint32), np.zeros(rows, np.int16))

    def put(self, rows: Slots | Bool, other: Spoken) -> None:
        """Write another's word over some rows."""
        self.values[:, rows] = other.values
        self.absurd[rows], self.flags[rows], self.label[rows] = other.absurd, other.flags, other.label

    def pick(self, rows: Bool) -> Spoken:
        """Take some rows."""
        return Spoken(self.values[:, rows], self.absurd[rows], self.flags[rows], self.label[rows])


def tick(programmes: list[Programme], served: Served, waiting: Waiting, closed: Closed) -> Rows:
    """Step every closed second; a SOH that waits for it is taken in before. Rows that may not leave are left out."""
    said = Spoken.empty(len(closed))
    for programme, rows in _groups(programmes, served, closed):
        due = pass_second(waiting, closed.slot[rows])
        if due is not None:
            for voice in programme.voices:
                voice.bank.calibrate(*due)
        said.put(rows, _step(programme, served, closed, rows))
    soc, soc_std, soh, soh_std = values = _as_published(said.values, served.nominal[closed.slot])
    good = ~said.absurd & _within(values, PUBLISHED)
    slot, flags = closed.slot[good].astype(np.int32), (closed.flags | said.flags)[good]
    return Rows(slot, closed.second[good], soc[good], soc_std[good], soh[good], soh_std[good], flags, said.label[good])


def _groups(programmes: list[Programme], served: Served, closed: Closed) -> Iterator[tuple[Programme, Slots]]:
    """Part rows into what is stepped at once: one wave of one programme."""
    for wave in waves(closed.slot):
        if len(programmes) == 1:
            yield programmes[0], wave
            continue
        wanted = served.programme[closed.slot[wave]]
        for index in np.unique(wanted):
            yield programmes[index], wave[wanted == index]


def _step(programme: Programme, served: Served, closed: Closed, rows: Slots) -> Spoken:
    """Advance one wave of one programme."""
    slots = closed.slot[rows]
    second = Second(closed.voltage_volt[rows], closed.current_ampere[rows], closed.temperature_celsius[rows])
    after_gap = closed.resume[rows] == Resume.REINITIALISED
    for voice in programme.voices:
        _begin_anew(voice, served, slots, after_gap)
    said = _ask(programme.chosen, served, slots, second)
    said.flags[after_gap | served.anew[slots]] |= REINITIALISED
    served.anew[slots] = said.absurd
    if programme.fallback is not None:
        beside = _ask(programme.fallback, served, slots, second)
        falls = said.absurd | (said.flags & OUT_OF_DOMAIN != 0)
        if falls.any():
            beside.flags[:] |= FALLBACK | OUT_OF_DOMAIN | said.flags & REINITIALISED
            said.put(falls, beside.pick(falls))
    served.soc[slots] = np.where(said.absurd, served.soc[slots], said.values[0])
    served.soh[slots] = np.where(said.absurd, served.soh[slots], said.values[2])
    served.soh_std[slots] = np.where(said.absurd, served.soh_std[slots], said.values[3])
    return said


def _ask(voice: Voice, served: Served, slots: Slots, second: Second) -> Spoken:
    """Step one estimator; what it says that is absurd does not stay in its state."""
    said = voice.bank.step(slots, second)
    values = np.array([said.soc, said.soc_std, said.soh, said.soh_std, said.soc_nominal_std])
    absurd = ~_within(values, ESTIMATED)
    _begin_anew(voice, served, slots, absurd)
    flags = said.out_of_domain * OUT_OF_DOMAIN | said.warming_up * WARMING_UP
    return Spoken(values, absurd, flags, np.full(len(slots), voice.label, np.int16))


def _begin_anew(voice: Voice, served: Served, slots: Slots, which: Bool) -> None:
    """Let an estimator find its state from the next second, SOH being what it was."""
    if which.any():
        slots = slots[which]
        voice.bank.start(slots, Start(np.full(len(slots), np.nan), served.soh[slots], served.soh_std[slots]))


def _as_published(values: Float, nominal: Bool) -> Float:
    """Turn SOC into the asked reference and clamp it."""
    soc, soc_std, soh, soh_std, nominal_std = values
    return np.array(
        [
            np.clip(np.where(nominal, to_nominal(soc, soh), soc), *PUBLISHED[:, 0, 0]),
            np.where(nominal, nominal_std, soc_std),
            soh,
            soh_std,
        ]
    )


def _within(values: Float, limits: Float) -> Bool:
    """Tell which rows have every value in its limits; a NaN has none."""
    within: Bool = ((limits[0] <= values) & (values <= limits[1])).all(axis=0)
    return within
