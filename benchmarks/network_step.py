"""How fast is one second of the network for N cells, against what the processor can multiply at all.

    python benchmarks/network_step.py [--threads 1] [--json]

Peer: the best rate of one large float32 matrix product, measured in the same run. A cell's second is 896,064
multiply-adds (docs/estimators.md); the ratio is the rate of the step over the rate of the product.
"""

from __future__ import annotations

import argparse
import json
import platform
import time

import numpy as np
import torch

from estimators.cell_type import CellType
from estimators.contract import Second, Start
from estimators.cross_stitch import CrossStitch

FLOP_PER_CELL = 2 * 896_064
SECONDS = 0.5  # per figure


def best_second(work: object, *, at_least: float = SECONDS) -> float:
    """Best time of one call, over calls that fill `at_least` seconds."""
    assert callable(work)
    work()
    best, until = float("inf"), time.perf_counter() + at_least
    while time.perf_counter() < until:
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best


def product_rate(size: int = 2048) -> float:
    """Floating point operations per second of a square product."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    out = torch.empty(size, size)
    return 2 * size**3 / best_second(lambda: torch.mm(a, b, out=out))


def step_second(cells: int) -> float:
    """Time of one step of so many cells."""
    estimator = CrossStitch(CellType.load("generic-nca"))
    state = estimator.init(Start.unknown(cells, 0.9))
    second = Second(np.full(cells, 3.7), np.full(cells, -1.0), np.full(cells, 25.0))
    state, _ = estimator.step(state, second)
    return best_second(lambda: estimator.step(state, second))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    machine = (
        f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, threads {args.threads}"
    )
    rate = product_rate()
    rows = []
    for cells in (16, 64, 256, 1024):
        took = step_second(cells)
        rows.append(
            {
                "cells": cells,
                "step_ms": round(took * 1e3, 3),
                "cell_seconds_per_second": round(cells / took),
                "ratio_to_product": round(FLOP_PER_CELL * cells / took / rate, 3),
            }
        )
    if args.json:
        print(json.dumps({"machine": machine, "product_gflops": round(rate / 1e9, 1), "rows": rows}))
        return
    print(f"{machine}; a float32 product reaches {rate / 1e9:.0f} GFLOP/s")
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
