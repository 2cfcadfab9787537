"""A train of pulses found in a recording: time, voltage and current in, turning-point voltages out.

The current is cut into steps where it changes by more than noise. A train is a rest and then, for amplitudes that
rise as 0.5, 1, 1.5, 2, 2.5 C, charge pulse, rest, discharge pulse, rest, all pulses of one width. A sample holds
until the next; a pulse's width is its charge over its current, so that a sample in which the current changed half
way counts for half. Where a pulse is under 95 % of its nominal width (voltage protection cut it off), the charge
in the cell is no longer what it was, and the train is refused.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from estimators.contract import Float
from estimators.pulse.features import AMPLITUDES_C_RATE, PER_AMPLITUDE, REST_WIDTHS, SHORT, WHOLE

WIDTHS_SECOND = (0.03, 0.05, 0.07, 0.1, 0.3, 0.5, 0.7, 1.0, 3.0, 5.0)
EDGE_C_RATE = 0.1  # a change of the current by more than this is an edge
REST_C_RATE = 0.05  # a rest's current stays under this
AMPLITUDE_SHARE = 0.05  # how far an amplitude may be off
CUT_SHARE = 0.95  # a pulse shorter than this share of its width was cut off
LONG_SHARE = 1.2  # one longer than this is another width
SHORTEST_REST_SECOND = 600.0  # before the first pulse
REST_SHORT_SHARE = 0.7  # rests between pulses last 15 widths; the end of a shorter one is not at rest
LAST_REST_WIDTHS = 5.0  # after the last pulse, when a recording may stop
FEWEST_PULSES = 2  # up and down: less is something else
FAST_HERTZ = 9.5  # from here on a step's start is seen, not only its end


class Flaw(enum.StrEnum):
    """Why a recording gives no turning points."""

    NO_PULSES = "no_pulses"
    TOO_FEW_PULSES = "too_few_pulses"  # the train ends before 1.5 C
    NOT_RESTED = "not_rested"  # under ten minutes of rest before the first pulse
    PULSE_CUT_SHORT = "pulse_cut_short"
    WIDTHS_DIFFER = "widths_differ"
    TOO_SLOW = "too_slow"  # the log has fewer than two samples in a pulse


@dataclass(frozen=True, slots=True)
class PulseTrain:
    """What was found; `flaw` says why `voltage_volt` must not be used."""

    begin_second: float  # of the first pulse; NaN where there is none
    voltage_volt: Float  # [21 or 41] U1...; NaN: a step's start in a slow log
    width_second: Float  # [pulse] as measured
    c_rate: Float  # [pulse] as measured; negative: discharge
    width_ms: int  # nominal
    sample_second: float
    rest_second: float  # before the first pulse
    flaw: Flaw | None = None

    @property
    def only_ends(self) -> bool:
        """Tell whether the log is too slow for the starts of steps."""
        return self.sample_second > 1.0 / FAST_HERTZ


class _Step(NamedTuple):
    """Samples [first, last] of one current."""

    first: int
    last: int
    c_rate: float
    charge_c_second: float  # integral of the C-rate, with that of the samples on the way to it and from it


def recognise(
    second: Float, voltage_volt: Float, current_ampere: Float, nominal_capacity_ah: float, rested_second: float = 0.0
) -> list[PulseTrain]:
    """Find every train in a recording [n], in order of time; `second` ascends. None found: an empty list.

    `rested_second`: how long the cell rested before the recording began, where that is known.
    """
    if len(second) < 3:
        return []
    c_rate = current_ampere / nominal_capacity_ah
    held = np.append(np.diff(second), np.median(np.diff(second)))
    steps = _steps(c_rate, held)
    trains = []
    at = 0
    while at < len(steps):
        rests_before = at > 0 and abs(steps[at - 1].c_rate) <= REST_C_RATE
        pulses = _follow(steps, at) if rests_before else []
        if len(pulses) >= FEWEST_PULSES:
            train = _train(steps, pulses, second, voltage_volt, held, 0.0 if steps[at - 1].first else rested_second)
            trains.append(train)
        at += max(2 * len(pulses), 1)
    return trains


def _steps(c_rate: Float, held: Float) -> list[_Step]:
    """Cut at the edges; a lone sample between two others is an edge that took its time."""
    cuts = np.flatnonzero(np.abs(np.diff(c_rate)) > EDGE_C_RATE) + 1
    bounds = np.concatenate([[0], cuts, [len(c_rate)]])
    charge = c_rate * held
    steps: list[_Step] = []
    left = 0.0  # charge of a transition that belongs to whichever neighbour carries current
    for a, b in pairwise(bounds.tolist()):
        level = float(np.median(c_rate[a:b]))
        if b - a == 1 and not _level_of_its_own(c_rate, a):
            left += float(charge[a])
            if steps and abs(steps[-1].c_rate) > REST_C_RATE:
                steps[-1] = steps[-1]._replace(charge_c_second=steps[-1].charge_c_second + left)
                left = 0.0
            continue
        own = float(charge[a:b].sum()) + (left if abs(level) > REST_C_RATE else 0.0)
        steps.append(_Step(a, b - 1, level, own))
        left = 0.0
    return steps


def _level_of_its_own(c_rate: Float, at: int) -> bool:
    """Tell a pulse of one sample, an extreme, from a sample on the way between two levels."""
    if at in (0, len(c_rate) - 1):
        return True
    before, here, after = c_rate[at - 1 : at + 2]
    return bool((here - before) * (here - after) > 0)


def _is(step: _Step, c_rate: float) -> bool:
    return abs(step.c_rate / c_rate - 1.0) <= AMPLITUDE_SHARE


def _follow(steps: list[_Step], at: int) -> list[int]:
    """Give the places of the pulses of the train that begins at `at`: each followed by its rest."""
    wanted = [sign * c for c in AMPLITUDES_C_RATE for sign in (1.0, -1.0)]
    found: list[int] = []
    for c_rate in wanted:
        if at + 1 >= len(steps) or not _is(steps[at], c_rate) or abs(steps[at + 1].c_rate) > REST_C_RATE:
            break
        found.append(at)
        at += 2
    return found


def _train(
    steps: list[_Step], pulses: list[int], second: Float, volt: Float, held: Float, rested_second: float
) -> PulseTrain:
    first, rest = steps[pulses[0]], steps[pulses[0] - 1]
    rested = float(second[first.first] - second[rest.first]) + rested_second
    period = float(np.median(np.concatenate([held[steps[i].first : steps[i].last + 1] for i in pulses])))
    widths = np.array([steps[i].charge_c_second / steps[i].c_rate for i in pulses])
    c_rates = np.array([steps[i].c_rate for i in pulses])
    nominal = min(WIDTHS_SECOND, key=lambda w: abs(np.log(w / float(np.median(widths)))))
    shown = WHOLE if len(pulses) == 2 * len(AMPLITUDES_C_RATE) else SHORT
    points = np.full(shown, np.nan)
    points[0] = volt[rest.last]
    for number, i in enumerate(pulses[: 10 if shown == WHOLE else 5]):
        at = 1 + PER_AMPLITUDE // 2 * number
        pulse, pause = steps[i], steps[i + 1]
        points[at : at + 4] = volt[[pulse.first, pulse.last, pause.first, pause.last]]
    if period > 1.0 / FAST_HERTZ:
        points[1::2] = np.nan
    pauses = [float(held[steps[i + 1].first : steps[i + 1].last + 1].sum()) for i in pulses]
    flaw = _flaw(widths, pauses, nominal, rested, period)
    return PulseTrain(
        begin_second=float(second[first.first]),
        voltage_volt=points,
        width_second=widths,
        c_rate=c_rates,
        width_ms=round(1000 * nominal),
        sample_second=period,
        rest_second=rested,
        flaw=flaw,
    )


def _flaw(widths: Float, pauses: list[float], nominal: float, rested: float, period: float) -> Flaw | None:
    """Find the first thing that stands against a train, in the order in which a person would ask."""
    *between, last = pauses[: 10 if len(pauses) == 10 else 5]
    brief = min(between) < REST_SHORT_SHARE * REST_WIDTHS * nominal or last < LAST_REST_WIDTHS * nominal
    against = {
        Flaw.TOO_FEW_PULSES: len(widths) < 5,
        Flaw.NOT_RESTED: rested < SHORTEST_REST_SECOND - 2.0 * period,
        Flaw.TOO_SLOW: nominal < 2.0 * period,
        Flaw.PULSE_CUT_SHORT: bool((widths < CUT_SHARE * nominal).any()),
        Flaw.WIDTHS_DIFFER: brief or bool((widths > LONG_SHARE * nominal).any()),
    }
    return next((flaw for flaw, found in against.items() if found), None)
