"""A cell type that is known already, as the beginning of a new one: its tables for another capacity, its network."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, NamedTuple

import yaml

from daemon.errors import UsageError
from daemon.fitting import rescaled
from estimators.cell_type import NETWORK_FILE, TABLES_FILE, CellType, Tables, save_tables

if TYPE_CHECKING:
    from pathlib import Path


class Similar(NamedTuple):
    """A known type, and its tables as those of a cell of the new capacity."""

    cell_type: CellType
    tables: Tables

    @property
    def has_network(self) -> bool:
        """Tell whether there is one to begin with."""
        return (self.cell_type.folder / NETWORK_FILE).is_file()


def find(like: str | None, new: CellType) -> Similar | None:
    """Read the type `like`, else the chemistry's generic one; None where that is the very one to be made.

    Raises UsageError where `like` is not usable.
    """
    name = like or f"generic-{new.chemistry}"
    if like is None and new.name == name:
        return None
    try:
        known = CellType.load(name)
        return Similar(known, rescaled(known.tables(), known.nominal_capacity_ah, new.nominal_capacity_ah))
    except (FileNotFoundError, ValueError) as err:
        if like is None:
            return None
        raise UsageError(str(err), where="--like", mend="`bmsd models` lists the cell types") from err


def write(folder: Path, facts: CellType, tables: Tables, network_from: Path) -> CellType:
    """Make a folder a cell type: these facts and tables, and the network of another folder if it has one."""
    folder.mkdir(parents=True, exist_ok=True)
    said = {name: value for name, value in asdict(facts).items() if name != "folder"}
    (folder / "cell.yaml").write_text(yaml.safe_dump(said), encoding="utf-8")
    save_tables(tables, folder / TABLES_FILE)
    if (network_from / NETWORK_FILE).is_file():
        shutil.copyfile(network_from / NETWORK_FILE, folder / NETWORK_FILE)
    return replace(facts, folder=folder)
