"""Which cell has which slot: adoption, retirement, and what the configuration says of each.

Fleet time is event time without the cells' wrong clocks: each cell's clock is laid beside it when the cell is
first heard, or when its clock jumped. So a cell that says it is the year 2099 retires nobody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daemon.slots import Slots, clear, column, grow
from daemon.wire import Reject

if TYPE_CHECKING:
    from daemon.config import Cells
    from daemon.grid import Samples
    from daemon.kinds import Kind, Kinds

Float = NDArray[np.float64]
DAY_SECOND = 86_400.0
FIRST_SLOTS = 16
OF_THE_KIND = (
    "current_sign",
    "ambient_temperature_celsius",
    "max_hold_second",
    "rest_ampere",
    "nominal_capacity_ah",
    "window_low_volt",
    "window_high_volt",
    "voltage_min_volt",
    "voltage_max_volt",
)
REFUSED = {-1: Reject.UNKNOWN_CELL, -2: Reject.FLEET_FULL}  # what stands in place of a slot


@dataclass(slots=True)
class Members:
    """What the configuration says of each cell, and when it was last heard."""

    used: NDArray[np.bool_] = column(0, np.bool_)
    pack: NDArray[np.int32] = column(0, np.int32)
    current_sign: Float = column(1.0)
    ambient_temperature_celsius: Float = column(np.nan)
    max_hold_second: Float = column(np.nan)
    rest_ampere: Float = column(np.nan)
    nominal_capacity_ah: Float = column(np.nan)
    window_low_volt: Float = column(np.nan)
    window_high_volt: Float = column(np.nan)
    voltage_min_volt: Float = column(np.nan)
    voltage_max_volt: Float = column(np.nan)
    clock_offset: Float = column(np.nan)  # from the cell's time to the fleet's
    heard: Float = column(0.0)  # fleet time of the newest sample


class Adopted(NamedTuple):
    """A cell that was given a slot."""

    name: str
    slot: int
    kind: Kind


class Roster:
    """Names and slots of all cells. Slots are given from the lowest; arrays by slot double when they are used up."""

    def __init__(self, kinds: Kinds, rule: Cells) -> None:
        """Begin with no cells."""
        self.names: list[str | None] = []  # by slot
        self.slot: dict[str, int] = {}
        self.members = Members()
        self._kinds, self._rule = kinds, rule
        self._free: list[int] = []
        self._packs: dict[str, int] = {}
        self._pack_celsius: Float = np.empty(0)  # [pack] latest measured
        self._now = 0.0  # fleet time

    def find(self, names: tuple[str, ...]) -> tuple[Slots, list[Adopted]]:
        """Give each cell's slot, or a key of REFUSED; and say which cells are new."""
        adopted: list[Adopted] = []
        slots = []
        for name in names:
            slot = self.slot.get(name)
            if slot is None:
                kind = self._kinds.of_pack(_pack(name))
                full = len(self.slot) >= self._rule.cells_max
                slot = -1 if kind is None else -2 if full else self._adopt(name, kind)
                if kind is not None and not full:
                    adopted.append(Adopted(name, slot, kind))
            slots.append(slot)
        return np.array(slots, dtype=np.intp), adopted

    def hear(self, samples: Samples) -> None:
        """Move fleet time on."""
        members, slot = self.members, samples.slot
        fresh = samples.anchored | np.isnan(members.clock_offset[slot])
        members.clock_offset[slot[fresh]] = self._now - samples.time[fresh]
        if len(slot):
            self._now = max(self._now, float((samples.time + members.clock_offset[slot]).max()))
        members.heard[slot] = self._now

    def retire(self) -> int:
        """Take back the slots of cells that were silent for `retire_after_day` of fleet time; count them."""
        silent = self.members.used & (self._now - self.members.heard > self._rule.retire_after_day * DAY_SECOND)
        self._release(np.flatnonzero(silent).tolist())
        return int(silent.sum())

    def settle(self) -> list[Adopted]:
        """Take the configuration's word for every cell after a restart; one that no rule fits any more leaves."""
        kinds = {name: self._kinds.of_pack(_pack(name)) for name in self.slot}
        self._release([self.slot[name] for name, kind in kinds.items() if kind is None])
        cells = [Adopted(name, self.slot[name], kind) for name, kind in kinds.items() if kind is not None]
        for cell in cells:
            self._note(cell.slot, cell.kind)
        return cells

    def _release(self, slots: list[int]) -> None:
        if not slots:
            return
        for slot in slots:
            del self.slot[str(self.names[slot])]
            self.names[slot] = None
            self._free.append(slot)
        self.members.used[slots] = False
        packs = {name: self._pack_celsius[self._packs[name]] for name in sorted({_pack(n) for n in self.slot})}
        self._packs = {name: index for index, name in enumerate(packs)}
        self._pack_celsius = np.array(list(packs.values()))
        for name, slot in self.slot.items():
            self.members.pack[slot] = self._packs[_pack(name)]

    def temperature(self, slot: Slots, celsius: Float) -> Float:
        """Fill what was not measured (NaN): the pack's latest in the order of arrival, else the configured ambient."""
        pack = self.members.pack[slot]
        measured = ~np.isnan(celsius)
        carried = self._pack_celsius[pack]
        newest = np.full(len(self._pack_celsius), -1)
        np.maximum.at(newest, pack, np.where(measured, np.arange(len(pack)), -1))
        self._pack_celsius[newest >= 0] = celsius[newest[newest >= 0]]
        if measured.all():
            return celsius
        order = np.argsort(pack, kind="stable")
        begin = np.searchsorted(pack[order], pack[order], side="left")
        latest = np.maximum.accumulate(np.where(measured[order], np.arange(len(order)), -1))
        carried = np.where(np.isnan(carried), self.members.ambient_temperature_celsius[slot], carried)
        filled = np.empty_like(celsius)
        filled[order] = np.where(latest >= begin, celsius[order][latest], carried[order])
        return filled

    def _adopt(self, name: str, kind: Kind) -> int:
        if not self._free:
            self._grow()
        slot = self.slot[name] = self._free.pop()
        self.names[slot] = name
        pack = self._packs.setdefault(_pack(name), len(self._packs))
        if pack == len(self._pack_celsius):
            self._pack_celsius = np.append(self._pack_celsius, np.nan)
        members = self.members
        clear(members, np.array([slot]))
        members.used[slot], members.pack[slot], members.heard[slot] = True, pack, self._now
        self._note(slot, kind)
        return slot

    def _note(self, slot: int, kind: Kind) -> None:
        for fact in OF_THE_KIND:
            getattr(self.members, fact)[slot] = getattr(kind, fact)

    def _grow(self) -> None:
        old = len(self.names)
        new = min(max(FIRST_SLOTS, 2 * old), max(FIRST_SLOTS, self._rule.cells_max))
        grow(self.members, new)
        self.names += [None] * (new - old)
        self._free += range(new - 1, old - 1, -1)


def _pack(name: str) -> str:
    return name.partition("/")[0]
