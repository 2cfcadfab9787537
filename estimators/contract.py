"""What every estimator obeys: state in, state out, one second of many cells at a time.

    estimator.init(start) -> state
    estimator.step(state, second) -> (state, estimate)
    estimator.calibrate(state, soh, soh_std) -> state

The caller keeps the state: a dict of named arrays whose first axis is the cell, so that any row can be
gathered, scattered, moved to another slot or written to a checkpoint without the estimator knowing.
`step` leaves its arguments as they were. A row's result depends on that row alone.

SOC is against the *present* capacity (0 empty, 1 full); `to_nominal` turns it into the nominal one.
Estimates are not clamped: a nominal SOC may lie outside [0, 1] of the present one. The publisher clamps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
State = dict[str, NDArray[Any]]  # every array [cell, ...]
TOLD_SOH_STD, GUESSED_SOH_STD = 0.02, 0.07  # of a SOH at the start: somebody named it, nobody did
NO_SAMPLE_SOC, NO_SAMPLE_STD = 0.5, 0.29  # nothing seen yet: anything from empty to full
UNSURE_STD = 0.05  # of SOC: warming up while it is above


@dataclass(frozen=True, slots=True)
class Start:
    """What is known of each cell when it is first seen; NaN where it is not known."""

    soc: Float  # [cell] of present capacity; NaN: find it from the first sample
    soh: Float  # [cell] present / nominal capacity; never NaN (the cell type's `typical_soh` if unknown)
    soh_std: Float  # [cell] how sure that is

    @classmethod
    def told(cls, soc: Float, soh: Float) -> Start:
        """Build a start whose SOH somebody named."""
        return cls(soc, soh, np.full(len(soh), TOLD_SOH_STD))

    @classmethod
    def unknown(cls, cells: int, soh: float) -> Start:
        """Build a start with no SOC known and one guess of the SOH for all."""
        return cls(np.full(cells, np.nan), np.full(cells, soh), np.full(cells, GUESSED_SOH_STD))


@dataclass(frozen=True, slots=True)
class Second:
    """One grid second: time-averaged current (positive on charge), last voltage and temperature in it."""

    voltage_volt: Float  # [cell]
    current_ampere: Float  # [cell]
    temperature_celsius: Float  # [cell]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean and standard deviation at the end of the second."""

    soc: Float  # [cell] of present capacity, not clamped
    soc_std: Float  # [cell]
    soc_nominal_std: Float  # [cell] of the same SOC against the nominal capacity: its error and that of SOH go together
    soh: Float  # [cell]
    soh_std: Float  # [cell]
    out_of_domain: Bool  # [cell] input outside of what the model was made for
    warming_up: Bool  # [cell] not yet converged from an unknown start

    @classmethod
    def of_nominal(
        cls, soc_nominal: Float, nominal_std: Float, soh: Float, soh_std: Float, out_of_domain: Bool
    ) -> Estimate:
        """Build it from a nominal SOC (NaN: nothing seen yet) whose error has nothing to do with that of the SOH."""
        seen = np.isfinite(soc_nominal)
        nominal_std = np.where(seen, nominal_std, NO_SAMPLE_STD)
        soc_std = np.hypot(nominal_std, (1.0 - soc_nominal) / soh * soh_std) / soh
        return cls(
            soc=np.where(seen, to_present(soc_nominal, soh), NO_SAMPLE_SOC),
            soc_std=np.where(seen, soc_std, NO_SAMPLE_STD),
            soc_nominal_std=nominal_std,
            soh=soh.copy(),
            soh_std=soh_std,
            out_of_domain=out_of_domain,
            warming_up=nominal_std > UNSURE_STD,
        )


class Estimator(Protocol):
    """One model of one cell type, applied to any number of its cells."""

    name: str  # "coulomb" | "ekf" | "cross_stitch"
    weights_id: str  # names the numbers inside: a digest of the weights or tables, "-" where there are none

    def init(self, start: Start) -> State:
        """Make the state of `len(start.soc)` new cells."""
        ...

    def step(self, state: State, second: Second) -> tuple[State, Estimate]:
        """Advance every cell by one second."""
        ...

    def calibrate(self, state: State, soh: Float, soh_std: Float) -> State:
        """Take into every cell a SOH [cell] that something else found out: a health check, a capacity test."""
        ...


def to_nominal(soc: Float, soh: Float) -> Float:
    """Turn SOC of present capacity into SOC of nominal capacity: what is missing from full is the same.

    >>> float(to_nominal(np.array(0.5), np.array(0.8)))
    0.6
    """
    return 1.0 - (1.0 - soc) * soh


def to_present(soc_nominal: Float, soh: Float) -> Float:
    """Undo `to_nominal`."""
    return 1.0 - (1.0 - soc_nominal) / soh
