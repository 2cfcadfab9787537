"""SOC each second and SOH each hour from one network: see network.py for the source and our reading."""

from estimators.cross_stitch.estimate import CrossStitch

__all__ = ["CrossStitch"]
