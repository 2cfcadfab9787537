"""What a charge and a rest look like as numbers: the same for a stream's recordings and for a data set's columns."""

from estimators.features.charge_curve import Window, charge_curve, on_window
from estimators.features.rest import rest_curve, rest_statistics
from estimators.features.units import c_rate, of_nominal

__all__ = ["Window", "c_rate", "charge_curve", "of_nominal", "on_window", "rest_curve", "rest_statistics"]
