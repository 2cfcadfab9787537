"""Counting, circuit and network in one filter: the published SOC."""

from estimators.fused.estimate import Fused

__all__ = ["Fused"]
