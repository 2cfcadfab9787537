"""The cells of a soak as a process: python -m tests.service.soaking PORT CELLS SECONDS SPEED FILE.

Publishes so many simulated seconds as frames, and leaves when the broker has acknowledged all of them. FILE then tells
what was sent: a bit for each cell and second.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np

from simulators.fleet import Fleet, publish
from simulators.sensor import Channel, Fault, Readings, Sensing

BEGIN_SECOND = 1_763_700_000
CELLS_OF_A_PACK = 20
PREFIX = "soak"
SENSING = Sensing(
    voltage=Channel(noise=0.002, step=0.001),
    current=Channel(noise=0.01, offset=0.02),
    temperature=Channel(noise=0.1),
    dropout=1e-3,
    faults=(Fault.DUPLICATE, Fault.DISORDER, Fault.STUCK),
    fault_rate=1e-5,
)


class Noting(Fleet):
    """A fleet that remembers which cell had a reading in which second."""

    def __init__(self, cells: int, seconds: int) -> None:
        packs = max(1, cells // CELLS_OF_A_PACK)
        super().__init__(
            cells=cells,
            packs=packs,
            nominal_capacity_ah=2.9,
            sensing=SENSING,
            start_unix_second=BEGIN_SECOND,
            pack_prefix=PREFIX,
        )
        self.sent = np.zeros((cells, seconds), dtype=np.bool_)

    def advance(self) -> Readings:
        """Simulate one second, and note what the sensors let out."""
        readings = super().advance()
        self.sent[readings.cell, (readings.unix_time_second - BEGIN_SECOND).astype(np.int64)] = True
        return readings


def number(name: str, cells: int) -> int:
    """Tell the number in the fleet of a cell, "pack/cell", where packs are equally large."""
    pack, cell = name.removeprefix(PREFIX).split("/c")
    return int(pack) * (cells // max(1, cells // CELLS_OF_A_PACK)) + int(cell)


def main(port: int, cells: int, seconds: int, speed: float, file: Path) -> None:
    """Publish, and write down what was sent."""
    fleet = Noting(cells, seconds)
    asyncio.run(_publish(fleet, port, seconds, speed))
    np.save(file, np.packbits(fleet.sent, axis=1))


async def _publish(fleet: Noting, port: int, seconds: int, speed: float) -> None:
    await publish(fleet, host="127.0.0.1", port=port, stop=asyncio.Event(), speed=speed, seconds=seconds, frames=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), Path(sys.argv[5]))
