"""Accepted samples in arrival order, as columns: what ingest makes, the journal keeps and the grid takes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples of any cells, in the order in which they arrived."""

    cells: tuple[str, ...]  # distinct "pack/cell"
    cell: NDArray[np.int32]  # [sample] index into `cells`
    unix_time_second: Float  # [sample]
    voltage_volt: Float  # [sample]
    current_ampere: Float  # [sample] positive on charge
    temperature_celsius: Float  # [sample] NaN where not measured

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.cell)

    def pick(self, samples: NDArray[np.intp]) -> Batch:
        """Take some samples, in the order given."""
        values = (self.unix_time_second, self.voltage_volt, self.current_ampere, self.temperature_celsius)
        return Batch(self.cells, self.cell[samples], *(v[samples] for v in values))


@dataclass(slots=True)
class BatchBuilder:
    """Collects samples one at a time; `build` hands them over as columns and starts afresh."""

    _index: dict[str, int] = field(default_factory=dict)
    _cell: list[int] = field(default_factory=list)
    _values: list[tuple[float, float, float, float]] = field(default_factory=list)

    def add(
        self, cell: str, unix_time_second: float, voltage_volt: float, current_ampere: float, temperature_celsius: float
    ) -> None:
        """Append one sample of "pack/cell"; temperature is NaN where not measured."""
        self._cell.append(self._index.setdefault(cell, len(self._index)))
        self._values.append((unix_time_second, voltage_volt, current_ampere, temperature_celsius))

    def __len__(self) -> int:
        """Count the samples so far."""
        return len(self._cell)

    def build(self) -> Batch:
        """Hand over what was collected."""
        columns = np.array(self._values, dtype=np.float64).reshape(-1, 4).T.copy()
        batch = Batch(tuple(self._index), np.array(self._cell, dtype=np.int32), *columns)
        self._index, self._cell, self._values = {}, [], []
        return batch
