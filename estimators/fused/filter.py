r"""An extended Kalman filter over the equivalent circuit, run for several stories about a cell at once.

States of one story: nominal SOC, the currents through the two RC pairs, where the cell stands on its hysteresis,
what must be added to the current sensor's reading, SOH. Counting predicts, the voltage and the network's SOC
correct. Every story tells something else about what cannot be seen at first: that start and sensor are right,
that the sensor is off, that the start is wrong (`STORIES`). Each is weighed by how well it explains what is
seen, and the estimate is their mean (Magill, IEEE Trans. Automatic Control 10, 1965). A story that has died is
begun anew from the best one, so that a fault that comes later is found too.

Circuit and network err alike for minutes. An error that keeps its sign for T seconds makes a second worth 1/T of
an independent look: that is its weight as evidence, and as a correction once the filter knows more than one look
tells. Below that, the first look counts at once. The SOH takes a small share of each correction (partial-update
Schmidt-Kalman filter: Brink, J. Guidance, Control and Dynamics 40, 2017).

Arrays are [state, story, cell]; every row is computed by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from estimators.cell_type import CellType
    from estimators.circuit import Circuit, Point
    from estimators.contract import Bool, Float

SOC, FAST, SLOW, HYSTERESIS, OFFSET, SOH = range(6)
STATES = 6

# Currents are in multiples of the nominal capacity over an hour, so that the same figures serve any size of cell.
KNOWN_SOC_STD, UNKNOWN_SOC_STD = 0.005, 0.25
KNOWN_RC_C_RATE, UNKNOWN_RC_C_RATE = 0.35, 1.0  # what went on before the first sample
IN_USE_C_RATE = 0.12  # a stronger discharge in the first sample: found in use, with
DRIVE_C_RATE = 0.4  # so much through the RC pairs, as minutes of driving leave it
HYSTERESIS_STD = 0.6  # anywhere between the branches
SOH_WALK = 1.7e-6  # per square root of a second: half a point in 100 days
SOH_SHARE = 0.03  # of a correction: the circuit's error is the same in every cycle
SENSOR_MEMORY_SECOND = 3 * 86400.0  # how long the sensor's offset stays what it was
SOC_WALK, RC_WALK_C_RATE = 1e-5, 4e-4  # per square root of a second
CIRCUIT_SECOND, NETWORK_SECOND = 200.0, 2000.0  # how long each keeps its error, as a correction;
FLAT_CIRCUIT_SECOND = 1000.0  # longer where the OCV is flat and the error mostly hysteresis (LFP)
CIRCUIT_UNSURE, NETWORK_UNSURE = 10.0, 0.5
EVIDENCE_SECOND = 150.0  # and as evidence
FIRST_EVIDENCE = 0.7  # of the first look, falling with the seconds
RESIDUAL_FLOOR_VOLT = 0.012  # no cell is the very one that the tables were made from
NETWORK_STD = 0.015  # beside what the network says: no training has met every way of driving
NETWORK_DOUBT = 2.0  # times what it says: one that began in mid-drive in the cold stays more wrong than it knows
RESISTIVE_ERROR = 0.1  # of the voltage over all resistances
EMPTY_SOC, EMPTY_ERROR = 0.3, 3.0  # towards empty the circuit is up to four times as wrong
SOC_RANGE, SOH_RANGE = (-0.1, 1.05), (0.4, 1.2)
DEAD, REBORN = -14.0, -7.0  # logarithm of a story's weight


class Story(NamedTuple):
    """What one filter takes for granted."""

    log_weight: float
    knows_start: bool
    offset_c_rate: float  # std of the sensor's offset


STORIES = (
    Story(float(np.log(0.7)), knows_start=True, offset_c_rate=0.003),
    Story(float(np.log(0.2)), knows_start=True, offset_c_rate=0.1),
    Story(float(np.log(0.1)), knows_start=False, offset_c_rate=0.05),
)


@dataclass(slots=True)
class Belief:
    """All stories of some cells."""

    mean: Float  # [state, story, cell]
    covariance: Float  # [state, state, story, cell]
    log_weight: Float  # [story, cell]

    def weight(self) -> Float:
        """Give the share of each story, [story, cell]."""
        share = np.exp(self.log_weight - self.log_weight.max(axis=0))
        return np.asarray(share / share.sum(axis=0))

    def mix(self) -> tuple[Float, Float]:
        """Give the mean [state, cell] and the covariance of SOC and SOH [2, 2, cell] over all stories."""
        share = self.weight()
        mean = (share * self.mean).sum(axis=1)
        two = [SOC, SOH]
        apart = self.mean[two] - mean[two][:, None]
        spread = self.covariance[np.ix_(two, two)] + apart[:, None] * apart[None]
        return mean, (share * spread).sum(axis=2)


class Look(NamedTuple):
    """One measurement of every cell as each story expects it."""

    innovation: Float  # [story, cell]
    slope: Float  # [state, story, cell] of what was expected, over the states
    variance: Float  # [cell] of a single look
    second: float  # how long its error keeps its sign
    unsure: float  # so many looks, spread over the first while, before that counts
    usable: Bool  # [cell]


class Filter:
    """The filter of one cell type."""

    def __init__(self, cell_type: CellType, circuit: Circuit) -> None:
        self.circuit = circuit
        self._capacity = cell_type.nominal_capacity_ah
        self._circuit_second = FLAT_CIRCUIT_SECOND if cell_type.chemistry == "lfp" else CIRCUIT_SECOND
        self.offset_std = np.array([s.offset_c_rate for s in STORIES]) * self._capacity
        self._decay = np.ones(STATES)
        self._decay[FAST], self._decay[SLOW] = np.exp(-1.0 / circuit.rc_second)
        self._decay[OFFSET] = np.exp(-1.0 / SENSOR_MEMORY_SECOND)
        self._drive = np.zeros(STATES)  # by one ampere over one second
        self._drive[SOC] = 1.0 / (3600.0 * self._capacity)
        self._drive[[FAST, SLOW]] = 1.0 - self._decay[[FAST, SLOW]]
        self._noise = np.zeros((STATES, len(STORIES)))
        self._noise[SOC] = SOC_WALK**2
        self._noise[[FAST, SLOW]] = (RC_WALK_C_RATE * self._capacity) ** 2
        self._noise[OFFSET] = (1.0 - self._decay[OFFSET] ** 2) * self.offset_std**2
        self._noise[SOH] = SOH_WALK**2

    def begin(self, soc: Float, soh: Float, soh_std: Float) -> Belief:
        """Begin with what is told: nominal SOC (NaN: not known), SOH and its deviation, [cell] each."""
        shape = (len(STORIES), len(soc))
        mean = np.zeros((STATES, *shape))
        mean[SOC], mean[SOH] = soc, soh
        covariance = np.zeros((STATES, STATES, *shape))
        knows = np.array([[s.knows_start] for s in STORIES]) & np.isfinite(soc)
        covariance[SOC, SOC] = np.where(knows, KNOWN_SOC_STD, UNKNOWN_SOC_STD) ** 2
        rc = np.where(knows, KNOWN_RC_C_RATE, UNKNOWN_RC_C_RATE) * self._capacity
        covariance[FAST, FAST] = covariance[SLOW, SLOW] = rc**2
        covariance[HYSTERESIS, HYSTERESIS] = HYSTERESIS_STD**2
        covariance[OFFSET, OFFSET] = self.offset_std[:, None] ** 2
        covariance[SOH, SOH] = soh_std**2
        log_weight = np.repeat([[s.log_weight] for s in STORIES], len(soc), axis=1)
        return Belief(mean, covariance, log_weight)

    def first_look(self, belief: Belief, which: Bool, voltage: Float, current: Float, temperature: Float) -> None:
        """Put the SOC that the first voltage shows where a story knows none. Changes `belief`.

        A cell that is under load has mostly been so for a while: taken for rested, it would seem emptier than it is.
        """
        if not which.any():
            return
        cells = np.flatnonzero(which)
        soh = belief.mean[SOH, 0, cells]
        beyond = (-current[cells] / self._capacity - IN_USE_C_RATE) / IN_USE_C_RATE
        flow = -DRIVE_C_RATE * self._capacity * np.clip(beyond, 0.0, 1.0)
        present = self.circuit.soc_at(voltage[cells], current[cells], temperature[cells], flow)
        shown = 1.0 - (1.0 - present) * soh / self.circuit.reference_soh
        for number, story in enumerate(STORIES):
            told = belief.mean[SOC, number, cells]
            known = np.isfinite(told) & story.knows_start
            belief.mean[SOC, number, cells] = np.where(known, told, shown)
            for pair in (FAST, SLOW):
                belief.mean[pair, number, cells] = flow
                belief.covariance[pair, pair, number, cells] += np.where(known, flow**2, 0.0)  # or it was at rest

    def predict(self, belief: Belief, current: Float) -> Belief:
        """Count one second of the sensor's current [cell]."""
        mean, p = belief.mean, belief.covariance
        flow = current + mean[OFFSET]
        moved = np.abs(flow) * self._drive[SOC]
        kept = np.exp(-self.circuit.hysteresis_per_soc * moved)
        drive = self._drive[:, None, None]
        after = self._decay[:, None, None] * mean + drive * flow
        after[HYSTERESIS] = kept * mean[HYSTERESIS] + (1.0 - kept) * np.sign(flow)
        decay = np.repeat(self._decay[:, None], p.shape[2], axis=1)[:, :, None] * np.ones(p.shape[3])
        decay[HYSTERESIS] = kept
        half = decay[:, None] * p + drive[:, None] * p[OFFSET]
        p = half * decay[None] + half[:, OFFSET][:, None] * drive[None]
        p = 0.5 * (p + p.swapaxes(0, 1))  # rounding would part the halves within days
        diagonal = np.arange(STATES)
        p[diagonal, diagonal] += self._noise[:, :, None]
        return Belief(after, p, belief.log_weight)

    def voltage_look(self, belief: Belief, voltage: Float, current: Float, temperature: Float, usable: Bool) -> Look:
        """Compare the voltage [cell] with what each story expects."""
        circuit, mean = self.circuit, belief.mean
        shape = mean.shape[1:]
        scale = circuit.reference_soh / mean[SOH]
        present = 1.0 - (1.0 - mean[SOC]) * scale
        wide = np.broadcast_to(temperature, shape)
        point = _reshaped(circuit.at(present.ravel(), wide.ravel()), shape)
        flow = current + mean[OFFSET]
        shown = circuit.terminal(point, flow, mean[FAST], mean[SLOW], mean[HYSTERESIS])
        slope = np.empty_like(mean)
        slope[SOC] = shown.over_soc * scale
        slope[FAST], slope[SLOW] = point.rc_1_ohm, point.rc_2_ohm
        slope[HYSTERESIS] = point.hysteresis_volt
        slope[OFFSET] = shown.over_ampere
        slope[SOH] = shown.over_soc * (1.0 - mean[SOC]) * scale / mean[SOH]
        share = belief.weight()
        empty = np.clip((EMPTY_SOC - present) / EMPTY_SOC, 0.0, 1.0)
        residual = np.maximum(circuit.residual(temperature), RESIDUAL_FLOOR_VOLT) * (1.0 + EMPTY_ERROR * empty)
        variance = (share * (residual**2 + (RESISTIVE_ERROR * shown.over_volt) ** 2)).sum(axis=0)
        return Look(voltage - shown.volt, slope, variance, self._circuit_second, CIRCUIT_UNSURE, usable)


def soc_look(belief: Belief, present_soc: Float, std: Float, usable: Bool) -> Look:
    """Compare another's SOC of present capacity, and its standard deviation [cell], with each story's."""
    soc, soh = belief.mean[SOC], belief.mean[SOH]
    slope = np.zeros_like(belief.mean)
    slope[SOC] = 1.0 / soh
    slope[SOH] = (1.0 - soc) / soh**2
    innovation = present_soc - (1.0 - (1.0 - soc) / soh)
    variance = (NETWORK_DOUBT * std) ** 2 + NETWORK_STD**2
    return Look(innovation, slope, variance, NETWORK_SECOND, NETWORK_UNSURE, usable)


def correct(belief: Belief, look: Look, age_second: Float) -> Belief:
    """Take one look into account: every story by its Kalman gain, and the weights of the stories."""
    p = belief.covariance
    ph = (p * look.slope).sum(axis=1)
    known = (look.slope * ph).sum(axis=0)
    unsure = look.slope[SOC] ** 2 * p[SOC, SOC]
    worth = np.clip(look.second * look.unsure * look.variance / unsure, 1.0, look.second)
    total = known + look.variance * worth
    usable = look.usable * 1.0
    moved = ph * (usable * look.innovation / total)
    moved[SOH] *= SOH_SHARE
    mean = belief.mean + moved
    mean[SOC] = np.clip(mean[SOC], *SOC_RANGE)
    mean[SOH] = np.clip(mean[SOH], *SOH_RANGE)
    gained = ph[:, None] * ph[None] * (usable / total)
    gained[SOH, SOH] *= SOH_SHARE * (2.0 - SOH_SHARE)
    p = p - gained
    surprise = known + look.variance
    evidence = usable * np.maximum(1.0 / EVIDENCE_SECOND, FIRST_EVIDENCE / (age_second + 1.0))
    log_weight = belief.log_weight - 0.5 * evidence * (np.log(surprise) + look.innovation**2 / surprise)
    log_weight = log_weight - log_weight.max(axis=0)
    return Belief(mean, p, np.maximum(log_weight, DEAD))


def take_soh(belief: Belief, which: Bool, soh: Float, std: Float) -> None:
    """Put a SOH that was filtered elsewhere, from more than the voltage, in every story. Changes `belief`.

    What stood with the old SOH moves along with it; given the SOH, all is as it was (Jeffrey's rule).
    """
    cells = np.flatnonzero(which)
    mean, p = belief.mean[..., cells], belief.covariance[..., cells]
    along = p[:, SOH] / p[SOH, SOH]
    moved = along[:, None] * along[None]
    belief.mean[..., cells] = mean + along * (soh[cells] - mean[SOH])
    belief.covariance[..., cells] = p + moved * (std[cells] ** 2 - p[SOH, SOH])


def revive(belief: Belief, offset_std: Float) -> Belief:
    """Begin dead stories anew from the best of their cell; `offset_std` [story] in ampere. Changes `belief`."""
    dead = belief.log_weight <= DEAD
    if not dead.any():
        return belief
    best = belief.log_weight.argmax(axis=0)
    for number, story in enumerate(STORIES):
        cells = np.flatnonzero(dead[number])
        if not len(cells):
            continue
        mean, covariance = belief.mean[:, best[cells], cells], belief.covariance[:, :, best[cells], cells]
        if story.knows_start:  # the same SOC, but this story's sensor
            _forget(mean, covariance, OFFSET, offset_std[number] ** 2)
        else:  # the same sensor, but no word on the SOC
            _forget(mean, covariance, SOC, UNKNOWN_SOC_STD**2, keep_mean=True)
        belief.mean[:, number, cells], belief.covariance[:, :, number, cells] = mean, covariance
        belief.log_weight[number, cells] = REBORN
    return belief


def chosen(which: Bool, new: Belief, old: Belief) -> Belief:
    """Take the new belief on the cells of `which` [cell], the old one on the others."""
    pairs = ((new.mean, old.mean), (new.covariance, old.covariance), (new.log_weight, old.log_weight))
    return Belief(*(np.where(which, *pair) for pair in pairs))


def _forget(mean: Float, covariance: Float, state: int, variance: float, *, keep_mean: bool = False) -> None:
    if not keep_mean:
        mean[state] = 0.0
    covariance[state], covariance[:, state] = 0.0, 0.0
    covariance[state, state] = variance


def _reshaped(point: Point, shape: tuple[int, ...]) -> Point:
    return type(point)(*(values.reshape(shape) for values in point))
