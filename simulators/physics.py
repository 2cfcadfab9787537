"""Which physics moves the cells: `circuit`, our own (`simulators.cell`), or `spme`, PyBaMM's (`simulators.spme`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from simulators import cell, spme

if TYPE_CHECKING:
    from collections.abc import Callable


class Physics(NamedTuple):
    """What a physics consists of; a state and parameters of one are of no use to the other."""

    draw: Callable[..., Any]  # as cell.Parameters.draw
    initial: Callable[..., Any]  # as cell.initial
    step: Callable[..., Any]  # as cell.step


PHYSICS = {
    "circuit": Physics(cell.Parameters.draw, cell.initial, cell.step),
    "spme": Physics(spme.Parameters.draw, spme.initial, spme.step),
}


def named(name: str) -> Physics:
    """Look a physics up. Raises ValueError for an unknown one."""
    if name not in PHYSICS:
        raise ValueError(f"no physics `{name}`; there are {', '.join(PHYSICS)}")
    return PHYSICS[name]
