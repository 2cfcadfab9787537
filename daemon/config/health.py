"""`health:`: the checks that run when a rest, a charge or a train of pulses is over."""

from __future__ import annotations

from pydantic import Field

from daemon.config.section import Section


class HealthChecks(Section):
    """Checks that run when a rest, a charge or a train of pulses is over."""

    enabled: bool = Field(True, description="Run them, and take their SOH into the cells' states.")
    deadline_second: float = Field(
        5.0, gt=0.0, le=600.0, description="A check that takes longer is given up, and refused as `failed`."
    )
    waiting_max: int = Field(
        1_000, ge=1, le=1_000_000, description="Phases that may wait to be looked at; those beyond it are left out."
    )
