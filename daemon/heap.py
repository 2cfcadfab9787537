"""Keeps what is resident flat: glibc gives each thread an arena of its own, and none gives back what another could use.

Measured on a busy machine (python -m tests.service.soak, 200 cells at 60 times their pace): as many arenas as glibc
likes, 438 MB after a quarter of an hour, and more with each backlog; two, 412 MB, and 406 once the backlog was gone.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

M_ARENA_MAX = -8  # of malloc.h
ARENAS = 2  # threads that hold Python's lock meet in one seldom


def keep_few_arenas() -> None:
    """Bound the arenas, where the C library has such; before the first thread begins."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)
