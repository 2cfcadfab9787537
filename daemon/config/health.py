"""`health:`: the checks that run when a rest, a charge or a train of pulses is over."""

from __future__ import annotations

from pydantic import Field

from daemon.config.section import Section
from estimators.check import NOT_TOLD, Use


class HealthChecks(Section):
    """Checks that run when a rest, a charge or a train of pulses is over."""

    enabled: bool = Field(True, description="Run them, and take their SOH into the cells' states.")
    deadline_second: float = Field(
        5.0, gt=0.0, le=600.0, description="A check that takes longer is given up, and refused as `failed`."
    )
    waiting_max: int = Field(
        1_000,
        ge=1,
        le=1_000_000,
        description="Phases that may wait to be looked at; checks of those beyond it are refused as `failed`.",
    )
    planned_temperature_celsius: float | None = Field(
        None, ge=-60.0, le=100.0, description="Temperature of the use that is planned for cells. Empty: as now."
    )
    planned_charge_c_rate: float | None = Field(
        None, gt=0.0, le=20.0, description="Constant current that they shall be charged at. Empty: as now."
    )
    planned_discharge_c_rate: float | None = Field(
        None, gt=0.0, le=20.0, description="Current that they shall be discharged at. Empty: as now."
    )

    @property
    def planned(self) -> Use:
        """The use that is planned."""
        said = (self.planned_temperature_celsius, self.planned_charge_c_rate, self.planned_discharge_c_rate)
        return Use(*(NOT_TOLD if number is None else number for number in said))
