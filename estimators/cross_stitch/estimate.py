"""The network as an estimator: one causal step for a batch of cells, the SOH tower once in 3600 steps.

What the tower says stays in the state as `soh`; what is published is the filter's (`estimators.soh`), and from that
the tower starts anew each day, for it was trained no further.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from estimators.cell_type import NETWORK_FILE, CellType, weights_id
from estimators.contract import Bool, Estimate, Float, Second, Start, State, to_nominal, to_present
from estimators.cross_stitch import domain
from estimators.cross_stitch import weights as weights_file
from estimators.cross_stitch.network import FEATURES, SOH_PERIOD_SECOND, UNITS, Hidden
from estimators.cross_stitch.sequence import PRIMING_SECOND
from estimators.domain import outside
from estimators.soh import filter as smooth
from estimators.soh import health

WARM_UP_SECOND = 120
RESTART_SECOND = 86_400  # of the SOH tower: as far as it was trained
CALIBRATED_HOUR = 6.0  # `soh_std` is the mean over half a day; the tower's error grows with the root of time
NO_SAMPLE_SOC, NO_SAMPLE_STD = 0.5, 0.29  # nothing seen yet: anything from empty to full; nothing is less sure
DOMAIN_MARGIN = 0.05  # of the training range; an input beyond it is outside
DOMAIN_SHARE = 0.25  # out of domain: for more than so much of
RANGE_SECOND = 60.0  # the last minute an input was beyond the training range, or of
STRANGE_SECOND = 300.0  # the last five minutes the cell was far from all training;
TRUST_SECOND = 7200.0  # then it is believed again only after hours near to it
LOOK_SECOND = 10  # between two looks at how far it is
SMALLEST_BATCH = 16  # a product of fewer rows has other bits: fewer rows are padded

_HIDDEN = ("shared_h", "shared_c", "soc_h", "soc_c", "soh_h", "soh_c")
_HELD = tuple(f"held_{level}" for level in range(len(FEATURES)))


class CrossStitch:
    """The network of one cell type. The initial SOC is not used: the network finds it by itself."""

    name = "cross_stitch"

    def __init__(self, cell_type: CellType) -> None:
        """Load the weights of a cell type. Raises FileNotFoundError or ValueError."""
        self._weights = weights_file.load(cell_type.folder)
        self._network = self._weights.network
        self._cell_type = cell_type
        self.weights_id = weights_id(cell_type.folder / NETWORK_FILE)

    def init(self, start: Start) -> State:
        """Make the state of new cells: the SOH tower from the initial SOH, all else at the first sample."""
        cells = len(start.soh)
        state: State = {name: np.zeros((cells, UNITS), np.float32) for name in _HIDDEN}
        state |= {name: np.zeros((cells, width), np.float32) for name, width in zip(_HELD, FEATURES, strict=True)}
        state |= {name: start.soh.astype(np.float64) for name in ("soh", "start_soh")}
        state |= {
            "soc": np.full(cells, NO_SAMPLE_SOC),
            "soc_std": np.full(cells, NO_SAMPLE_STD),
            "seconds": np.zeros(cells, np.int64),
            "outside": np.zeros(cells),
            "strange": np.zeros(cells),
            "seen": np.zeros((cells, domain.MEMORIES), np.float32),
        }
        return state | health.init(start.soh, start.soh_std)

    @torch.no_grad()
    def step(self, state: State, second: Second, shown_ampere: Float | None = None) -> tuple[State, Estimate]:
        """Advance every cell by one second. 16 cells at least give the same bits in any company.

        The network may be shown another current than is counted for the SOH: less what a sensor's offset is
        believed to be, say. A second that is not finite leaves its cell as it was.
        """
        capacity = self._cell_type.nominal_capacity_ah
        counted = second.current_ampere / capacity
        shown = counted if shown_ampere is None else shown_ampere / capacity
        raw = np.stack([second.voltage_volt, shown, second.temperature_celsius], axis=1).astype(np.float32)
        good: Bool = np.logical_and.reduce(np.isfinite(raw), axis=1)
        raw[~good] = 0.0
        x = self._network.scale(torch.from_numpy(raw))
        new = {name: array.copy() for name, array in state.items()}
        fresh = state["seconds"] == 0
        if fresh.any():
            self._prime(new, x, fresh)
        shared_out, (new["shared_h"], new["shared_c"]) = _lstm(
            self._network.shared, x, new["shared_h"], new["shared_c"]
        )
        tower_out, (new["soc_h"], new["soc_c"]) = _lstm(self._network.soc_lstm, shared_out, new["soc_h"], new["soc_c"])
        new["seconds"] += 1
        hour = new["seconds"] % SOH_PERIOD_SECOND == 0
        for rows, steps_tower in ((fresh, False), (hour, True)):
            if rows.any():
                self._soh_tower(new, shared_out, tower_out, rows, steps_tower=steps_tower)
        features = self._network.soc_features(tower_out, tuple(torch.from_numpy(new[name]) for name in _HELD))
        said = self._network.soc_of(features).numpy().astype(np.float64)
        self._watch_health(new, np.where(good, counted, 0.0), said, good)
        new["soc"] = self._present(said, new)
        new["soc_std"] = self._std(features, x, raw, new)
        self._look_around(new, raw, fresh)
        day = new["seconds"] % RESTART_SECOND == 0
        if day.any():
            self._restart(new, shared_out, tower_out, day)
        if not good.all():
            for name, array in state.items():
                new[name][~good] = array[~good]
        return new, self._estimate(new, second)

    def _prime(self, state: State, x: Tensor, fresh: Bool) -> None:
        """Give the fresh rows the state that their first sample alone leads to."""
        rows = _padded(fresh)
        zeros = torch.zeros(1, len(rows), UNITS)
        steady = x[rows].expand(PRIMING_SECOND, -1, -1).contiguous()
        s, shared = self._network.shared(steady, (zeros, zeros))
        _, tower = self._network.soc_lstm(s, (zeros, zeros))
        initial = self._network.initial_soh_hidden(torch.from_numpy(state["soh"][rows].astype(np.float32)))
        for name, values in zip(_HIDDEN, (*shared, *tower, *initial), strict=True):
            state[name][rows] = values.reshape(len(rows), UNITS).numpy()

    def _soh_tower(self, state: State, shared: Tensor, tower: Tensor, which: Bool, *, steps_tower: bool) -> None:
        """Make the held features of some rows again; where the tower steps, take its SOH too."""
        rows = _padded(which)
        hidden: Hidden = (torch.from_numpy(state["soh_h"][rows]), torch.from_numpy(state["soh_c"][rows]))
        if steps_tower:
            hidden = self._network.soh_step(shared[rows], hidden)
            state["soh_h"][rows], state["soh_c"][rows] = hidden[0].numpy(), hidden[1].numpy()
        joint = self._network.joint(tower[rows], hidden[0])
        for name, values in zip(_HELD, joint.held, strict=True):
            state[name][rows] = values.numpy()
        if steps_tower:
            state["soh"][rows] = joint.soh.numpy()

    def _watch_health(self, state: State, c_rate: Float, said: Float, good: Bool) -> None:
        """Count this second for the SOH; once an hour, take what the tower says of it."""
        reference = self._weights.reference_soh
        soc = said if np.isnan(reference) else to_present(said, np.full_like(said, reference))
        counted = good & (state["seconds"] > WARM_UP_SECOND)
        state |= health.second(state, c_rate, soc, counted)
        hour = state["seconds"] % SOH_PERIOD_SECOND == 0
        if hour.any():
            hours = ((state["seconds"] - 1) % RESTART_SECOND + 1) / SOH_PERIOD_SECOND
            std = self._weights.soh_std * np.sqrt(hours / CALIBRATED_HOUR)
            state |= health.hour(state, state["soh"], std, hour)

    def _restart(self, state: State, shared: Tensor, tower: Tensor, which: Bool) -> None:
        """Start the SOH tower of some rows anew from the accepted SOH."""
        rows = _padded(which)
        soh = health.accepted(state)[0][rows].astype(np.float32)
        hidden = self._network.initial_soh_hidden(torch.from_numpy(soh))
        for name, values in zip(("soh_h", "soh_c"), hidden, strict=True):
            state[name][rows] = values.reshape(len(rows), UNITS).numpy()
        self._soh_tower(state, shared, tower, which, steps_tower=False)

    def _look_around(self, state: State, raw: NDArray[np.float32], fresh: Bool) -> None:
        """Follow how much of the last while each cell was where the network has not been."""
        low, high = self._network.low.numpy(), self._network.high.numpy()
        margin = DOMAIN_MARGIN * (high - low)
        inside: Bool = ((raw >= low - margin) & (raw <= high + margin)).all(axis=1)
        state["outside"] += (~inside - state["outside"]) / RANGE_SECOND
        known = self._weights.domain
        if known is None:
            return
        state["seen"][fresh] = domain.begin(raw[fresh])
        state["seen"], features = domain.step(state["seen"], raw)
        due = np.flatnonzero(state["seconds"] % LOOK_SECOND == 0)
        if len(due):
            far, strange = known.outside(features[due]), state["strange"][due]
            memory = np.where((strange > DOMAIN_SHARE) & ~far, TRUST_SECOND, STRANGE_SECOND)
            state["strange"][due] += (far - strange) * (LOOK_SECOND / memory)

    def _std(self, features: Tensor, x: Tensor, raw: NDArray[np.float32], state: State) -> Float:
        """Say how sure the SOC of present capacity is, the SOH taken as right."""
        age = torch.from_numpy(state["seconds"]).float()
        log_std = self._weights.uncertainty(features, age, x[:, 2]).numpy().astype(np.float64)
        usual = np.interp(raw[:, 2], self._weights.temperature_celsius, self._weights.soc_std)
        reference = self._weights.reference_soh
        stretch = 1.0 if np.isnan(reference) else state["start_soh"] / reference / health.accepted(state)[0]
        return np.asarray(np.minimum(usual * np.exp(log_std) * stretch, NO_SAMPLE_STD))

    def calibrate(self, state: State, soh: Float, soh_std: Float) -> State:
        """Take the SOH of a health check into the slow filter; the network itself is told at its next start."""
        mine = {name: state[name] for name in ("soh_mean", "soh_covariance")}
        return state | smooth.calibrate(mine, soh, soh_std, np.ones(len(soh), dtype=bool))

    def shown_soc(self, state: State) -> Float:
        """Give the SOC of present capacity that the voltage shows, whatever the SOH is taken for: [cell]."""
        if np.isnan(self._weights.reference_soh):
            return np.asarray(state["soc"])
        return to_present(to_nominal(state["soc"], health.accepted(state)[0]), state["start_soh"])

    def _present(self, soc: Float, state: State) -> Float:
        """Turn what the network says into SOC of present capacity.

        A network that learnt nominal SOC from cells of one SOH is read as if a cell of another SOH had its charge
        spread over as much more or less: full stays full. The SOH for that is the one told at the start.
        """
        reference = self._weights.reference_soh
        if np.isnan(reference):
            return soc
        return to_present(1.0 - (1.0 - soc) * (state["start_soh"] / reference), health.accepted(state)[0])

    def _estimate(self, state: State, second: Second) -> Estimate:
        soh, soh_std = health.accepted(state)
        soc, own_std = state["soc"].copy(), state["soc_std"]
        missing_std = np.abs(1.0 - soc) * soh_std  # what an error of SOH adds where the network does not say that SOC
        nominal = not np.isnan(self._weights.reference_soh)
        return Estimate(
            soc=soc,
            soc_std=np.hypot(own_std, missing_std / soh) if nominal else own_std.copy(),
            soc_nominal_std=soh * own_std if nominal else np.hypot(soh * own_std, missing_std),
            soh=soh,
            soh_std=soh_std,
            out_of_domain=(np.maximum(state["outside"], state["strange"]) > DOMAIN_SHARE)
            | outside(self._cell_type, second),
            warming_up=state["seconds"] < WARM_UP_SECOND,
        )


def _lstm(
    lstm: torch.nn.LSTM, x: Tensor, h: NDArray[np.float32], c: NDArray[np.float32]
) -> tuple[Tensor, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Step an LSTM once: x [cell, in], states [cell, 256]; gives the output [cell, 256] and the new states."""
    out, (h1, c1) = lstm(x.unsqueeze(0), (torch.from_numpy(h).unsqueeze(0), torch.from_numpy(c).unsqueeze(0)))
    return out.squeeze(0), (h1.squeeze(0).numpy(), c1.squeeze(0).numpy())


def _padded(which: Bool) -> NDArray[np.intp]:
    """Rows to compute: those chosen, the last one repeated up to the next batch size (16, 64, 256, ...)."""
    rows = np.flatnonzero(which)
    size = SMALLEST_BATCH
    while size < len(rows):
        size *= 4
    return np.concatenate([rows, np.full(size - len(rows), rows[-1])])
