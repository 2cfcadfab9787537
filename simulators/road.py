"""The FUDS speed trace turned into battery current: a small city car, its road load, its pack.

    F = m a (1 + rotating) + m g rolling + 1/2 rho drag_area v^2         grade 0
    P_battery = F v / efficiency + auxiliary           driving
              = max(F v * efficiency, -regeneration) + auxiliary         braking
    C-rate = -P_battery / pack energy                  positive on charge

FUDS and UDDS are one speed trace: `udds_speed.csv`, US Environmental Protection Agency, public domain.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from simulators.chemistry import Float

METRE_PER_SECOND_PER_MPH = 0.44704
MASS_KG = 1_300.0  # car and driver
ROTATING_SHARE = 0.05  # wheels and motor, as extra mass
ROLLING_COEFFICIENT = 0.010
DRAG_AREA_SQUARE_METRE = 0.62  # drag coefficient times front
AIR_KG_PER_CUBIC_METRE = 1.2
GRAVITY = 9.81
DRIVETRAIN_EFFICIENCY = 0.88  # battery to wheel, and wheel to battery
REGENERATION_LIMIT_WATT = 12_000.0  # at the battery; beyond it the friction brakes work
AUXILIARY_WATT = 300.0
PACK_WATT_HOUR = 10_000.0  # small, so that a city cycle works its cells hard: mean C/3, peak 3 C


def speed_metre_per_second() -> Float:
    """Read the trace: one value a second, [1370]."""
    path = Path(__file__).with_name("udds_speed.csv")
    table = np.loadtxt(path, delimiter=",", skiprows=2)
    return np.asarray(table[:, 1] * METRE_PER_SECOND_PER_MPH)


@cache
def fuds_c_rate() -> Float:
    """Battery current of one FUDS run as C-rate, positive on charge, [second]."""
    speed = speed_metre_per_second()
    middle = (speed[1:] + speed[:-1]) / 2.0
    force = (
        MASS_KG * (1.0 + ROTATING_SHARE) * np.diff(speed)
        + MASS_KG * GRAVITY * ROLLING_COEFFICIENT * (middle > 0.0)
        + 0.5 * AIR_KG_PER_CUBIC_METRE * DRAG_AREA_SQUARE_METRE * middle**2
    )
    wheel = force * middle
    braking = np.maximum(wheel * DRIVETRAIN_EFFICIENCY, -REGENERATION_LIMIT_WATT)
    battery = np.where(wheel > 0.0, wheel / DRIVETRAIN_EFFICIENCY, braking) + AUXILIARY_WATT
    return np.asarray(-battery / PACK_WATT_HOUR)
