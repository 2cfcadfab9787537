"""The published SOC: counting, the circuit's voltage and the network's word in one filter per cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from estimators.cell_type import NETWORK_FILE, TABLES_FILE, weights_id
from estimators.circuit import Circuit
from estimators.contract import (
    NO_SAMPLE_SOC,
    NO_SAMPLE_STD,
    TOLD_SOH_STD,
    Bool,
    Estimate,
    Float,
    Second,
    Start,
    State,
    to_nominal,
    to_present,
)
from estimators.domain import outside
from estimators.fused.filter import OFFSET, SOC, SOH, Belief, Filter, chosen, correct, revive, soc_look, take_soh
from estimators.soh import health
from estimators.soh.filter import weighed

if TYPE_CHECKING:
    from estimators.cell_type import CellType
    from estimators.cross_stitch import CrossStitch

SOH_PERIOD_SECOND = 3600
# A cell of those the tables were made from: of the filter's deviation of SOC, the SOH given, so much, as far as it has
# settled. The filter takes what errs alike for minutes for as wrong as at the worst of times, and a start that is told
# for less known than it mostly is. Beyond that (a start that nobody knows) its word stands, and for any other cell
# altogether: such a cell has other resistances, and errs alike for good.
STD_SHARE, SETTLED_STD = 0.35, 0.04
UNSETTLED_STD = 0.08  # of the filter: warming up while it is above
TINY = 1e-12
NETWORK = "network_"  # how the network's arrays are named in the state


class Fused:
    """The filter of one cell type; without weights in its folder it does without the network."""

    name = "fused"

    def __init__(self, cell_type: CellType) -> None:
        """Read tables and weights. Raises FileNotFoundError or ValueError, naming the file."""
        self.cell_type = cell_type
        self._filter = Filter(cell_type, Circuit(cell_type.tables()))
        self._network = _network(cell_type)
        files = (TABLES_FILE,) if self._network is None else (TABLES_FILE, NETWORK_FILE)
        self.weights_id = weights_id(*(cell_type.folder / name for name in files))
        made_from_them = cell_type.typical_soh_std <= TOLD_SOH_STD
        self._std_share = STD_SHARE if made_from_them else 1.0

    def init(self, start: Start) -> State:
        """Make the state of new cells; an unknown SOC waits for the first sample."""
        cells = len(start.soc)
        belief = self._filter.begin(to_nominal(start.soc, start.soh), start.soh, start.soh_std)
        state = _pack(belief) | {"seconds": np.zeros(cells, np.int64)}
        if self._network is not None:
            state |= {NETWORK + name: array for name, array in self._network.init(start).items()}
        return state

    def step(self, state: State, second: Second) -> tuple[State, Estimate]:
        """Advance every cell by one second; a second that is not finite leaves its cell as it was."""
        measured = np.stack([second.voltage_volt, second.current_ampere, second.temperature_celsius])
        good: Bool = np.logical_and.reduce(np.isfinite(measured))
        voltage, current, temperature = np.where(good, measured, 0.0)
        before = _unpack(state)
        seconds = state["seconds"].astype(np.float64)
        self._filter.first_look(before, good & (seconds == 0.0), voltage, current, temperature)
        belief = self._filter.predict(before, current)
        belief = correct(belief, self._filter.voltage_look(belief, voltage, current, temperature, good), seconds)
        strange = outside(self.cell_type, second)
        after: State = {}
        if self._network is not None:
            offset = (before.weight() * before.mean[OFFSET]).sum(axis=0)
            mine = {n.removeprefix(NETWORK): a for n, a in state.items() if n.startswith(NETWORK)}
            mine, said = self._network.step(mine, second, second.current_ampere + offset)
            strange = strange | said.out_of_domain
            shown = self._network.shown_soc(mine)
            belief = correct(belief, soc_look(belief, shown, mine["soc_std"], good & ~strange), seconds)
            told = good & (mine["seconds"] % SOH_PERIOD_SECOND == 0) & ~strange
            take_soh(belief, told, said.soh, said.soh_std)
            after |= {NETWORK + name: array for name, array in mine.items()}
        belief = chosen(good, revive(belief, self._filter.offset_std), before)
        after |= _pack(belief) | {"seconds": state["seconds"] + good}
        return after, _estimate(belief, after["seconds"] > 0, strange, self._std_share)

    def calibrate(self, state: State, soh: Float, soh_std: Float) -> State:
        """Weigh the SOH of a health check against the believed one, in every story."""
        belief, after = _unpack(state), dict(state)
        if self._network is None:
            mean, covariance = belief.mix()
            held, std = weighed(mean[SOH], np.sqrt(np.maximum(covariance[1, 1], TINY)), soh, soh_std)
        else:
            mine = {n.removeprefix(NETWORK): a for n, a in state.items() if n.startswith(NETWORK)}
            mine = self._network.calibrate(mine, soh, soh_std)
            held, std = health.accepted(mine)
            after |= {NETWORK + name: array for name, array in mine.items()}
        take_soh(belief, np.ones(len(soh), dtype=bool), held, std)
        return after | _pack(belief)


def _network(cell_type: CellType) -> CrossStitch | None:
    if not (cell_type.folder / NETWORK_FILE).is_file():
        return None
    from estimators.cross_stitch import CrossStitch

    return CrossStitch(cell_type)


def _pack(belief: Belief) -> State:
    """Put the cell first."""
    return {
        "mean": np.ascontiguousarray(belief.mean.transpose(2, 1, 0)),  # [cell, story, state]
        "covariance": np.ascontiguousarray(belief.covariance.transpose(3, 2, 0, 1)),
        "log_weight": np.ascontiguousarray(belief.log_weight.T),
    }


def _unpack(state: State) -> Belief:
    """Put the cell last, where arithmetic is fast."""
    return Belief(
        state["mean"].transpose(2, 1, 0).copy(),
        state["covariance"].transpose(2, 3, 1, 0).copy(),
        state["log_weight"].T.copy(),
    )


def _estimate(belief: Belief, seen: Bool, strange: Bool, std_share: float) -> Estimate:
    mean, covariance = belief.mix()
    soc_nominal, soh = mean[SOC], mean[SOH]
    missing: Float = (1.0 - soc_nominal) / soh
    soh_variance = np.maximum(covariance[1, 1], TINY)
    along: Float = covariance[0, 1] / soh_variance  # how far an error of SOH has moved the SOC
    given = np.maximum(covariance[0, 0] - along**2 * soh_variance, 0.0)
    settled = np.minimum(given, SETTLED_STD**2)
    own = std_share**2 * settled + (given - settled)
    nominal_std = np.sqrt(own + along**2 * soh_variance)
    soc_std = np.where(seen, np.sqrt(own + (along + missing) ** 2 * soh_variance) / soh, NO_SAMPLE_STD)
    return Estimate(
        soc=np.where(seen, to_present(soc_nominal, soh), NO_SAMPLE_SOC),
        soc_std=soc_std,
        soc_nominal_std=np.where(seen, nominal_std, NO_SAMPLE_STD),
        soh=soh,
        soh_std=np.sqrt(soh_variance),
        out_of_domain=strange,
        warming_up=~seen | (np.sqrt(given) / soh > UNSETTLED_STD),
    )
