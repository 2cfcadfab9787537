"""One second of some cells, no cell twice: what every detector is shown; and what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daemon.grid import Closed, Resume
from daemon.slots import Slots
from daemon.wire import Event

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]
NOTHING = -1


@dataclass(frozen=True, slots=True)
class Wave:
    """Closed seconds [row] and what the configuration says of their cells."""

    sample: Slots  # index of the sample that closed it
    slot: Slots
    second: Int
    voltage_volt: Float
    current_ampere: Float
    temperature_celsius: Float
    held: Bool  # the source said nothing in it
    restart: Bool  # there was a gap before it, or another clock
    rest_ampere: Float  # below it the cell rests
    nominal_capacity_ah: Float

    @classmethod
    def of(cls, closed: Closed, rows: Slots, rest_ampere: Float, nominal_capacity_ah: Float) -> Wave:
        """Take some rows; the configuration's figures are by slot."""
        slot = closed.slot[rows]
        return cls(
            closed.sample[rows],
            slot,
            closed.second[rows],
            closed.voltage_volt[rows],
            closed.current_ampere[rows],
            closed.temperature_celsius[rows],
            closed.held[rows],
            closed.resume[rows] != Resume.NO_GAP,
            rest_ampere[slot],
            nominal_capacity_ah[slot],
        )

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.slot)


class Turns(NamedTuple):
    """Cells that end what they did, begin something, or both. Every array is [turn]."""

    row: Slots  # in the wave
    was: NDArray[np.int8]  # what ends; NOTHING: nothing does
    was_begin: Int
    was_end: Int  # the first second that belongs to it no more
    now: NDArray[np.int8]  # what begins; NOTHING: nothing does
    begin: Int


class Told(NamedTuple):
    """An event, and the sample that brought it about (for the order)."""

    sample: int
    slot: int
    event: Event


_none, _never = np.empty(0, np.int8), np.empty(0, np.int64)
NO_ROWS: Slots = np.empty(0, np.intp)
NO_TURNS = Turns(NO_ROWS, _none, _never, _never, _none, _never)
