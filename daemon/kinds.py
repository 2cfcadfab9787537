"""What the configuration says of a pack, resolved: its cell type, its estimators, its customs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from daemon.bank import Bank
from daemon.config import Config, EstimatorName, PackRule
from daemon.models import MODELS, load, load_cell_type
from estimators.cell_type import TABLES_FILE, CellType
from estimators.check import Facts
from estimators.contract import TOLD_SOH_STD

LAYERED_WINDOW = (3.8, 4.1)  # of oxides with a sloping voltage: from half full to nearly full
WINDOWS = {"lfp": (3.30, 3.45)}  # flat: from its plateau to its end


class Voice(NamedTuple):
    """An estimator that may speak for a cell."""

    bank: Bank
    label: int  # index into Kinds.labels


@dataclass(frozen=True, slots=True)
class Programme:
    """Which estimator speaks for a cell, and which one is stepped beside it to speak where the first cannot."""

    chosen: Voice
    fallback: Voice | None

    @property
    def voices(self) -> tuple[Voice, ...]:
        """All that are stepped."""
        return (self.chosen,) if self.fallback is None else (self.chosen, self.fallback)


@dataclass(frozen=True, slots=True)
class Kind:
    """All cells of the packs that fit one rule."""

    cell_type: CellType
    programme: int  # index into Kinds.programmes
    current_sign: float
    ambient_temperature_celsius: float
    initial_soh: float
    initial_soh_std: float
    nominal: bool  # SOC is published against the nominal capacity
    max_hold_second: float
    rest_ampere: float  # below this current the cell rests
    window_volt: tuple[float, float]  # a charge that passes it is told
    facts: Facts  # what a health check is told of the cell

    @property
    def nominal_capacity_ah(self) -> float:
        """That of its type."""
        return self.cell_type.nominal_capacity_ah

    @property
    def voltage_min_volt(self) -> float:
        """Where a discharge is cut off."""
        return self.cell_type.voltage_min_volt

    @property
    def voltage_max_volt(self) -> float:
        """Where a charge ends."""
        return self.cell_type.voltage_max_volt

    @property
    def window_low_volt(self) -> float:
        """Where the window begins."""
        return self.window_volt[0]

    @property
    def window_high_volt(self) -> float:
        """Where it ends."""
        return self.window_volt[1]


@dataclass(frozen=True, slots=True)
class Kinds:
    """The rules of the configuration with their estimators loaded, each estimator of a cell type once.

    Raises ConfigError for an unknown cell type, WeightsError for one whose chosen estimator cannot be loaded.
    """

    config: Config
    programmes: list[Programme] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)  # "ekf-1a2b3c4d"
    _kinds: dict[PackRule, Kind] = field(default_factory=dict)
    _voices: dict[tuple[str, EstimatorName], Voice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        cells = self.config.cells
        strangers = [cells.default_type] if cells.unknown == "adopt" and cells.default_type else []
        for rule in [*cells.packs, *(PackRule(pattern="*", cell_type=name) for name in strangers)]:
            self._kinds[rule] = self._resolve(rule)

    @property
    def voices(self) -> dict[str, Bank]:
        """Every estimator that is stepped for some cell, once, by a name that outlives this process."""
        named: dict[str, Bank] = {}
        for (folder, name), voice in self._voices.items():
            plain = f"{Path(folder).name}/{name}"
            named[plain if plain not in named else f"{plain}~{len(named)}"] = voice.bank
        return named

    @property
    def voices_of_programmes(self) -> list[list[str]]:
        """The names in `voices` of those that each programme steps."""
        names = {id(bank): name for name, bank in self.voices.items()}
        return [[names[id(voice.bank)] for voice in programme.voices] for programme in self.programmes]

    def of_pack(self, pack: str) -> Kind | None:
        """Find the kind of a pack's cells; None where no rule fits and strangers are refused."""
        rule = self.config.cells.rule(pack)
        return None if rule is None else self._kinds[rule]

    def _resolve(self, rule: PackRule) -> Kind:
        cell_type = load_cell_type(rule.cell_type, "cells.packs")
        grid = self.config.grid
        return Kind(
            cell_type=cell_type,
            programme=self._programme(cell_type, rule.estimator or cell_type.estimator),
            current_sign=float(rule.current_sign),
            ambient_temperature_celsius=rule.ambient_temperature_celsius,
            initial_soh=rule.initial_soh or cell_type.typical_soh,
            initial_soh_std=TOLD_SOH_STD if rule.initial_soh else cell_type.typical_soh_std,
            nominal=(rule.soc_reference or cell_type.soc_reference) == "nominal",
            max_hold_second=rule.max_hold_second or grid.max_hold_second,
            rest_ampere=grid.rest_c_rate * cell_type.nominal_capacity_ah,
            window_volt=WINDOWS.get(cell_type.chemistry, LAYERED_WINDOW),
            facts=Facts(
                cell_type.name,
                cell_type.chemistry,
                cell_type.nominal_capacity_ah,
                cell_type.voltage_min_volt,
                cell_type.voltage_max_volt,
                cell_type.tables() if (cell_type.folder / TABLES_FILE).is_file() else None,
                self.config.health.planned,
            ),
        )

    def _programme(self, cell_type: CellType, name: EstimatorName) -> int:
        beside = MODELS[name].fallback
        programme = Programme(self._voice(cell_type, name), self._voice(cell_type, beside) if beside else None)
        if programme not in self.programmes:
            self.programmes.append(programme)
        return self.programmes.index(programme)

    def _voice(self, cell_type: CellType, name: EstimatorName) -> Voice:
        key = (str(cell_type.folder.resolve()), name)
        if key not in self._voices:
            bank = Bank(load(cell_type, name, self.config.service.torch_threads))
            label = bank.label
            if label not in self.labels:
                self.labels.append(label)
            self._voices[key] = Voice(bank, self.labels.index(label))
        return self._voices[key]
