"""What a set of weights is made of: the `training.yaml` of a cell type, so that one command makes it again."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from estimators.cross_stitch.train import Settings
from estimators.cross_stitch.windows import Faults


@dataclass(frozen=True, slots=True)
class Simulated:
    """Simulated runs: FUDS random-pulse cycles over cells of every temperature and age."""

    chemistry: str
    cells: int = 96
    seconds: int = 43_200
    seed: int = 1
    temperature_celsius: tuple[float, float] = (-20.0, 45.0)
    soh: tuple[float, float] = (0.7, 1.0)
    own_voltage: bool = True  # False: the voltage is made by the cell type's own tables from current and SOC
    share: float = 0.5  # of the seconds drawn, where there are measured ones too
    physics: tuple[str, ...] = ("circuit",)  # that cells are shared out over; `spme` is PyBaMM's


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one cell type's weights are trained."""

    data: str | None = None  # folder of logs below the data directory
    split: str = "split.yaml"  # beside the recipe: train, validation and test, by file
    soh: dict[str, float] = field(default_factory=dict)  # SOH label by what a file's name begins with
    simulated: Simulated | None = None
    start_from: str | None = None  # cell type whose weights are the start
    settings: Settings = field(default_factory=Settings)

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Recipe:
        """Read what YAML gives. Raises TypeError where a key is unknown."""
        raw = dict(raw)
        simulated = raw.pop("simulated", None)
        settings = dict(raw.pop("settings", {}))
        faults = Faults(**settings.pop("faults", {}))
        if unknown := set(settings) - {f.name for f in fields(Settings)}:
            raise TypeError(f"unknown settings {sorted(unknown)}")
        return cls(
            simulated=Simulated(**simulated) if simulated else None, settings=Settings(faults=faults, **settings), **raw
        )
