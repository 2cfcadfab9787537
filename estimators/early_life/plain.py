"""What the transfer is judged by: six simpler ways to a cell's later capacity.

Each takes early_ah [cycle], the temperature, the sources and the last cycle asked for, and gives mean and
deviation [cycle] in Ah of every cycle after the known ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from estimators.early_life.transfer import (
    KELVIN,
    acceleration,
    extended,
    first_ah,
    level,
    lost,
    steady,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from estimators.contract import Float
    from estimators.early_life.transfer import Source

SLOPE_EVERY = 4  # of the cycles enter a Theil-Sen line
WARPS = np.exp(np.linspace(-1.5, 1.5, 121))
WARP_STD = 0.3  # of the logarithm of a warp about Arrhenius' law
FIT_STD = 0.004  # of a known loss about a warped source
AVERAGED_CYCLES = 20  # at either end of the known ones, for a rate as the seed's authors take it
MOST = 5.0  # an acceleration factor is not above
GRID_CYCLES = 20  # a Gaussian process sees a source at one cycle in so many
NOISE = 0.005


class Said(NamedTuple):
    """Capacity of every cycle after the known ones."""

    mean_ah: Float
    std_ah: Float


def hold(early_ah: Float, temperature_celsius: float, sources: Sequence[Source], cycles: int) -> Said:
    """Capacity stays as it is."""
    del temperature_celsius, sources
    now = np.full(cycles - len(early_ah), level(steady(early_ah)))
    return Said(now, _widening(now, 0.25))


def line(early_ah: Float, temperature_celsius: float, sources: Sequence[Source], cycles: int) -> Said:
    """It goes on by the median slope between any two known cycles (Theil and Sen)."""
    del temperature_celsius, sources
    early = steady(early_ah)
    n = np.arange(len(early))[::SLOPE_EVERY]
    i, j = np.triu_indices(len(n), 1)
    slope = float(np.median((early[n[j]] - early[n[i]]) / (n[j] - n[i])))
    height = float(np.median(early[n] - slope * n))
    mean = height + slope * np.arange(len(early), cycles, dtype=np.float64)
    return Said(mean, _widening(mean, 0.08))


def warped(early_ah: Float, temperature_celsius: float, sources: Sequence[Source], cycles: int, at: int = 0) -> Said:
    """Run one source's life faster or slower: loss(n) = loss_s(k n), k by the known cycles and Arrhenius' law."""
    early, source = steady(early_ah), sources[at]
    known, n = len(early), np.arange(cycles)
    whole = extended(source.loss, int(cycles * WARPS[-1]) + 1)
    curves = np.array([np.interp(n * k, np.arange(len(whole)), whole) for k in WARPS])
    rest = lost(early) - curves[:, :known]
    fit = rest.var(axis=1) * known / AVERAGED_CYCLES / FIT_STD**2
    law = np.log(acceleration(source.temperature_celsius, temperature_celsius))
    best = curves[np.argmin(fit + ((np.log(WARPS) - law) / WARP_STD) ** 2)]
    mean = level(early) - first_ah(early) * (best[known:] - level(best[:known]))
    return Said(mean, _widening(mean, 0.06))


def factors(early_ah: Float, temperature_celsius: float, sources: Sequence[Source], cycles: int) -> Said:
    """Blend the sources' increments by acceleration factors, as the published chain means it, without its slips.

    AT = r r_s / (r_s^2 + v_s), within [0, 5], v_s from how cells of a source differ; weights go with 1 / |AT - 1|.
    """
    del temperature_celsius
    early = steady(early_ah)
    known = len(early)

    def pace(loss: Float) -> float:
        gap = loss[known - AVERAGED_CYCLES : known].mean() - loss[:AVERAGED_CYCLES].mean()
        return float(gap / (known - AVERAGED_CYCLES))

    own = pace(lost(early))
    losses = np.array([extended(s.loss, cycles) for s in sources])
    paces = np.array([pace(loss) for loss in losses])
    doubt = np.array([s.spread[known - 1] / known for s in sources]) ** 2
    speed = np.clip(own * paces / (paces**2 + doubt), 0.0, MOST)
    weight = 1.0 / np.maximum(np.abs(speed - 1.0), 1e-3)
    blended = (weight / weight.sum() * speed) @ losses
    mean = level(early) - first_ah(early) * (blended[known:] - level(blended[:known]))
    return Said(mean, _widening(mean, 0.06))


def process(early_ah: Float, temperature_celsius: float, sources: Sequence[Source], cycles: int) -> Said:
    """A Gaussian process of loss over cycle and 1/T, given the sources and the known cycles.

    Its lengths are those of a few that make what is known likeliest.
    """
    early = steady(early_ah)
    known = len(early)
    places = [_warmth(s.temperature_celsius) for s in sources]
    seen = [(np.full(len(n), place), n / 1000.0, s.loss[n]) for place, s in zip(places, sources, strict=True)
            for n in [np.arange(0, len(s.loss), GRID_CYCLES)]]  # fmt: skip
    n = np.arange(0, known, GRID_CYCLES // 2)
    seen.append((np.full(len(n), _warmth(temperature_celsius)), n / 1000.0, lost(early)[n]))
    x, t, y = (np.concatenate(column) for column in zip(*seen, strict=True))

    def likelihood(lengths: tuple[float, float]) -> float:
        k = _kernel(x, t, x, t, *lengths) + NOISE**2 * np.eye(len(x))
        return float(-0.5 * (y @ np.linalg.solve(k, y) + np.linalg.slogdet(k)[1]))

    best = max(((a, b) for a in (0.5, 1.0, 2.0, 4.0) for b in (0.1, 0.3, 1.0)), key=likelihood)
    asked_t = np.arange(known, cycles) / 1000.0
    asked_x = np.full(len(asked_t), _warmth(temperature_celsius))
    across = _kernel(asked_x, asked_t, x, t, *best)
    k = _kernel(x, t, x, t, *best) + NOISE**2 * np.eye(len(x))
    mean = across @ np.linalg.solve(k, y)
    own = _kernel(asked_x[:1], asked_t[:1] * 0, asked_x[:1], asked_t[:1] * 0, *best)[0, 0] + asked_t**2 / 4
    variance = np.maximum(own - (across * np.linalg.solve(k, across.T).T).sum(axis=1), 0.0) + NOISE**2
    first = first_ah(early)
    return Said(first * (1.0 - mean), first * np.sqrt(variance))


def _kernel(x: Float, t: Float, y: Float, u: Float, warmth_length: float, cycle_length: float) -> Float:
    """Make the covariance of losses: a line in cycles and what bends it, both changing slowly with warmth."""
    near = np.exp(-(((x[:, None] - y[None]) / warmth_length) ** 2) / 2)
    bend = 0.05**2 * np.exp(-(((t[:, None] - u[None]) / cycle_length) ** 2) / 2)
    return np.asarray(near * (np.outer(t, u) / 4 + bend))


def _warmth(temperature_celsius: float) -> float:
    """Scale 1/T so that 25 to 55 degrees are about 1."""
    return (1.0 / (25.0 + KELVIN) - 1.0 / (temperature_celsius + KELVIN)) * 3260.0


def _widening(mean_ah: Float, share: float) -> Float:
    """Make a plain deviation: a share of the first mean after a thousand cycles, by the root of the cycles."""
    return np.asarray(abs(mean_ah[0]) * share * np.sqrt(np.arange(1, len(mean_ah) + 1) / 1000.0))
