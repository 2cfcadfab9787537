"""What the weights say of a pulse test. Pure: voltages in, SOH with its deviation out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from estimators.check import NOT_TOLD, Refusal
from estimators.pulse.features import VIEWS, Configuration, Resistance, Soc, inputs, plausible, resistances
from estimators.pulse.recognise import Flaw, PulseTrain
from estimators.regression.regression import Answer, Regression, load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from estimators.contract import Float

WEIGHTS = Path(__file__).parent / "weights" / "pulse.safetensors"
SAME_CAPACITY = 0.03  # a nominal capacity may be told as much otherwise
OURS, RIDGE = "varying", "ridge"


def name(configuration: Configuration, view: str, soc: Soc, method: str) -> str:
    """Name a model in the weights' file."""
    return f"{configuration}|{view}|soc {soc}|{method}"


@dataclass(frozen=True, slots=True)
class PulseModels:
    """The models of all configurations that are known."""

    models: Mapping[str, Regression]

    def known(self) -> list[Configuration]:
        """List the configurations, each once."""
        return sorted({_configuration(key) for key in self.models})

    def find(self, wanted: Configuration) -> Configuration | None:
        """Find the configuration that a test is of; None: nobody trained it."""
        for one in self.known():
            near = abs(one.nominal_capacity_ah / wanted.nominal_capacity_ah - 1.0) <= SAME_CAPACITY
            if near and (one.chemistry, one.width_ms) == (wanted.chemistry, wanted.width_ms):
                return one
        return None

    def view(self, wanted: Configuration, points: int, soc: Soc = "unknown") -> str | None:
        """Name the widest view that is trained for a configuration and that `points` voltages cover."""
        found = self.find(wanted)
        fitting = (v for v in ("whole", "short") if points >= len(VIEWS[v]))
        return next((v for v in fitting if found and name(found, v, soc, OURS) in self.models), None)

    def has(self, wanted: Configuration, view: str) -> bool:
        """Tell whether a view is trained for a configuration, the SOC not told."""
        found = self.find(wanted)
        return found is not None and name(found, view, "unknown", OURS) in self.models

    def say(
        self,
        voltage_volt: Float,
        wanted: Configuration,
        view: str,
        soc_percent: Float | None = None,
        method: str = OURS,
    ) -> Answer:
        """Answer for voltages [row, point]; `soc_percent` [row] of nominal capacity, where it is known.

        Raises KeyError where `view` says None for the configuration.
        """
        found = self.find(wanted) or wanted
        model = self.models[name(found, view, "unknown" if soc_percent is None else "known", method)]
        return model.predict(inputs(voltage_volt, view, soc_percent))


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a train of pulses says of a cell; `refused`: why it says nothing of the SOH."""

    soh: float = NOT_TOLD
    soh_std: float = NOT_TOLD
    in_domain: bool = False
    view: str = ""  # which voltages the model saw: "ends" where the log was too slow for the rest
    refused: Refusal | Flaw | None = None
    resistances: tuple[Resistance, ...] = ()


def judge(models: PulseModels, train: PulseTrain, chemistry: str, nominal_capacity_ah: float) -> Judgement:
    """Say SOH, pulse resistances, or why not; the SOC is not asked for."""
    if train.flaw is not None:
        return Judgement(refused=train.flaw)
    found = tuple(resistances(train.voltage_volt, nominal_capacity_ah))
    wanted = Configuration(chemistry, nominal_capacity_ah, train.width_ms)
    view = "ends" if train.only_ends else models.view(wanted, len(train.voltage_volt))
    if view is None or not models.has(wanted, view):
        return Judgement(refused=Refusal.UNKNOWN_CONFIGURATION, resistances=found)
    row = train.voltage_volt[None]
    if not plausible(row[:, VIEWS[view]])[0]:
        return Judgement(refused=Refusal.PULSES_DO_NOT_FIT, view=view, resistances=found)
    said = models.say(row, wanted, view)
    return Judgement(float(said.mean[0]), float(said.std[0]), bool(said.in_domain[0]), view, None, found)


def named(found: Sequence[Resistance]) -> dict[str, float]:
    """Give resistances by name: charge_ohmic_1c_ohm; those that a slow log does not tell are left out."""
    return {
        f"{field.removesuffix('_ohm')}_{one.c_rate:g}c_ohm": value
        for one in found
        for field, value in one._asdict().items()
        if field != "c_rate" and np.isfinite(value)
    }


@cache
def shipped() -> PulseModels:
    """Read the weights of the package. Raises FileNotFoundError or ValueError."""
    return PulseModels(load(WEIGHTS)[0])


def _configuration(key: str) -> Configuration:
    chemistry, capacity, width = key.split("|", 1)[0].split("_")
    return Configuration(chemistry, float(capacity.removesuffix("ah")), int(width.removesuffix("ms")))
