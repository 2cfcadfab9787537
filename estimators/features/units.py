"""Units in which cells of different size are compared."""

from __future__ import annotations

from typing import TypeVar

from estimators.contract import Float

Number = TypeVar("Number", float, Float)


def c_rate(current_ampere: Number, nominal_capacity_ah: float) -> Number:
    """Give a current as a multiple of what empties a new cell in an hour (1/h); the sign stays.

    >>> c_rate(-1.5, 3.0)
    -0.5
    """
    return current_ampere / nominal_capacity_ah


def of_nominal(charge_ah: Number, nominal_capacity_ah: float) -> Number:
    """Give a charge as a share of the nominal capacity.

    >>> from numpy import array
    >>> of_nominal(array([0.0, 1.5]), 3.0).tolist()
    [0.0, 0.5]
    """
    return charge_ah / nominal_capacity_ah
