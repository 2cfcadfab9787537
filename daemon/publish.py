"""Rows and events -> what leaves: each cell's state when it moved, each pack as a summary and a frame.

A state is said again when SOC or SOH moved out of its dead band, flags or estimator changed, or
`max_age_second` of event time passed. A cell from which nothing came for longer than its gaps are bridged
(by our clock, which decides only what is *said*) is said again once, flagged `stale`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from daemon.models import load_cell_type
from daemon.parcel import Parcel
from daemon.rows import Flag
from daemon.slots import clear, column, grow, waves
from daemon.wire import CellsFrame, PackState, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from daemon.config import Config
    from daemon.rows import Output, Rows

Float = NDArray[np.float64]
Index = NDArray[np.intp]
DECIMALS = 6  # of soc and soh on the wire: a millionth, far below what any estimator knows
VALUES = ("soc", "soc_std", "soh", "soh_std")


@dataclass(slots=True)
class Latest:
    """The newest row of each slot, and when it came."""

    second: Float = column(np.nan)
    soc: Float = column(np.nan)
    soc_std: Float = column(np.nan)
    soh: Float = column(np.nan)
    soh_std: Float = column(np.nan)
    flags: NDArray[np.uint32] = column(0, np.uint32)
    estimator: NDArray[np.int16] = column(0, np.int16)
    heard: Float = column(np.nan)  # our clock
    nominal: NDArray[np.bool_] = column(0, np.bool_)  # SOC is of the nominal capacity
    max_hold_second: Float = column(np.nan)


@dataclass(slots=True)
class Said:
    """What was last published of each slot; NaN where nothing was."""

    second: Float = column(np.nan)
    soc: Float = column(np.nan)
    soh: Float = column(np.nan)
    flags: NDArray[np.uint32] = column(0, np.uint32)
    estimator: NDArray[np.int16] = column(0, np.int16)


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest row of each cell, copied between two turns: what becomes of it holds up nobody."""

    names: list[str]
    latest: Latest
    slots: Index  # of the cells that have a name
    labels: list[str]
    historical_before: float

    def states(self) -> Iterator[tuple[str, State]]:
        """Yield the name ("pack/cell") and the state of each cell, as it would leave now."""
        for name, state in _states(self.names, self.labels, self.latest, self.slots):
            old = state.unix_time_second < self.historical_before
            yield name, msgspec.structs.replace(state, historical=True) if old else state


class Publisher:
    """Decides what is said; keeps, by the fleet's slots, what was said last."""

    def __init__(self, config: Config) -> None:
        self._config, self._rule = config, config.publish
        self._latest, self._said = Latest(), Said()
        self._names: list[str | None] = []  # by slot, as last seen
        self._members: dict[str, list[int]] = {}  # slots by pack
        self._changed: set[str] = set()  # packs with news since the last summary
        self._labels: list[str] = []

    def reload(self, config: Config) -> None:
        """Go on under other settings of `publish:`."""
        self._rule = config.publish

    def take(self, output: Output, names: Sequence[str | None], labels: list[str], now_second: float) -> Parcel:
        """Choose what is published of one tick. `names` and `labels` are the fleet's, `now_second` is our clock."""
        rows, self._labels = output.rows, labels
        self._welcome(names, rows)
        chosen = self._moved(rows)
        self._remember(rows, now_second)
        return Parcel(self._states(rows.cell[chosen], rows, chosen), output.events, output.health)

    def settle(self, labels: list[str]) -> None:
        """Go on under the configuration as it is after a restart; the fleet's `labels` learn those that are gone."""
        labels += [label for label in self._labels if label not in labels]
        place = np.array([labels.index(label) for label in self._labels], dtype=np.int16)
        for state in (self._latest, self._said):
            if len(place):
                state.estimator = place[state.estimator]
        self._labels = labels
        for slot, name in enumerate(self._names):
            if name is not None:
                self._latest.max_hold_second[slot] = self._max_hold_second(_pack(name))
                self._latest.nominal[slot] = self._is_nominal(_pack(name))

    def silent(self, names: Sequence[str | None], now_second: float) -> Parcel:
        """Say again, as stale, the cells that have fallen silent since they were last said."""
        latest, said = self._latest, self._said
        quiet = now_second - latest.heard > latest.max_hold_second  # NaN, never heard, is not quiet
        slot = self._held(names, quiet & (said.flags & Flag.STALE == 0) & ~np.isnan(said.second))
        latest.flags[slot] |= np.uint32(Flag.STALE)
        said.flags[slot] = latest.flags[slot]
        self._changed.update(_pack(self._names[s]) for s in slot.tolist())
        return Parcel(self._states(slot, latest, slot))

    def packs(self, names: Sequence[str | None]) -> list[tuple[str, PackState, CellsFrame]]:
        """Summarise each pack that has news since the last call: its name, its summary, its frame."""
        changed, self._changed = self._changed, set()
        summaries = []
        for pack in sorted(changed):
            members = sorted((str(self._names[s]), s) for s in self._members[pack] if names[s] == self._names[s])
            if members:
                summaries.append((pack, *self._summary(np.array([slot for _, slot in members], dtype=np.intp))))
        return summaries

    def newest(self, names: Sequence[str | None], now_second: float) -> Newest:
        """Copy the newest row of each cell that the fleet still has."""
        slots = self._held(names, ~np.isnan(self._latest.second))
        held = [str(names[s]) for s in slots.tolist()]
        before = now_second - self._rule.historical_second
        return Newest(held, copy.deepcopy(self._latest), slots, list(self._labels), before)

    def stale(self, names: Sequence[str | None]) -> int:
        """Count the cells that have fallen silent, of those that the fleet still has."""
        return len(self._held(names, self._latest.flags & Flag.STALE != 0))

    def _held(self, names: Sequence[str | None], which: NDArray[np.bool_]) -> Index:
        """Find the slots of some cells; what was said of a cell that was let go is still in its slot."""
        return np.array([s for s in np.flatnonzero(which).tolist() if names[s] == self._names[s]], dtype=np.intp)

    def _welcome(self, names: Sequence[str | None], rows: Rows) -> None:
        """Forget what was said of a slot that has another cell now."""
        if len(names) > len(self._names):
            for state in (self._latest, self._said):
                grow(state, len(names))
            self._names += [None] * (len(names) - len(self._names))
        fresh = [s for s in np.unique(rows.cell).tolist() if names[s] != self._names[s]]
        if fresh:
            for state in (self._latest, self._said):
                clear(state, np.array(fresh, dtype=np.intp))
        for slot in fresh:
            self._leave(slot)
            self._names[slot] = names[slot]
            pack = _pack(names[slot])
            self._members.setdefault(pack, []).append(slot)
            self._latest.max_hold_second[slot] = self._max_hold_second(pack)
            self._latest.nominal[slot] = self._is_nominal(pack)

    def _is_nominal(self, pack: str) -> bool:
        rule = self._config.cells.rule(pack)
        return rule is not None and (rule.soc_reference or _reference(rule.cell_type)) == "nominal"

    def _max_hold_second(self, pack: str) -> float:
        rule = self._config.cells.rule(pack)
        return (rule.max_hold_second if rule else None) or self._config.grid.max_hold_second

    def _leave(self, slot: int) -> None:
        """Take a slot out of the pack of the cell that had it."""
        if (name := self._names[slot]) is not None:
            self._members[_pack(name)].remove(slot)
            if not self._members[_pack(name)]:
                del self._members[_pack(name)]
                self._changed.discard(_pack(name))

    def _moved(self, rows: Rows) -> Index:
        """Find the rows that are worth saying, each judged against what was said of its cell before it."""
        said, rule = self._said, self._rule
        chosen = []
        for wave in waves(rows.cell):
            s, second = rows.cell[wave], rows.second[wave].astype(np.float64)
            stays = (
                (np.abs(rows.soc[wave] - said.soc[s]) <= rule.soc_dead_band)  # false where nothing was said: NaN
                & (np.abs(rows.soh[wave] - said.soh[s]) <= rule.soh_dead_band)
                & (rows.flags[wave] == said.flags[s])
                & (rows.estimator[wave] == said.estimator[s])
                & (second >= said.second[s])  # a clock set back begins anew
                & (second < said.second[s] + rule.max_age_second)
            )
            moved = wave[~stays]
            s = rows.cell[moved]
            said.second[s] = rows.second[moved]
            for name in ("soc", "soh", "flags", "estimator"):
                getattr(said, name)[s] = getattr(rows, name)[moved]
            chosen.append(moved)
        return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.intp)

    def _remember(self, rows: Rows, now_second: float) -> None:
        for name in ("second", *VALUES, "flags", "estimator"):
            getattr(self._latest, name)[rows.cell] = getattr(rows, name)  # of several rows of a cell the last one stays
        self._latest.heard[rows.cell] = now_second
        self._changed.update(_pack(self._names[s]) for s in np.unique(rows.cell).tolist())

    def _states(self, slot: NDArray[np.integer], source: Rows | Latest, index: Index) -> list[tuple[str, State]]:
        return _states([str(self._names[s]) for s in slot.tolist()], self._labels, source, index)

    def _summary(self, slots: Index) -> tuple[PackState, CellsFrame]:
        latest = self._latest
        soc, soc_std, soh, soh_std = (np.round(getattr(latest, name)[slots], DECIMALS) for name in VALUES)
        cells = [str(self._names[s]).partition("/")[2] for s in slots.tolist()]
        second = latest.second[slots]
        missing = np.where(latest.nominal[slots], 1.0 - soc, (1.0 - soc) * soh)  # from full, of the nominal capacity
        pack = PackState(
            unix_time_second=float(second.max()),
            cells=len(cells),
            soc_min=float(soc.min()),
            soc_mean=round(float(soc.mean()), DECIMALS),
            soc_max=float(soc.max()),
            soc_spread=round(float(soc.max() - soc.min()), DECIMALS),
            soh_min=float(soh.min()),
            soh_mean=round(float(soh.mean()), DECIMALS),
            soh_max=float(soh.max()),
            weakest_cell=cells[int(np.argmin(soh - missing))],
            imbalance=round(float(missing.max() - missing.min()), DECIMALS),
        )
        flags = [_flag_names(f) for f in latest.flags[slots].tolist()]
        frame = CellsFrame(
            second.tolist(), cells, soc.tolist(), soc_std.tolist(), soh.tolist(), soh_std.tolist(), flags
        )
        return pack, frame


def _states(names: list[str], labels: list[str], source: Rows | Latest, index: Index) -> list[tuple[str, State]]:
    """Turn rows of columns into the wire's structs."""
    columns = [getattr(source, name)[index].tolist() for name in ("second", "flags", "estimator")]
    columns += [np.round(getattr(source, name)[index], DECIMALS).tolist() for name in VALUES]
    states = (
        State(float(second), soc, soc_std, soh, soh_std, labels[label], _flag_names(flags))
        for second, flags, label, soc, soc_std, soh, soh_std in zip(*columns, strict=True)
    )
    return list(zip(names, states, strict=True))


@cache
def _reference(cell_type: str) -> str:
    return load_cell_type(cell_type, "cells.packs").soc_reference


@cache
def _flag_names(bits: int) -> list[str]:
    return Flag.names(bits)


def _pack(name: str | None) -> str:
    return str(name).partition("/")[0]
