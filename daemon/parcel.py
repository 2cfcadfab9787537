"""What goes to every sink: states, events and health reports, as the outbox keeps them on disk (MessagePack)."""

from __future__ import annotations

import msgspec

from daemon.wire import Event, Health, State


class Parcel(msgspec.Struct, frozen=True, array_like=True):
    """What leaves together; names are "pack/cell"."""

    states: list[tuple[str, State]] = []
    events: list[tuple[str, Event]] = []
    health: list[tuple[str, Health]] = []

    def __len__(self) -> int:
        """Count the items."""
        return len(self.states) + len(self.events) + len(self.health)

    @classmethod
    def join(cls, parcels: list[Parcel]) -> Parcel:
        """Put parcels one after another."""
        return cls(
            [s for p in parcels for s in p.states],
            [e for p in parcels for e in p.events],
            [h for p in parcels for h in p.health],
        )

    def halves(self) -> tuple[Parcel, Parcel]:
        """Part it in two, for a sink that refuses it and does not say which item it means."""
        middle = (len(self) + 1) // 2
        first, second = Parcel([], [], []), Parcel([], [], [])
        at = 0
        for name in self.__struct_fields__:
            items = getattr(self, name)
            cut = min(max(0, middle - at), len(items))
            getattr(first, name).extend(items[:cut])
            getattr(second, name).extend(items[cut:])
            at += len(items)
        return first, second


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Parcel).decode
