"""SOC and SOH over a month of simulated ageing, streamed without a reset, the SOH told 5 points wrong at the start.

    python benchmarks/studies/soh_thirty_days.py [--estimator cross_stitch] [--days 30] [--physics circuit]

A row for each week (`--report-day` for shorter looks), printed as it is done: the mean absolute error of SOC; of SOH
as published, as the estimator says it each hour by itself, and held as it was told; and how much either moves from
hour to hour. The cells, their temperatures and their sensors' noise trained nothing. 16 cells take about 1.5 ms a
second: a month 65 minutes, a day of PyBaMM's cells (`--physics spme`, the extra `train`) 4.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from daemon import models
from daemon.config import EstimatorName
from estimators.cell_type import CellType
from estimators.contract import Second, Start
from estimators.fused.estimate import NETWORK
from simulators.fleet import Fleet
from simulators.physics import PHYSICS
from simulators.sensor import Channel, Sensing

HOUR_SECOND, DAY_SECOND = 3_600, 86_400
TOLD_WRONG = 0.05
VOLTAGE, TEMPERATURE = Channel(noise=0.001, step=0.001), Channel(step=0.1)


class Hour(NamedTuple):
    """The end of an hour, each [cell]; SOC is the mean absolute error of the hour."""

    soc: NDArray[np.float64]
    true: NDArray[np.float64]
    published: NDArray[np.float64]
    std: NDArray[np.float64]
    alone: NDArray[np.float64]  # what the estimator says by itself


def hours(args: argparse.Namespace, told: NDArray[np.float64], fleet: Fleet) -> list[Hour]:
    """Stream the fleet through the estimator; print a row as each is full."""
    estimator = models.load(CellType.load(args.cell_type), cast(EstimatorName, args.estimator))
    state = estimator.init(Start(np.full(args.cells, np.nan), told, np.full(args.cells, TOLD_WRONG)))
    found: list[Hour] = []
    off, began = np.zeros(args.cells), time.monotonic()
    for second in range(1, round(args.days * DAY_SECOND) + 1):
        shown = fleet.advance()
        state, estimate = estimator.step(
            state, Second(shown.voltage_volt, shown.current_ampere, shown.temperature_celsius)
        )
        off += np.abs(estimate.soc - fleet.soc)
        if second % HOUR_SECOND:
            continue
        alone = np.asarray(state.get(NETWORK + "soh", state.get("soh", estimate.soh)), dtype=np.float64)
        found.append(Hour(off / HOUR_SECOND, fleet.soh, estimate.soh, estimate.soh_std, alone.copy()))
        off = np.zeros(args.cells)
        if second % round(args.report_day * DAY_SECOND) == 0 and not args.json:
            print_row(found, told, args)
        left = (time.monotonic() - began) * (args.days * DAY_SECOND / second - 1.0)
        print(f"day {second / DAY_SECOND:.2f}, {left / 60:.0f} minutes left", file=sys.stderr, end="\r")
    return found


def row(found: list[Hour], told: NDArray[np.float64], args: argparse.Namespace) -> dict[str, float]:
    """Sum up the last hours, in points."""
    last = found[-round(args.report_day * DAY_SECOND / HOUR_SECOND) :]
    soc, true, published, std, alone = (100.0 * np.array(column) for column in zip(*last, strict=True))
    moved = [np.abs(np.diff(x, axis=0)).mean() if len(x) > 1 else 0.0 for x in (published, alone)]
    figures = {
        "to_day": len(found) * HOUR_SECOND / DAY_SECOND,
        "soc": soc.mean(),
        "soh": np.abs(published - true).mean(),
        "soh_alone": np.abs(alone - true).mean(),
        "soh_held": np.abs(100.0 * told - true).mean(),
        "soh_max": np.abs(published - true).max(),
        "in_90": (np.abs(published - true) < 1.645 * std).mean(),
        "moved": moved[0],
        "moved_alone": moved[1],
        "true_soh": true.mean(),
    }
    return {name: round(float(value), 4 if name.startswith("moved") else 2) for name, value in figures.items()}


def print_row(found: list[Hour], told: NDArray[np.float64], args: argparse.Namespace) -> None:
    """Print the last row, under a heading where it is the first."""
    figures = row(found, told, args)
    if len(found) <= round(args.report_day * DAY_SECOND / HOUR_SECOND):
        print("  ".join(f"{name:>11}" for name in figures))
    print("  ".join(f"{value:>11}" for value in figures.values()), flush=True)


def main() -> None:
    """Stream, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--estimator", choices=tuple(models.MODELS), default="cross_stitch")
    parser.add_argument("--cell-type", default="generic-nca")
    parser.add_argument("--physics", choices=tuple(PHYSICS), default="circuit")
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--report-day", type=float, default=7.0, help="days in a row of the table")
    parser.add_argument("--cells", type=int, default=16)
    parser.add_argument("--seed", type=int, default=20_000)
    parser.add_argument("--current-offset-ampere", type=float, default=0.0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    cell_type = CellType.load(args.cell_type)
    draw = np.random.default_rng(args.seed)
    soh = draw.uniform(0.75, 1.0, args.cells)
    told = soh + TOLD_WRONG * draw.choice([-1.0, 1.0], args.cells)
    fleet = Fleet(
        cells=args.cells,
        seed=args.seed,
        chemistry=cell_type.chemistry,
        nominal_capacity_ah=cell_type.nominal_capacity_ah,
        ambient_temperature_celsius=draw.uniform(0.0, 35.0, args.cells),
        initial_soh=soh,
        sensing=Sensing(VOLTAGE, Channel(noise=0.01, step=0.01, offset=args.current_offset_ampere), TEMPERATURE),
        physics=args.physics,
    )
    found = hours(args, told, fleet)
    rows = round(args.report_day * DAY_SECOND / HOUR_SECOND)
    table = [row(found[: end + rows], told, args) for end in range(0, len(found) - rows + 1, rows)]
    ratio = round(table[-1]["soc"] / table[0]["soc"], 2) if len(table) > 1 else None
    if args.json:
        print(json.dumps({"rows": table, "soc_last_to_first": ratio}))
    elif ratio is not None:
        print(f"error of SOC, last row to first: {ratio}")


if __name__ == "__main__":
    main()
