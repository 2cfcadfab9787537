"""Sixteen numbers of the end of one full charge, and what a model is shown of them.

The numbers are those of Wang et al., Nature Communications 15, 4332 (2024): mean, deviation, kurtosis, skewness,
charge, time, slope and entropy of the voltage over the last 0.2 V of constant current, and of the current over a
band of constant voltage. `of_charge` makes them of a recording, `shown` puts them into units in which cells of
different size compare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from estimators.contract import Float

NAMES = (
    "voltage_mean",  # V
    "voltage_std",  # V
    "voltage_kurtosis",  # above that of a Gaussian
    "voltage_skewness",
    "cc_q",  # Ah
    "cc_charge_time",  # s
    "voltage_slope",  # V/s
    "voltage_entropy",  # nat
    "current_mean",  # A
    "current_std",  # A
    "current_kurtosis",
    "current_skewness",
    "cv_q",  # Ah
    "cv_charge_time",  # s
    "current_slope",  # A/s
    "current_entropy",  # nat
)
COLUMN = {name: i for i, name in enumerate(NAMES)}
PER_AMPERE_HOUR = ("cc_q", "current_mean", "current_std", "cv_q", "current_slope")
FIRST = 10  # charges that a cell's beginning is known by
RECENT = 15  # charges whose median stands for now
AGO = 50  # charges back that it is compared with


def shown(features: Float, nominal_capacity_ah: Float | float) -> Float:
    """Give what a model sees [row, 22] of features [row, 16] in `NAMES`' order and units.

    Charges and currents are per Ah of nominal capacity; charges, times and slopes are logarithms, since ageing
    multiplies; six ratios follow. NaN where a feature is not finite or a charge or time is not above zero.
    """
    per_ah = features.copy()
    for name in PER_AMPERE_HOUR:
        per_ah[:, COLUMN[name]] /= nominal_capacity_ah
    column = {name: per_ah[:, i] for name, i in COLUMN.items()}
    with np.errstate(invalid="ignore", divide="ignore"):
        log = {n: np.log(column[n]) for n in ("cc_q", "cc_charge_time", "cv_q", "cv_charge_time")}
        slope = {n: np.arcsinh(column[n] / s) for n, s in (("voltage_slope", 1e-4), ("current_slope", 1e-4))}
        kept = [log.get(n, slope.get(n, column[n])) for n in NAMES]
        ratios = [
            log["cc_q"] - log["cc_charge_time"],  # the charge's rate
            log["cv_q"] - log["cc_q"],
            log["cv_charge_time"] - log["cc_charge_time"],
            column["cc_q"],
            column["cv_q"],
            column["voltage_std"] / np.exp(log["cc_q"]),
        ]
    x = np.stack([*kept, *ratios], axis=1)
    return np.where(np.isfinite(x), x, np.nan)


class Views(NamedTuple):
    """What models may be shown of the same rows, by how much it supposes."""

    own: Float  # [row, 22] the charge alone
    age: Float  # [row, 23] and which of the cell's cycles it is
    history: Float  # [row, 89] and its earlier charges; NaN where the cell was not seen from its beginning


def views(inputs: Float, cell: NDArray[Any], row: NDArray[np.int64]) -> Views:
    """Make the views of `shown` inputs [row, 22]; rows of a cell [row] stand together, in ascending `row` [row].

    The history is causal: the median of the last 15 charges, its change since the first 10 charges and over the
    last 50, none of which looks ahead.
    """
    age = np.log1p(row.astype(float))[:, None]
    past = np.full((len(inputs), 3 * inputs.shape[1]), np.nan)
    begin = np.flatnonzero(np.r_[True, cell[1:] != cell[:-1]]) if len(cell) else np.zeros(0, int)
    for rows in np.split(np.arange(len(cell)), begin[1:]):
        if len(rows) and row[rows[0]] <= FIRST:
            past[rows] = _past(inputs[rows])
    return Views(inputs, np.hstack([inputs, age]), np.hstack([inputs, past, age]))


def _past(inputs: Float) -> Float:
    """Lay out one cell's [row, 66]: median of the latest, its change since the first, and over the latest 50."""
    recent = _running_median(inputs, RECENT)
    until = np.minimum(np.arange(len(inputs)), FIRST - 1)
    first = np.stack([np.median(inputs[: n + 1], axis=0) for n in range(min(FIRST, len(inputs)))])[until]
    ago = recent[np.maximum(np.arange(len(inputs)) - AGO, 0)]
    return np.hstack([recent, recent - first, recent - ago])


def _running_median(inputs: Float, rows: int) -> Float:
    """Give the median of each row and those before it, at most `rows` of them."""
    padded = np.vstack([np.full((rows - 1, inputs.shape[1]), np.nan), inputs])
    windows = np.lib.stride_tricks.sliding_window_view(padded, rows, axis=0)
    median: Float = np.median(windows, axis=-1)
    for n in range(min(rows - 1, len(inputs))):
        median[n] = np.median(inputs[: n + 1], axis=0)
    return median
