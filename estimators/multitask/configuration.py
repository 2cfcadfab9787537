"""The kinds of cell that a charge's end is known of, each charged and recorded in its laboratory's way."""

from __future__ import annotations

from typing import NamedTuple

ALIKE = 0.1  # nominal capacities that differ by more than this share are of another cell


class Configuration(NamedTuple):
    """A kind of cell in one laboratory's hands."""

    name: str  # what its files' names hold
    nominal_capacity_ah: float
    chemistry: str  # nca | nmc | lfp
    voltage_max_volt: float  # at which constant voltage begins
    voltage_second: float  # between two samples of the voltage, as the entropies tell: they count samples
    current_second: float  # between two of the current


CONFIGURATIONS = (
    Configuration("xjtu", 2.0, "nmc", 4.2, 1.26, 1.31),
    Configuration("tju_nca", 3.5, "nca", 4.2, 34.9, 12.4),
    Configuration("tju_ncm", 3.5, "nmc", 4.2, 34.4, 12.4),
    Configuration("tju_ncm_nca", 2.5, "nmc", 4.2, 12.2, 6.6),
    Configuration("hust", 1.1, "lfp", 3.6, 6.8, 6.2),
    Configuration("mit", 1.1, "lfp", 3.6, 5.0, 5.0),
)


def alike(chemistry: str, nominal_capacity_ah: float) -> tuple[Configuration, ...]:
    """Find the configurations of the same chemistry and nearly the same size, the nearest first."""
    apart = {c: abs(nominal_capacity_ah / c.nominal_capacity_ah - 1.0) for c in CONFIGURATIONS}
    near = (c for c in CONFIGURATIONS if c.chemistry == chemistry and apart[c] <= ALIKE)
    return tuple(sorted(near, key=lambda c: apart[c]))
