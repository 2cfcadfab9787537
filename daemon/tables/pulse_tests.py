"""Tables of pulse tests: a file a kind of cell and pulse width, a row a cell and SOC level.

    [inf_]CHEMISTRY_CAPACITYah_width_WIDTHms.csv[.gz]    lfp_35ah_width_5000ms.csv.gz

Columns: `cell`, `u1_volt` to `u21_volt` or `u41_volt`, and where they are known `soh`, `nominal_soc_percent`,
`nominal_capacity_ah`, `aging_cycles`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars
from numpy.typing import NDArray

from daemon.errors import LogError
from daemon.tables import reading
from estimators.pulse.features import SHORT, WHOLE, Configuration, plausible

if TYPE_CHECKING:
    from pathlib import Path

Float = NDArray[np.float64]
NAME = re.compile(r"(?:inf_)?(?P<chemistry>[a-z]+)_(?P<ah>[\d.]+)ah_width_(?P<ms>\d+)ms\.csv(?:\.gz)?")
IDENTITY = ("cell", "aging_cycles", "nominal_soc_percent")


@dataclass(frozen=True, slots=True)
class PulseTests:
    """The tests of one file. Rows that cannot be read are left out."""

    name: str  # of the file, without its endings
    configuration: Configuration
    identity: polars.DataFrame  # [row] what the source says of who and when
    cell: NDArray[np.str_]  # [row] the physical cell
    soc_percent: Float  # [row] of NOMINAL capacity; NaN: not told
    voltage_volt: Float  # [row, 21 or 41]
    soh: Float  # [row] NaN: not known
    unread: tuple[str, ...]  # rows left out, each with its reason

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.soh)


def read_folder(folder: Path) -> list[PulseTests]:
    """Read every table of a folder; one that is damaged is named. Raises UsageError where there is none to read."""
    found, damaged = [], []
    for path, match in ((p, m) for p in sorted(folder.iterdir()) if (m := NAME.fullmatch(p.name))):
        try:
            found.append(_read(path, match))
        except LogError as err:
            damaged.append(reading.told(err))
    if not found:
        mend = "files are called as lfp_35ah_width_5000ms.csv.gz: chemistry, nominal capacity, pulse width"
        raise reading.refused("no pulse tests", folder, mend, damaged)
    return [replace(found[0], unread=(*damaged, *found[0].unread)), *found[1:]]


def _read(path: Path, match: re.Match[str]) -> PulseTests:
    frame, lines = reading.table(path)
    points = next((n for n in (WHOLE, SHORT) if f"u{n}_volt" in frame.columns), 0)
    names = [f"u{k}_volt" for k in range(1, points + 1)]
    missing = sorted({"cell", *(names or ["u1_volt .. u21_volt"])} - set(frame.columns))
    if missing:
        raise LogError(
            f"no column {', '.join(missing)}", where=path.name, mend=f"columns: cell, u1_volt to u{SHORT}_volt"
        )
    volt = np.column_stack([reading.column(frame, name) for name in names])
    name = path.name.split(".csv")[0]
    good = plausible(volt)
    line = reading.listed(np.flatnonzero(~good) + reading.HEADING_LINES + 1)
    unread = () if good.all() else (f"{path.name}, line {line}: a voltage is missing or impossible",)
    capacity = reading.column(frame, "nominal_capacity_ah")
    told = capacity[np.isfinite(capacity)]
    ah = float(told[0]) if len(told) else float(match["ah"])
    kept = frame.filter(polars.Series(good))
    return PulseTests(
        name=name,
        configuration=Configuration(match["chemistry"], ah, int(match["ms"])),
        identity=kept.select(
            polars.lit(name).alias("file"),
            *(polars.col(c).cast(polars.String) if c == "cell" else c for c in IDENTITY if c in frame.columns),
        ),
        cell=kept["cell"].cast(polars.String).fill_null("unnamed").to_numpy().astype(str),
        soc_percent=reading.column(kept, "nominal_soc_percent"),
        voltage_volt=volt[good],
        soh=reading.column(kept, "soh"),
        unread=(*lines, *unread),
    )
