"""The estimators that a pack may choose: one row each. A row's code and weights are loaded when first wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from daemon.errors import ConfigError, WeightsError
from estimators.cell_type import NETWORK_FILE

if TYPE_CHECKING:
    from collections.abc import Callable

    from daemon.config import EstimatorName
    from estimators.cell_type import CellType
    from estimators.contract import Estimator


def _coulomb(cell_type: CellType) -> Estimator:
    from estimators.coulomb import Coulomb

    return Coulomb(cell_type)


def _ekf(cell_type: CellType) -> Estimator:
    from estimators.ekf import Ekf

    return Ekf(cell_type)


def _cross_stitch(cell_type: CellType) -> Estimator:
    from estimators.cross_stitch import CrossStitch

    return CrossStitch(cell_type)


def _fused(cell_type: CellType) -> Estimator:
    from estimators.fused import Fused

    return Fused(cell_type)


class Model(NamedTuple):
    """How an estimator is made, and which one is stepped beside it to speak where it cannot."""

    make: Callable[[CellType], Estimator]
    fallback: EstimatorName | None = None
    uses_torch: bool = False


MODELS: dict[EstimatorName, Model] = {
    "coulomb": Model(_coulomb),
    "ekf": Model(_ekf),
    "cross_stitch": Model(_cross_stitch, fallback="ekf", uses_torch=True),
    "fused": Model(_fused, uses_torch=True),  # out of domain it leaves its network out by itself
}


def load_cell_type(name_or_folder: str, where: str) -> CellType:
    """Read a cell type's facts. Raises ConfigError, `where` being the key or option that named it."""
    from estimators.cell_type import CellType

    try:
        return CellType.load(name_or_folder)
    except (FileNotFoundError, ValueError) as err:
        raise ConfigError(str(err), where=where, mend="`bmsd models` lists the cell types") from err


def load(cell_type: CellType, name: EstimatorName, torch_threads: int = 1) -> Estimator:
    """Make one estimator of one cell type. Raises WeightsError where its folder lacks a file or has a damaged one."""
    if MODELS[name].uses_torch and (cell_type.folder / NETWORK_FILE).is_file():
        import torch

        torch.set_num_threads(torch_threads)  # of the whole process; more than one costs a small batch dearly
    try:
        return MODELS[name].make(cell_type)
    except (FileNotFoundError, ValueError) as err:
        raise WeightsError(
            f"cell type `{cell_type.name}` has no usable {name}: {err}",
            where=str(cell_type.folder),
            mend="choose another estimator for it, or make the files: bmsd fit, bmsd train",
        ) from err


def label(estimator: Estimator) -> str:
    """Name an estimator and the numbers in it, as the wire says it.

    >>> from types import SimpleNamespace as Model
    >>> label(Model(name="ekf", weights_id="1a2b3c4d")), label(Model(name="coulomb", weights_id="-"))
    ('ekf-1a2b3c4d', 'coulomb')
    """
    return estimator.name if estimator.weights_id == "-" else f"{estimator.name}-{estimator.weights_id}"
