"""What a restart would lose, found by walking what the parts declare: their state as named arrays and facts, and back.

A part's state is what changes in it: arrays, plain values, and objects of ours that hold such. What cannot change
(configuration, functions, frozen dataclasses, tuples, read-only mappings; None in place of any of them) is passed over:
the configuration makes it again.
Anything else is refused when it is met, so that no new state can be left out unseen.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.fleet import Fleet
    from daemon.publish import Publisher

PLAIN = (int, float, str, bool, type(None))
VOICE = "voice/"  # how an estimator's arrays are named: voice/<cell type>/<estimator>/<array>


class Leaf(NamedTuple):
    """One thing that is remembered."""

    path: str
    owner: object
    name: str  # of the owner's attribute

    @property
    def value(self) -> Any:  # noqa: ANN401 - an array or a plain value
        """What it is now."""
        return getattr(self.owner, self.name)


@dataclass(frozen=True, slots=True)
class Memory:
    """All that is remembered of a fleet and of what was published of it."""

    arrays: dict[str, NDArray[Any]]
    facts: dict[str, Any]  # plain values
    weights: dict[str, str]  # by voice, "cell type/estimator": "ekf-1a2b3c4d"
    programmes: list[list[str]]  # voices, as the cells' programme numbers them


class UnfitError(Exception):
    """A memory that the code as it is now has no use for."""


def leaves(thing: object, path: str) -> Iterator[Leaf]:
    """Walk all that is remembered below a thing. Raises TypeError where something could be neither saved nor made."""
    names = [f.name for f in fields(thing)] if is_dataclass(thing) else list(vars(thing))
    for name in names:
        value = getattr(thing, name)
        here = f"{path}/{name.lstrip('_')}"
        if value is None:
            continue
        if isinstance(value, np.ndarray) or _is_plain(value):
            yield Leaf(here, thing, name)
        elif _changes(value):
            if not type(value).__module__.startswith("daemon."):
                raise TypeError(f"{here} is a {type(value).__name__}: a checkpoint cannot keep it")
            yield from leaves(value, here)


def take(fleet: Fleet, publisher: Publisher) -> Memory:
    """Copy everything, between two batches."""
    arrays: dict[str, NDArray[Any]] = {}
    facts: dict[str, Any] = {}
    for leaf in _all(fleet, publisher):
        value = leaf.value
        if isinstance(value, np.ndarray):
            arrays[leaf.path] = value.copy()
        else:
            facts[leaf.path] = value.copy() if isinstance(value, (list, dict, set)) else value
    voices = fleet.kinds.voices
    for voice, bank in voices.items():
        arrays |= {f"{VOICE}{voice}/{name}": array.copy() for name, array in bank.state.items()}
    return Memory(
        arrays, facts, {voice: bank.label for voice, bank in voices.items()}, fleet.kinds.voices_of_programmes
    )


def put(memory: Memory, fleet: Fleet, publisher: Publisher) -> dict[str, int]:
    """Put everything back into a fleet that has met no cell yet, under the configuration as it is now.

    Returns how many cells' states had to be begun anew, by voice: their SOC and SOH go on from what was last said.
    Raises UnfitError, nothing having been touched.
    """
    _check(memory, fleet, publisher)
    for leaf in _all(fleet, publisher):
        if isinstance(leaf.value, np.ndarray):
            setattr(leaf.owner, leaf.name, memory.arrays[leaf.path].copy())
        else:
            setattr(leaf.owner, leaf.name, _like(leaf.value, memory.facts[leaf.path]))
    programme = fleet.settle()
    publisher.settle(fleet.labels)
    return {voice: count for voice in fleet.kinds.voices if (count := _put_voice(memory, fleet, voice, programme))}


def _put_voice(memory: Memory, fleet: Fleet, voice: str, programme: NDArray[np.int16]) -> int:
    """Fill one estimator's states; those that are not there, or of other weights, are begun anew and counted."""
    bank = fleet.kinds.voices[voice]
    saved = {name: memory.arrays.get(f"{VOICE}{voice}/{name}") for name in bank.state}
    fits = memory.weights.get(voice) == bank.label and all(
        array is not None and array.dtype == bank.state[name].dtype and array.shape == bank.state[name].shape
        for name, array in saved.items()
    )
    if fits:
        bank.state.update({name: array.copy() for name, array in saved.items() if array is not None})
    spoke = np.array([voice in voices for voices in memory.programmes], dtype=bool)
    kept = spoke[programme] if fits and len(spoke) else np.zeros(len(programme), dtype=bool)
    return fleet.begin_anew(voice, ~kept)


def _all(fleet: Fleet, publisher: Publisher) -> Iterator[Leaf]:
    yield from leaves(fleet, "fleet")
    yield from leaves(publisher, "publisher")


def _check(memory: Memory, fleet: Fleet, publisher: Publisher) -> None:
    wanted = {leaf.path: leaf.value for leaf in _all(fleet, publisher)}
    found = {name for name in memory.arrays if not name.startswith(VOICE)} | set(memory.facts)
    odd = [f"lacks {name}" for name in sorted(wanted.keys() - found)]
    odd += [f"has {name}" for name in sorted(found - wanted.keys())]
    for name, array in memory.arrays.items():
        now = wanted.get(name)
        if isinstance(now, np.ndarray) and (now.dtype != array.dtype or now.shape[1:] != array.shape[1:]):
            odd.append(f"{name} is {array.dtype}{list(array.shape[1:])}, not {now.dtype}{list(now.shape[1:])}")
    if odd:
        raise UnfitError(f"it was written by another version of bmsd: it {', it '.join(odd[:3])}")


def _is_plain(value: object, containers: tuple[type, ...] = (list, dict, Counter, set)) -> bool:
    """Tell a plain value, or a container of such; inside of another one a file keeps lists and maps only."""
    if type(value) not in containers:
        return isinstance(value, PLAIN)
    assert isinstance(value, (list, dict, set))
    parts = (*value, *value.values()) if isinstance(value, dict) else value
    return all(_is_plain(part, (list, dict)) for part in parts)


def _changes(value: object) -> bool:
    """Tell what may change from what the configuration makes again."""
    params = getattr(value, "__dataclass_params__", None)
    return not (
        (params is not None and params.frozen)
        or isinstance(value, (tuple, Enum, MappingProxyType, BaseModel))
        or callable(value)
    )


def _like(now: object, saved: Any) -> Any:  # noqa: ANN401 - plain values
    """Make a saved value, which came through a file that knows lists and maps alone, what it was."""
    return type(now)(saved) if isinstance(now, (list, dict, set)) else saved
