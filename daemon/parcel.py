"""What goes to every sink: states and events, as the outbox keeps them on disk (MessagePack)."""

from __future__ import annotations

import msgspec

from daemon.wire import Event, State


class Parcel(msgspec.Struct, frozen=True, array_like=True):
    """States and events that leave together; names are "pack/cell"."""

    states: list[tuple[str, State]] = []
    events: list[tuple[str, Event]] = []

    def __len__(self) -> int:
        """Count the items."""
        return len(self.states) + len(self.events)

    @classmethod
    def join(cls, parcels: list[Parcel]) -> Parcel:
        """Put parcels one after another."""
        return cls([s for p in parcels for s in p.states], [e for p in parcels for e in p.events])

    def halves(self) -> tuple[Parcel, Parcel]:
        """Part it in two, for a sink that refuses it and does not say which item it means."""
        middle = (len(self) + 1) // 2
        states, events = self.states, self.events
        rest = max(0, middle - len(states))
        return Parcel(states[:middle], events[:rest]), Parcel(states[middle:], events[rest:])


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Parcel).decode
