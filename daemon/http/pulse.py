"""Whether the service is alive: what a load balancer asks, and what becomes two of the metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

STUCK_SECOND = 10.0  # a turn passes through the estimators' thread each second


class Pulse(NamedTuple):
    """How the service is, at one moment."""

    tick_age_second: float  # since the estimators' thread had last done what it was given
    connected: Mapping[str, bool]  # to the broker, by what the connection carries

    def ailments(self) -> list[str]:
        """Say what is wrong, in words that hold no secret; nothing where all is well."""
        found = []
        if self.tick_age_second > STUCK_SECOND:
            found.append(f"the estimators have not moved for {self.tick_age_second:.0f} s")
        found += [f"no connection to the broker for {what}" for what, is_up in self.connected.items() if not is_up]
        return found
