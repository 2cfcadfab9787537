"""A two-RC extended Kalman filter over identified tables: the baseline, the fallback and the sanity check."""

from estimators.ekf.filter import Ekf

__all__ = ["Ekf"]
