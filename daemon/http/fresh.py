"""A value that is made when it is asked for, and not again while it is fresh: many who ask cost as much as one."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FRESH_SECOND = 1.0
PATIENCE_SECOND = 5.0

T = TypeVar("T")


class Fresh(Generic[T]):
    """One value, at most a second old."""

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make = make
        self._made: tuple[float, T] | None = None
        self._making = asyncio.Lock()

    async def __call__(self) -> T:
        """Tell it. Raises TimeoutError where it cannot be made."""
        async with asyncio.timeout(PATIENCE_SECOND), self._making:
            if self._made is None or time.monotonic() - self._made[0] > FRESH_SECOND:
                self._made = None  # one that is gone stale takes no room while the next is made
                self._made = time.monotonic(), await self._make()
            return self._made[1]
