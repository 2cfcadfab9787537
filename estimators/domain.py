"""Where a cell type's figures are good: the limits of its `cell.yaml`, with room for a sensor's error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from estimators.cell_type import CellType
    from estimators.contract import Bool, Second

VOLT_MARGIN, CELSIUS_MARGIN, C_RATE_MARGIN = 0.05, 2.0, 0.1


def outside(cell_type: CellType, second: Second) -> Bool:
    """Tell [cell] whether voltage, current or temperature leaves the limits; a value that is not finite does."""
    ampere = C_RATE_MARGIN * cell_type.nominal_capacity_ah
    ranges = (
        (second.voltage_volt, cell_type.voltage_min_volt, cell_type.voltage_max_volt, VOLT_MARGIN),
        (second.current_ampere, cell_type.current_min_ampere, cell_type.current_max_ampere, ampere),
        (
            second.temperature_celsius,
            cell_type.temperature_min_celsius,
            cell_type.temperature_max_celsius,
            CELSIUS_MARGIN,
        ),
    )
    inside = np.ones(len(second.voltage_volt), dtype=bool)
    for value, low, high, room in ranges:
        inside &= (value >= low - room) & (value <= high + room)
    return ~inside
