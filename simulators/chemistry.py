"""The numbers of a chemistry: curves over SOC and constants, per ampere-hour of nominal capacity.

Everything is scaled by C-rate (current in ampere / nominal capacity in ampere-hour), so that one set of
constants serves a cell of any size: a resistance in "volt per C" is ohm times ampere-hour. The values are
our own, plausible for 18650 cells of 2 to 3 Ah (LFP: 1.2 Ah); no maker's table was copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

GRID_LOW, GRID_STEP, GRID_POINTS = -0.05, 0.001, 1_101  # SOC grid of the curves: -0.05 to 1.05

Knots = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Chemistry:
    """Constants of one chemistry at 25 degrees Celsius, new. Voltages are terminal voltages."""

    name: str
    nominal_capacity_ah: float  # of the cell taken where no capacity is asked for
    voltage_min_volt: float  # discharge ends here
    voltage_max_volt: float  # charge is held here until the current has tapered off
    ocv: Knots  # (SOC, volt), the mean of charge and discharge
    entropy: Knots  # (SOC, volt per kelvin), dOCV/dT
    hysteresis_volt: float  # half the gap between the charge and the discharge branch
    hysteresis_per_soc: float  # how fast a branch is reached: 1/e after 1 / this much SOC
    ohmic_volt_per_c: float
    exchange_c: float  # 2 i0 of the charge transfer: eta = 2RT/F asinh(i / exchange_c)
    fast_volt_per_c: float  # first RC pair
    fast_second: float
    slow_volt_per_c: float  # second RC pair, diffusion
    slow_second: float
    activation_ohmic_kelvin: float  # activation energy / gas constant
    activation_transfer_kelvin: float
    activation_diffusion_kelvin: float
    heat_joule_per_kelvin_ah: float  # heat capacity
    cooling_watt_per_kelvin_ah: float  # to ambient
    fade_per_throughput: float  # capacity lost per nominal capacity moved (either way), 25 degrees, C/3
    fade_per_year: float  # capacity lost per year at rest, 25 degrees, half full
    knee: float  # capacity loss after which fading speeds up


NCA = Chemistry(
    name="nca",
    nominal_capacity_ah=2.9,
    voltage_min_volt=2.5,
    voltage_max_volt=4.2,
    ocv=(
        (-0.05, 1.80),
        (0.0, 2.60),
        (0.02, 2.90),
        (0.05, 3.13),
        (0.10, 3.31),
        (0.15, 3.40),
        (0.20, 3.46),
        (0.30, 3.55),
        (0.40, 3.61),
        (0.50, 3.67),
        (0.60, 3.76),
        (0.70, 3.86),
        (0.80, 3.95),
        (0.90, 4.06),
        (0.96, 4.13),
        (1.0, 4.183),
        (1.05, 4.50),
    ),
    entropy=((-0.05, -4e-4), (0.1, -2.5e-4), (0.3, 0.5e-4), (0.5, 1.2e-4), (0.7, -0.3e-4), (0.9, 0.8e-4), (1.05, 1e-4)),
    hysteresis_volt=0.010,
    hysteresis_per_soc=25.0,
    ohmic_volt_per_c=0.058,
    exchange_c=1.5,
    fast_volt_per_c=0.020,
    fast_second=12.0,
    slow_volt_per_c=0.050,
    slow_second=420.0,
    activation_ohmic_kelvin=1_900.0,
    activation_transfer_kelvin=6_000.0,
    activation_diffusion_kelvin=2_900.0,
    heat_joule_per_kelvin_ah=15.5,
    cooling_watt_per_kelvin_ah=0.030,
    fade_per_throughput=1.3e-4,
    fade_per_year=0.022,
    knee=0.20,
)

NMC = Chemistry(
    name="nmc",
    nominal_capacity_ah=3.0,
    voltage_min_volt=2.5,
    voltage_max_volt=4.2,
    ocv=(
        (-0.05, 1.90),
        (0.0, 2.66),
        (0.02, 2.95),
        (0.05, 3.20),
        (0.10, 3.38),
        (0.15, 3.45),
        (0.20, 3.51),
        (0.30, 3.585),
        (0.40, 3.635),
        (0.50, 3.705),
        (0.60, 3.80),
        (0.70, 3.90),
        (0.80, 4.00),
        (0.90, 4.08),
        (0.96, 4.13),
        (1.0, 4.183),
        (1.05, 4.50),
    ),
    entropy=((-0.05, -5e-4), (0.1, -3e-4), (0.3, 0.2e-4), (0.5, 0.9e-4), (0.7, 0.1e-4), (0.9, 0.5e-4), (1.05, 0.8e-4)),
    hysteresis_volt=0.012,
    hysteresis_per_soc=25.0,
    ohmic_volt_per_c=0.054,
    exchange_c=1.7,
    fast_volt_per_c=0.018,
    fast_second=10.0,
    slow_volt_per_c=0.045,
    slow_second=360.0,
    activation_ohmic_kelvin=2_000.0,
    activation_transfer_kelvin=6_200.0,
    activation_diffusion_kelvin=3_000.0,
    heat_joule_per_kelvin_ah=15.0,
    cooling_watt_per_kelvin_ah=0.030,
    fade_per_throughput=1.1e-4,
    fade_per_year=0.018,
    knee=0.22,
)

LFP = Chemistry(
    name="lfp",
    nominal_capacity_ah=1.2,
    voltage_min_volt=2.0,
    voltage_max_volt=3.6,
    ocv=(
        (-0.05, 1.30),
        (0.0, 2.20),
        (0.02, 2.72),
        (0.05, 3.02),
        (0.08, 3.15),
        (0.12, 3.20),
        (0.20, 3.245),
        (0.30, 3.283),
        (0.40, 3.294),
        (0.55, 3.300),
        (0.62, 3.312),
        (0.68, 3.332),
        (0.75, 3.336),
        (0.90, 3.340),
        (0.96, 3.350),
        (0.985, 3.38),
        (1.0, 3.573),
        (1.05, 4.40),
    ),
    entropy=(
        (-0.05, -3e-4),
        (0.1, -1.5e-4),
        (0.3, -0.2e-4),
        (0.5, 0.8e-4),
        (0.7, -0.5e-4),
        (0.9, 0.3e-4),
        (1.05, 0.3e-4),
    ),
    hysteresis_volt=0.018,
    hysteresis_per_soc=18.0,
    ohmic_volt_per_c=0.024,
    exchange_c=2.2,
    fast_volt_per_c=0.012,
    fast_second=8.0,
    slow_volt_per_c=0.022,
    slow_second=300.0,
    activation_ohmic_kelvin=2_100.0,
    activation_transfer_kelvin=6_500.0,
    activation_diffusion_kelvin=3_400.0,
    heat_joule_per_kelvin_ah=33.0,
    cooling_watt_per_kelvin_ah=0.060,
    fade_per_throughput=4.5e-5,
    fade_per_year=0.012,
    knee=0.25,
)

CHEMISTRIES = {c.name: c for c in (NCA, NMC, LFP)}


@cache
def curves(chemistry: Chemistry) -> Float:
    """Tabulate the curves over SOC: rows OCV, entropy, resistance shape, exchange shape, and their slopes.

    Returns [point, 8]: four values at each grid point, then the four differences to the next point. The
    resistance shape rises towards empty, the exchange shape falls towards both ends (i0 goes with the square
    root of free and filled sites, Butler-Volmer).
    """
    soc: Float = GRID_LOW + GRID_STEP * np.arange(GRID_POINTS + 1, dtype=np.float64)
    inside = np.clip(soc, 0.0, 1.0)
    values = np.stack(
        [
            smooth(chemistry.ocv, soc),
            smooth(chemistry.entropy, soc),
            0.95 + 1.2 * np.exp(-inside / 0.06) + 0.25 * np.exp(-(1.0 - inside) / 0.05),
            0.25 + 1.5 * np.sqrt(inside * (1.0 - inside)),
        ],
        axis=1,
    )
    return np.ascontiguousarray(np.concatenate([values[:-1], np.diff(values, axis=0)], axis=1))


def smooth(knots: Knots, at: Float) -> Float:
    """Interpolate with a smooth curve that is monotone wherever the knots are.

    Cubic Hermite with the harmonic mean of neighbouring slopes as tangents (Fritsch and Carlson 1980, Brodlie's
    form). `at` beyond the knots takes the outer knot's cubic.
    """
    x, y = np.array(knots, dtype=np.float64).T
    width, slope = np.diff(x), np.diff(y) / np.diff(x)
    before, after = slope[:-1], slope[1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(before * after > 0.0, 2.0 * before * after / (before + after), 0.0)
    tangent = np.concatenate([slope[:1], mean, slope[-1:]])
    j = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    t = (at - x[j]) / width[j]
    rise = slope[j] * width[j]
    left, right = tangent[j] * width[j], tangent[j + 1] * width[j]
    return np.asarray(y[j] + t * (left + t * (3.0 * rise - 2.0 * left - right + t * (left + right - 2.0 * rise))))
