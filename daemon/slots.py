"""Per-cell state as arrays with one row per slot: declared as a dataclass, grown and cleared by that declaration.

A state is a dataclass whose every field is a `column`. The value that a fresh cell has stands in the
declaration, so that growing, clearing and saving need no list of names of their own.
"""

from __future__ import annotations

from dataclasses import field, fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Slots = NDArray[np.intp]
State = TypeVar("State", bound="DataclassInstance")


def column(fresh: float, dtype: DTypeLike = np.float64, *shape: int) -> Any:  # noqa: ANN401 - a dataclass field takes any type
    """Declare an array [slot, *shape] by the value of a cell not yet seen."""
    return field(default_factory=lambda: np.empty((0, *shape), dtype), metadata={"fresh": fresh})


def grow(state: DataclassInstance, rows: int) -> None:
    """Make room for `rows` slots; the new ones are fresh."""
    for f in fields(state):
        old = getattr(state, f.name)
        new = np.full((rows, *old.shape[1:]), f.metadata["fresh"], old.dtype)
        new[: len(old)] = old
        setattr(state, f.name, new)


def clear(state: DataclassInstance, slots: Slots) -> None:
    """Make slots fresh again."""
    for f in fields(state):
        getattr(state, f.name)[slots] = f.metadata["fresh"]


def pick(state: State, slots: Slots) -> State:
    """Copy some slots: [slot of the copy] is [its place in `slots`]."""
    return type(state)(**{f.name: getattr(state, f.name)[slots] for f in fields(state)})


def by_slot(slot: NDArray[Any]) -> tuple[Slots, NDArray[np.bool_]]:
    """Sort rows by slot, each slot's in the order of arrival; mark where a slot begins."""
    order = np.argsort(slot, kind="stable")
    ordered = slot[order]
    begins = np.ones(len(slot), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=begins[1:])
    return order, begins


def waves(slot: NDArray[Any]) -> list[Slots]:
    """Part rows into waves in which no slot comes twice: the j-th wave has the j-th row of each slot.

    >>> [w.tolist() for w in waves(np.array([7, 3, 7, 7, 3]))]
    [[1, 0], [4, 2], [3]]
    """
    if not len(slot):
        return []
    order, begins = by_slot(slot)
    place = np.arange(len(slot))
    rank = place - np.maximum.accumulate(np.where(begins, place, 0))
    return np.split(order[np.argsort(rank, kind="stable")], np.cumsum(np.bincount(rank))[:-1])
