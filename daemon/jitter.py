"""How long to wait before the next try: full jitter, so that many clients do not all come back at once."""

from __future__ import annotations

import random

FIRST_SECOND, LONGEST_SECOND = 0.5, 60.0


def full_jitter(attempt: int) -> float:
    """Draw a wait, in seconds, below 0.5 x 2^attempt and below 60; `attempt` is 0 for the first."""
    longest = min(LONGEST_SECOND, FIRST_SECOND * 2.0 ** min(attempt, 16))
    return random.uniform(0.0, longest)  # noqa: S311 - no secret
