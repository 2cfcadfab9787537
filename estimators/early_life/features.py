"""Forty-two numbers of one nine-step charge and the rest after it, as Tao et al. (2025) define them.

Some tell what is lost for good (charge that the steps take, polarisation at a slow rate: thermodynamic), the others
what a current hides (jumps where it changes, what voltage falls by without it: kinetic).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from estimators.contract import Float

STEPS = 9
CHANGE = 0.02  # of the largest current: a change by more begins a step
SETTLED = 0.8  # of the fall at rest
NAMES = (
    "vc_89_volt", "vd_9_volt", "t_vd_9_second", "re_vc_volt", "re_vd_volt", "t_re_vd_second",
    *(f"vg_{k}_volt_per_second" for k in range(1, 10)), "vg_2_to_1",
    *(f"q_{k}_ah" for k in range(1, 10)),
    *(f"rl_{k}_ohm" for k in range(1, 10)),
    *(f"ro_{k}_ohm" for k in range(1, 9)),
)  # fmt: skip
CHARGES = tuple(i for i, name in enumerate(NAMES) if name.startswith("q_"))
THERMODYNAMIC = (*CHARGES, NAMES.index("rl_1_ohm"), NAMES.index("rl_9_ohm"))
KINETIC = tuple(i for i in range(len(NAMES)) if i not in THERMODYNAMIC)


def in_cycle(second: Float, voltage_volt: Float, current_ampere: Float) -> Float | None:
    """Give the features [42] of a recording [point]; None where it has not nine steps and a rest after them.

    A current is that of the time up to its point, positive on charge. A step whose end voltage was passed at once
    still has one point.
    """
    bounds = _steps(current_ampere)
    if bounds is None:
        return None
    steps = [slice(a, b) for a, b in pairwise(bounds[: STEPS + 1])]
    rest = slice(bounds[STEPS], bounds[STEPS + 1])
    first, last = (np.array([voltage_volt[s][i] for s in steps]) for i in (0, -1))
    taken = np.concatenate([[second[1] - second[0]], np.diff(second)])
    moved = np.cumsum(taken * current_ampere / 3600.0)
    charge = np.array([moved[s.stop - 1] for s in steps]) - (moved[steps[0].start - 1] if steps[0].start else 0.0)
    current = np.array([(taken[s] * current_ampere[s]).sum() / taken[s].sum() for s in steps])

    ninth = voltage_volt[steps[8]]
    lowest = int(np.argmin(ninth))
    after = voltage_volt[rest]
    fall = after[0] - after.min()
    settled = int(np.argmax(after <= after[0] - SETTLED * fall))
    climb = [_gradient(second[s], voltage_volt[s]) for s in steps[:8]]
    climb.append(_gradient(second[steps[8]][: lowest + 1], ninth[: lowest + 1]))
    return np.array(
        [
            first[8] - last[7],
            first[8] - ninth[lowest],
            second[steps[8]][lowest] - second[steps[8]][0],
            last[8] - after[0],
            fall,
            second[rest][settled] - second[rest][0],
            *climb,
            climb[1] / climb[0] if climb[0] else 0.0,
            *charge,
            *((last - first) / current),
            *((first[1:] - last[:-1]) / np.diff(current)),
        ]
    )


def _steps(current_ampere: Float) -> list[int] | None:
    """Find where the nine steps and the rest begin, and where the rest ends."""
    if len(current_ampere) < STEPS + 1:
        return None
    most = float(np.max(current_ampere))
    if most <= 0.0:
        return None
    begins = np.flatnonzero(np.abs(np.diff(current_ampere)) > CHANGE * most) + 1
    edges = [0, *begins.tolist(), len(current_ampere)]
    if abs(current_ampere[0]) < CHANGE * most:  # it begins with a rest
        edges = edges[1:]
    means = [float(current_ampere[a:b].mean()) / most for a, b in pairwise(edges)]
    charging = len(means) > STEPS and all(m > CHANGE for m in means[:STEPS])
    return edges[: STEPS + 2] if charging and abs(means[STEPS]) < CHANGE else None


def _gradient(second: Float, volt: Float) -> float:
    return float(np.gradient(volt, second).mean()) if len(second) > 1 else 0.0
