"""SOH from one full charge: a recording in, a number with its deviation out, or the reason why there is none.

known = read()                                                     # the weights that come with the package
estimate(known, second, volt, ampere, celsius, 2.0, "24 C")        # -> Judgement(soh=0.91, std=0.01, ...)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

import numpy as np
import torch

from estimators.srse import features, saved
from estimators.srse.plain import Correction, Looks

if TYPE_CHECKING:
    from pathlib import Path

    from estimators.contract import Float
    from estimators.srse.features import Charge
    from estimators.srse.saved import Profile, Saved

DEGREES = 5.0  # beyond the training's temperatures by more is another place
VOLT = 0.05  # likewise
RATE = 0.1  # of the rate
SIZE = 0.02  # of nominal capacity


class Judgement(NamedTuple):
    """What is said of a charge."""

    soh: float  # NaN where it was refused
    std: float
    in_domain: bool
    refused: str | None = None  # too_short | not_full_charge | temperature_out_of_domain | unknown_configuration


@dataclass(frozen=True, slots=True)
class Known:
    """The models."""

    plain: Correction  # speaks by default
    network: Saved
    plain_id: str = ""  # of its file


def read(folder: Path = saved.FOLDER) -> Known:
    """Read the weights. Raises FileNotFoundError or ValueError."""
    path = folder / saved.PLAIN
    return Known(Correction.read(path), saved.load(folder / saved.FULL_CHARGE), f"{crc32(path.read_bytes()):08x}")


def configuration_of(known: Known, charge: Charge) -> str | None:
    """Find the configuration that a charge is of, by size of cell, rate and temperature; None: it is of none."""
    if not len(charge.ampere):
        return None
    rate = float(charge.ampere.max()) / charge.nominal_capacity_ah
    for profile in known.network.configurations:
        same_cell = abs(charge.nominal_capacity_ah / profile.nominal_capacity_ah - 1.0) <= SIZE
        same_rate = (1 - RATE) * profile.lowest_c_rate <= rate <= (1 + RATE) * profile.highest_c_rate
        if same_cell and same_rate and _warm_enough(profile, charge):
            return profile.name
    return None


def estimate(
    known: Known,
    second: Float,
    volt: Float,
    ampere: Float,
    celsius: Float,
    nominal_capacity_ah: float,
    configuration: str,
    *,
    below_ah: float = math.nan,
    joint: bool = False,
    network: bool = False,
) -> Judgement:
    """Judge one recording [point] of a charge, rests around it included.

    `below_ah`: what the discharge before gave below the voltage at which capacity is read, where that was seen.
    `joint`: answer a configuration that nobody trained too, out of domain and with a wide deviation, in place of
    refusing it. `network`: by SRSE, in place of the model that is best on unseen cells.
    """
    charge = features.charge(second, volt, ampere, celsius, nominal_capacity_ah)
    reason = refuse(known, charge, configuration)
    if reason and not (joint and reason == "unknown_configuration"):
        return Judgement(math.nan, math.nan, False, reason)
    if network:
        x = torch.as_tensor(features.curves(charge), dtype=torch.float32)[None]
        said = known.network.predict(x, [configuration])
    else:
        below = np.array([below_ah / nominal_capacity_ah])
        said = known.plain.predict(Looks(features.statistics(charge)[None], below, np.array([configuration])))
    return Judgement(float(said.mean[0]), float(said.std[0]), bool(said.in_domain[0]))


def refuse(known: Known, charge: Charge, configuration: str) -> str | None:
    """Say why a charge cannot be judged, in the order in which a person would ask; None: it can."""
    profiles = {p.name: p for p in known.network.configurations}
    profile = profiles.get(configuration)
    full_volt = min(p.full_volt for p in profiles.values()) if profile is None else profile.full_volt
    begun_volt = math.inf if profile is None else profile.begun_volt
    reason = features.why_not(charge, full_volt - VOLT, begun_volt + VOLT)
    if reason is not None:
        return reason
    if profile is None:
        return "unknown_configuration"
    return None if _warm_enough(profile, charge) else "temperature_out_of_domain"


def _warm_enough(profile: Profile, charge: Charge) -> bool:
    return profile.coldest_celsius - DEGREES <= charge.temperature_celsius <= profile.warmest_celsius + DEGREES
