"""`cells:` which packs exist, what their cells are, and what to do with a stranger; `grid:` their time."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field, model_validator

from daemon.config.section import Section

EstimatorName = Literal["fused", "cross_stitch", "ekf", "coulomb"]


class PackRule(Section):
    """What is said of the packs whose name fits a pattern; the first rule that fits counts."""

    pattern: str = Field(min_length=1, description="Shell-style pattern of pack names: `*`, `garage-?`, `rack[12]-*`.")
    cell_type: str = Field(
        min_length=1,
        description="Name of a cell type (`bmsd models` lists them) or path of a folder made by `bmsd fit`.",
    )
    estimator: EstimatorName | None = Field(
        None, description="Estimator that is published; empty: the cell type's default."
    )
    clock: Literal["device", "server"] = Field(
        "device", description="server: samples without unix_time_second take our time of arrival."
    )
    current_sign: Literal[1, -1] = Field(1, description="-1 for a source whose current is positive on discharge.")
    ambient_temperature_celsius: float = Field(
        25.0, ge=-60.0, le=100.0, description="Taken where no temperature is measured."
    )
    initial_soh: float | None = Field(
        None, ge=0.3, le=1.2, description="SOH of a cell first seen; empty: typical of its type."
    )
    soc_reference: Literal["present", "nominal"] | None = Field(
        None, description="Capacity that SOC is published against; empty: the cell type's."
    )
    max_hold_second: float | None = Field(
        None,
        ge=1.0,
        le=86_400.0,
        description="Longest gap bridged by holding the last sample; empty: grid.max_hold_second.",
    )


class Cells(Section):
    """Which packs exist, what their cells are, and what to do with a stranger."""

    packs: list[PackRule] = Field(
        default_factory=lambda: [PackRule(pattern="*", cell_type="generic-nmc")],
        description="Rules by pack name; the first that fits counts.",
    )
    unknown: Literal["refuse", "adopt"] = Field(
        "refuse", description="A cell whose pack fits no rule: refused and counted, or adopted with default_type."
    )
    default_type: str | None = Field(None, description="Cell type of adopted strangers.")
    cells_max: int = Field(
        20_000,
        ge=1,
        le=1_000_000,
        description="Bound on cells held; a further one is refused and counted. About 35 kB of memory each.",
    )
    retire_after_day: float = Field(
        30.0, gt=0.0, le=3_650.0, description="A cell silent for so long (of event time) gives its slot back."
    )

    @model_validator(mode="after")
    def _adopt_needs_a_type(self) -> Cells:
        if self.unknown == "adopt" and self.default_type is None:
            raise ValueError("`unknown: adopt` needs `default_type`")
        return self

    def rule(self, pack: str) -> PackRule | None:
        """Find what is said of a pack: the first rule that fits; for an adopted stranger one of its own; else None."""
        fitting = (rule for rule in self.packs if fnmatchcase(pack, rule.pattern))
        stranger = PackRule(pattern="*", cell_type=self.default_type) if self.default_type else None
        return next(fitting, stranger if self.unknown == "adopt" else None)


class Grid(Section):
    """The 1 Hz grid of event time that every cell lives on."""

    max_hold_second: float = Field(
        30.0,
        ge=1.0,
        le=86_400.0,
        description="Longest gap bridged by holding the last sample; a longer one marks the cell stale.",
    )
    late_second: float = Field(
        3_600.0,
        ge=0.0,
        le=86_400.0,
        description="A sample older than the newest by up to this is late; by more, the clock has jumped.",
    )
    jump_second: float = Field(
        86_400.0,
        ge=60.0,
        le=31_536_000.0,
        description="A sample newer than the newest by more than this is a clock jump.",
    )
    clock_recovery_sample: int = Field(
        10, ge=2, le=10_000, description="After a jump, so many samples in a row on the new clock are believed."
    )
    rest_c_rate: float = Field(
        0.02, gt=0.0, le=0.5, description="Below this current (times capacity per hour) a cell rests."
    )
