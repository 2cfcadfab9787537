"""What one pack may send, so that none fills the memory or takes the time that belongs to the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.wire import Reject, WireError

if TYPE_CHECKING:
    from daemon.config import Cells, Mqtt

BURST_SECOND = 600.0  # what a pack may send at once: so long an absence of ours is delivered without a loss
NAMES_PER_CELL = 4  # names that are remembered in one life of the service, over cells.cells_max
PACKS_KEPT = 4_096


class Limits:
    """Counts what each pack sends. Raises WireError for what is too much."""

    def __init__(self, config: Mqtt, cells: Cells) -> None:
        self._rate = config.pack_rate_max
        self._pack_cells_max = config.pack_cells_max
        self._names_max = NAMES_PER_CELL * cells.cells_max
        self._names: set[str] = set()
        self._cells: dict[str, int] = {}  # names so far, by pack
        self._spent: dict[str, tuple[float, float]] = {}  # by pack: messages beyond its rate, and when that was

    def message(self, pack: str, arrival_second: float) -> None:
        """Let one message of a pack pass, or not (RATE)."""
        if self._rate is None:
            return
        if len(self._spent) >= PACKS_KEPT and pack not in self._spent:
            self._spent.clear()
        spent, then = self._spent.get(pack, (0.0, arrival_second))
        spent = max(0.0, spent - self._rate * max(0.0, arrival_second - then))  # our clock may be set back
        if spent >= self._rate * BURST_SECOND:
            self._spent[pack] = (spent, arrival_second)
            raise WireError(Reject.RATE, f"pack {pack} sends more than {self._rate:g} messages a second")
        self._spent[pack] = (spent + 1.0, arrival_second)

    def cell(self, pack: str, name: str) -> None:
        """Let a cell ("pack/cell") pass, or not where it is one too many (FLEET_FULL)."""
        if name in self._names:
            return
        count = self._cells.get(pack, 0)
        if self._pack_cells_max is not None and count >= self._pack_cells_max:
            raise WireError(Reject.FLEET_FULL, f"cell {name}: its pack has named {count:,} others")
        if len(self._names) >= self._names_max:
            raise WireError(Reject.FLEET_FULL, f"cell {name}: {len(self._names):,} others have been named")
        self._names.add(name)
        self._cells[pack] = count + 1
