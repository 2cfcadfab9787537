"""A cell's later capacity from its first cycles and from cells that lived at other temperatures.

All cells of one design that go through the same cycles lose capacity alike, faster where it is warmer, and they
recover together after the check-ups between. So losses are added up at equal cycle numbers, not stretched:

    loss(n) = sum_s b_s loss_s(n),        b ~ N(m, SHARE_STD^2)

with loss a share of the first capacity, s the temperatures that are known whole, and m their Arrhenius shares:
1/T lies between the two nearest 1/T_s as m says. The rate r at which the cell lost during its first cycles then
updates b, a signed and shrunk acceleration factor for each source (Bayes' rule for one linear observation):

    b = m + C R (r - R'm) / (R'CR + v),   P = C - C R R'C / (R'CR + v),   C = SHARE_STD^2

with R the sources' rates in the same cycles and v how far a cell's early rate strays without lasting. Later capacity
goes on from the last known level by the blended loss; its deviation is that of b, of cells and of the level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from estimators.contract import Float

KELVIN = 273.15
BOLTZMANN_EV = 8.617333e-5
ACTIVATION_EV = 0.25  # beyond the known temperatures alone: about 24 kJ/mol
START_CYCLES = 10  # the first capacity is their median
LEVEL_CYCLES = 40  # the last level is the end of a line through them
TAIL_CYCLES = 200  # their line goes on where a source's record ends
FEWEST_CYCLES = 50  # a rate over fewer says nothing
SHARE_STD = 0.1  # of a source's share before the cell was seen
LEVEL_STD = 0.005  # of the last level, a share of the first capacity
LEAST_SPREAD = 0.02  # of the loss, between cells of one temperature
STRAYING = 1 / 3  # of what cells of one temperature differ by at first does not last
MEASURED_CYCLES = 200  # known, when the deviations above were measured; with fewer, the band widens in proportion
STILL_APART = 0.5  # of what they differ by in the end is not yet seen in the rate
FAR_CELSIUS = 5.0  # outside of the sources' temperatures by more is another place
WHOLE = 0.8  # of the longest record: shorter ones do not enter a source


class Source(NamedTuple):
    """Cells of one temperature, pooled. Losses are shares of the first capacity, positive."""

    temperature_celsius: float
    loss: Float  # [cycle], from cycle 1
    spread: Float  # [cycle] deviation between cells
    cells: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is expected of one cell."""

    mean_ah: Float  # [cycle asked]
    std_ah: Float  # [cycle asked]
    share: Float  # [source] of each source's loss
    in_domain: bool


def pool(capacity_ah: Sequence[Float], temperature_celsius: float) -> Source:
    """Make a source of whole cells, each capacity_ah [cycle] from cycle 1; records that end early are left out."""
    longest = max(map(len, capacity_ah))
    whole = [c for c in capacity_ah if len(c) >= WHOLE * longest]
    end = min(map(len, whole))
    loss = np.array([lost(steady(c[:end])) for c in whole])
    spread = loss.std(axis=0, ddof=1) if len(whole) > 1 else np.zeros(end)
    return Source(temperature_celsius, np.median(loss, axis=0), spread, len(whole))


def join(first: Source, second: Source) -> Source:
    """Make one source of two of the same temperature, each counting by its cells."""
    end = min(len(first.loss), len(second.loss))
    weight = np.array([first.cells, second.cells]) / (first.cells + second.cells)
    loss = weight @ np.array([first.loss[:end], second.loss[:end]])
    spread = np.sqrt(weight @ np.array([first.spread[:end], second.spread[:end]]) ** 2)
    return Source(first.temperature_celsius, loss, spread, first.cells + second.cells)


def agree(first: Source, second: Source) -> bool:
    """Tell whether two sources of one temperature look like cells of one design under one schedule."""
    end = min(len(first.loss), len(second.loss))
    spread = np.sqrt(first.spread[:end] ** 2 + second.spread[:end] ** 2)
    room = 3.0 * np.maximum(spread, LEAST_SPREAD)
    return bool(np.mean(np.abs(first.loss[:end] - second.loss[:end]) < room) > 0.9)


def foresee(early_ah: Float, temperature_celsius: float, sources: Sequence[Source], cycles: int) -> Outlook:
    """Say the capacity of every cycle after those of early_ah [cycle] up to `cycles`.

    Raises ValueError for fewer than `FEWEST_CYCLES` known cycles or without a source.
    """
    known = len(early_ah)
    if known < FEWEST_CYCLES or not sources:
        raise ValueError(f"{known} cycles and {len(sources)} sources: wanted are {FEWEST_CYCLES} cycles and a source")
    early = steady(early_ah)
    prior = arrhenius_shares(temperature_celsius, [s.temperature_celsius for s in sources])
    losses = np.array([extended(s.loss, cycles) for s in sources])
    rates = np.array([rate(loss[:known]) for loss in losses])
    noise = _rate_variance(prior, sources, known)
    own = rate(lost(early))
    share, left = shared(prior, rates, own, noise)

    later = losses[:, known:] - np.array([[level(loss[:known])] for loss in losses])
    blended = share @ later
    between = STILL_APART * _cell_spread(prior, sources) * blended
    std = np.sqrt(np.einsum("sn,st,tn->n", later, left, later) + between**2 + LEVEL_STD**2)
    first = first_ah(early)
    return Outlook(
        mean_ah=level(early) - first * blended,
        std_ah=first * std * max(MEASURED_CYCLES / known, 1.0),
        share=share,
        in_domain=_near(temperature_celsius, sources) and _expected(own, prior, rates, noise),
    )


def shared(prior: Float, rates: Float, rate: float, variance: float) -> tuple[Float, Float]:
    """Correct prior shares [source] by one rate, with the sources' rates [source]; give their covariance too."""
    covariance = SHARE_STD**2 * np.eye(len(prior))
    gain = covariance @ rates / (rates @ covariance @ rates + variance)
    return prior + gain * (rate - rates @ prior), covariance - np.outer(gain, rates) @ covariance


def arrhenius_shares(temperature_celsius: float, known_celsius: Sequence[float]) -> Float:
    """Give the share [known] of each known temperature: 0 but for the two about it, or the one next to it."""
    place = 1.0 / (temperature_celsius + KELVIN)
    at = np.array([1.0 / (t + KELVIN) for t in known_celsius])
    share = np.zeros(len(at))
    warmer, colder = np.flatnonzero(at <= place), np.flatnonzero(at >= place)
    if len(warmer) and len(colder):
        w, c = warmer[np.argmax(at[warmer])], colder[np.argmin(at[colder])]
        part = 0.5 if w == c else (at[c] - place) / (at[c] - at[w])
        share[w] += part
        share[c] += 1.0 - part
    else:
        nearest = int(np.argmin(np.abs(at - place)))
        share[nearest] = acceleration(known_celsius[nearest], temperature_celsius)
    return share


def acceleration(from_celsius: float, to_celsius: float) -> float:
    """Say how many times as fast a cell ages, by Arrhenius' law."""
    gap = 1.0 / (from_celsius + KELVIN) - 1.0 / (to_celsius + KELVIN)
    return float(np.exp(ACTIVATION_EV / BOLTZMANN_EV * gap))


def steady(capacity_ah: Float) -> Float:
    """Take single wild cycles out: the running median of five."""
    padded = np.pad(capacity_ah, 2, mode="edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1))


def first_ah(capacity_ah: Float) -> float:
    """Say the capacity that losses are a share of."""
    return float(np.median(capacity_ah[:START_CYCLES]))


def lost(capacity_ah: Float) -> Float:
    """Turn capacity [cycle] into loss, a share of the first capacity."""
    return np.asarray(1.0 - capacity_ah / first_ah(capacity_ah))


def rate(loss: Float) -> float:
    """Say how much is lost a cycle, by a line through all."""
    return float(np.polyfit(np.arange(len(loss)), loss, 1)[0])


def level(values: Float) -> float:
    """Say where values [cycle] stand after the last cycle, one wild cycle aside."""
    end = values[-LEVEL_CYCLES:]
    height = np.polyfit(np.arange(1 - len(end), 1), end, 1)[1]
    return float(height)


def extended(loss: Float, cycles: int) -> Float:
    """Let a source's loss go on to `cycles` by the line of its last cycles."""
    more = np.arange(1, cycles - len(loss) + 1)
    return np.concatenate([loss[:cycles], loss[-1] + rate(loss[-TAIL_CYCLES:]) * more])


def _rate_variance(prior: Float, sources: Sequence[Source], known: int) -> float:
    """Say by how much the rate of a cell differs from the sources', being one cell among cells, and they a few."""
    apart = np.array([max(s.spread[min(known, len(s.spread)) - 1], LEAST_SPREAD / 4) for s in sources])
    each = STRAYING * apart / known
    few = 1.0 / np.array([s.cells for s in sources])
    return float((each**2).mean() + (prior**2 * each**2 * few).sum())


def _cell_spread(prior: Float, sources: Sequence[Source]) -> float:
    """Say by which part the losses of cells of one temperature differ."""
    each = np.array([max(s.spread[-1] / max(s.loss[-1], LEAST_SPREAD), LEAST_SPREAD) for s in sources])
    return float((prior * each).sum() / prior.sum())


def _expected(own: float, prior: Float, rates: Float, variance: float) -> bool:
    """Tell whether a rate is within three deviations of what temperature says."""
    return bool((own - rates @ prior) ** 2 < 9.0 * (SHARE_STD**2 * rates @ rates + variance))


def _near(temperature_celsius: float, sources: Sequence[Source]) -> bool:
    known = [s.temperature_celsius for s in sources]
    return min(known) - FAR_CELSIUS <= temperature_celsius <= max(known) + FAR_CELSIUS
