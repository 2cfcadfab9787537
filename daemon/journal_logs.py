"""A journal as recorded logs, one for each of its cells: what was received can be replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from daemon.errors import LogError
from daemon.journal import NAME, read
from daemon.log import Log

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from daemon.config import Cells


def find_journal(path: Path) -> Path | None:
    """Tell the journal that a path means: the file itself, or a state directory that holds one; None: neither."""
    file = path / NAME if path.is_dir() else path
    return file if file.name == NAME and file.is_file() else None


def read_journal_logs(path: Path, cells: Cells) -> list[Log]:
    """Read what each cell sent, in the order of arrival; the packs' rules say which way their current is meant.

    A log is called as its cell, "pack.cell". Raises JournalError where the file cannot be read, LogError where it
    holds no samples.
    """
    parts: dict[str, list[NDArray[np.float64]]] = {}
    for block in read(path):
        batch = block.batch
        values = (batch.unix_time_second, batch.voltage_volt, batch.current_ampere, batch.temperature_celsius)
        samples = np.stack(values)
        for index, name in enumerate(batch.cells):
            parts.setdefault(name, []).append(samples[:, batch.cell == index])
    if not parts:
        raise LogError("the journal holds no samples", where=str(path), mend="name the state directory of a service")
    return [_log(path, name, np.concatenate(samples, axis=1), cells) for name, samples in sorted(parts.items())]


def _log(path: Path, name: str, samples: NDArray[np.float64], cells: Cells) -> Log:
    second, volt, ampere, celsius = samples
    rule = cells.rule(name.partition("/")[0])
    return Log(
        path=path.parent / name.replace("/", "."),
        test_time_second=second - np.floor(second[0]),
        voltage_volt=volt,
        current_ampere=ampere * (rule.current_sign if rule else 1),
        temperature_celsius=celsius,
        broken=[],
        unix_time_second=second,
    )
