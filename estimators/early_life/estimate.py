"""What the service asks: a cell's early capacities and its temperature in, its later life out.

    report = estimate(capacity_ah, temperature_celsius, family())

`family()` is what the package knows: cells of two temperatures, pooled (CARD.md). Cells of another design need a
family of their own, `bmsd train early-life`; one that does not look like theirs is told as out of domain.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from estimators.check import Refusal, Report
from estimators.early_life.transfer import FEWEST_CYCLES, Source, agree, foresee, join

if TYPE_CHECKING:
    from collections.abc import Sequence

    from estimators.contract import Float

CHECK = "early_life"
HOME = Path(__file__).parent
WEIGHTS = "family.safetensors"
LAST_CYCLE = 1000


def estimate(
    capacity_ah: Float, temperature_celsius: float, sources: Sequence[Source], cycles: int = LAST_CYCLE
) -> Report:
    """Foresee capacity up to `cycles` from capacity_ah [cycle], from the cell's first on; NaN: not measured.

    Trajectories `capacity_ah` and `capacity_ah_std` begin with the first cycle that is not known; `horizon` in
    `values` says how many they are, `capacity_ah` is the last of them.
    """
    model = f"transfer-{identity(sources)}"
    seen = np.flatnonzero(np.isfinite(capacity_ah))
    known = int(seen[-1]) + 1 if len(seen) else 0
    if known < FEWEST_CYCLES or len(seen) < known / 2:
        return Report.refuse(CHECK, model, Refusal.HISTORY_TOO_SHORT, cycles=float(len(seen)))
    if not sources or known >= cycles:
        return Report.refuse(CHECK, model, Refusal.UNKNOWN_CONFIGURATION, cycles=float(known))
    early = np.interp(np.arange(known), seen, capacity_ah[seen])
    found = foresee(early, temperature_celsius, sources, cycles)
    return Report(
        CHECK,
        model,
        values={"capacity_ah": float(found.mean_ah[-1]), "horizon": float(cycles - known)},
        std={"capacity_ah": float(found.std_ah[-1])},
        quality={"cycles": float(known), "measured": len(seen) / known},
        in_domain=found.in_domain,
        trajectories={"capacity_ah": found.mean_ah.tolist(), "capacity_ah_std": found.std_ah.tolist()},
    )


@cache
def family(folder: Path = HOME) -> tuple[Source, ...]:
    """Read the sources that are kept in a folder; none where there is no file. Raises ValueError, naming it."""
    path = folder / WEIGHTS
    if not path.is_file():
        return ()
    try:
        arrays = load_file(path)
        names = sorted({key.partition("/")[0] for key in arrays}, key=float)
        return tuple(
            Source(
                float(name),
                arrays[f"{name}/loss"].astype(float),
                arrays[f"{name}/spread"].astype(float),
                int(arrays[f"{name}/cells"][0]),
            )
            for name in names
        )
    except (SafetensorError, KeyError, ValueError) as err:
        raise ValueError(f"{path}: {err}") from err


def save(sources: Sequence[Source], folder: Path) -> Path:
    """Keep sources in a folder."""
    arrays = {}
    for s in sources:
        name = f"{s.temperature_celsius:g}"
        arrays[f"{name}/loss"] = np.ascontiguousarray(s.loss, np.float32)
        arrays[f"{name}/spread"] = np.ascontiguousarray(s.spread, np.float32)
        arrays[f"{name}/cells"] = np.array([s.cells], np.int32)
    save_file(arrays, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # the library writes for its owner alone
    family.cache_clear()
    return folder / WEIGHTS


def known_with(sources: Sequence[Source], temperatures: Sequence[float]) -> list[Source]:
    """Give a source of each temperature: those that are given, joined with the package's where both look alike."""
    found = []
    for temperature in sorted(temperatures):
        given = [s for s in sources if s.temperature_celsius == temperature]
        kept = [s for s in family() if s.temperature_celsius == temperature]
        alike = all(agree(a, b) for a in given for b in kept)
        found += [join(given[0], kept[0])] if given and kept and alike else given or kept
    return found


def identity(sources: Sequence[Source]) -> str:
    """Name the numbers inside."""
    digest = sha256()
    for s in sources:
        digest.update(np.ascontiguousarray(s.loss, np.float32).tobytes())
    return digest.hexdigest()[:8]
