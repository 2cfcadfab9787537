"""What comes out of a tick: one row per cell and closed grid second, as columns; and the flags a row carries."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daemon.wire import Event, Health

if TYPE_CHECKING:
    from daemon.events import Phase
    from estimators.check import Evidence, Facts, Standing

Float = NDArray[np.float64]


class Flag(enum.IntFlag):
    """Why a number is to be taken with care. The wire says the names in lower case."""

    WARMING_UP = 1  # not yet converged from an unknown start
    STALE = 2  # no sample for longer than max_hold_second
    OUT_OF_DOMAIN = 4  # input outside of what the model was trained on
    FALLBACK = 8  # the model-based filter speaks in place of the network
    TEMPERATURE_ASSUMED = 16  # no measured temperature
    REINITIALISED = 32  # state made anew after a gap, since the last output
    CLOCK = 64  # the cell's clock jumped

    @staticmethod
    def names(value: int) -> list[str]:
        """Spell a bit field as on the wire.

        >>> Flag.names(Flag.STALE | Flag.FALLBACK)
        ['stale', 'fallback']
        """
        return [f.name.lower() for f in Flag if f & value and f.name]


@dataclass(frozen=True, slots=True)
class Rows:
    """Estimates at the end of closed grid seconds, ordered by arrival, each cell's in order of time.

    SOC is already in the cell type's (or the caller's) reference and clamped to [0, 1].
    """

    cell: NDArray[np.int32]  # [row] slot of the fleet
    second: NDArray[np.int64]  # [row] the grid second [k, k + 1)
    soc: Float  # [row]
    soc_std: Float  # [row]
    soh: Float  # [row]
    soh_std: Float  # [row]
    flags: NDArray[np.uint32]  # [row] bits of Flag
    estimator: NDArray[np.int16]  # [row] index into the fleet's estimator names ("ekf-1a2b3c4d")

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.cell)

    def pick(self, rows: NDArray[np.intp]) -> Rows:
        """Take some rows."""
        return Rows(*(getattr(self, n)[rows] for n in self.__slots__))

    @classmethod
    def empty(cls) -> Rows:
        """Make no rows."""
        return cls(*(np.empty(0, d) for d in (np.int32, np.int64, *[np.float64] * 4, np.uint32, np.int16)))

    @classmethod
    def join(cls, parts: list[Rows]) -> Rows:
        """Put rows one after another."""
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate([getattr(p, n) for p in parts]) for n in cls.__slots__))


@dataclass(frozen=True, slots=True)
class Closing:
    """A phase of a cell that is over, and how the cell stood: what health checks are asked about."""

    cell: str  # "pack/cell"
    phase: Phase
    facts: Facts
    standing: Standing

    def evidence(self) -> Evidence:
        """Lay out what was recorded; some 0.1 ms, so not in the tick."""
        return self.phase.evidence(self.facts, self.standing)


@dataclass(frozen=True, slots=True)
class Output:
    """All that some samples brought about."""

    rows: Rows
    events: list[tuple[str, Event]]  # ("pack/cell", event)
    health: list[tuple[str, Health]] = field(default_factory=list)  # what checks found in phases that were over before

    @classmethod
    def join(cls, parts: list[Output]) -> Output:
        """Put outputs one after another."""
        return cls(
            Rows.join([part.rows for part in parts]),
            [event for part in parts for event in part.events],
            [report for part in parts for report in part.health],
        )
