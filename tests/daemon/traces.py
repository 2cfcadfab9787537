"""Runs and traces made of a few numbers."""

import numpy as np

from daemon.evaluate import Trace
from daemon.runs import Run


def run(seconds=100, soc=0.5, celsius=25.0, name="a"):
    time, one = np.arange(float(seconds)), np.ones(seconds)
    return Run(name, time, 3.7 * one, -1.0 * one, celsius * one, celsius, soc * one)


def trace(error_point, std_point=1.0, truth=0.5, celsius=25.0, estimator="ekf", case="right start", name="a"):
    error = np.atleast_1d(np.asarray(error_point, dtype=float))
    truth = np.broadcast_to(np.asarray(truth, dtype=float), error.shape)
    seconds, one = np.arange(float(len(error))), np.ones(len(error))
    return Trace(
        estimator,
        case,
        run(len(error), truth, celsius, name),
        seconds,
        np.nan_to_num(truth, nan=0.5) + error / 100.0,
        std_point / 100.0 * one,
        0.9 * one,
        0.01 * one,
        np.zeros(len(error), np.uint32),
        truth,
    )
