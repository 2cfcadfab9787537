"""What every sink obeys; one suite tests them all (tests/daemon/sinks/test_contract.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from daemon.parcel import Parcel


class Refused(NamedTuple):
    """One item that a sink will not take, however often it is sent."""

    item: str  # as it was sent
    why: str


class Sink(Protocol):
    """A place where states and events go. It may be away; what it was given twice it has once."""

    name: str
    batch_items: int  # at most so many at once, give or take a parcel
    gather_second: float  # time between batches

    async def open(self) -> None:
        """Begin; the other side need not be there."""
        ...

    async def deliver(self, parcel: Parcel) -> list[Refused]:
        """Return when the other side has everything but what it refused. Raises SinkError: try again later."""
        ...

    async def close(self) -> None:
        """End in due form."""
        ...
