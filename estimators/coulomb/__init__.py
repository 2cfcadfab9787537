"""Coulomb counting: exact while start and sensor are, and never better than they are."""

from estimators.coulomb.estimate import Coulomb

__all__ = ["Coulomb"]
