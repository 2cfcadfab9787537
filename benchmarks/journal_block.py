"""In which form is a block of samples smallest and quickest: the journal's own against npz, Parquet and Arrow.

    python benchmarks/journal_block.py [--json]

Samples look like telemetry: volts to 0.1 mV, amperes to 1 mA, a tenth of a degree. The ratio is our bytes over
those of npz, the next standard form of NumPy's.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import time

import numpy as np
import polars as pl

from daemon.batch import Batch
from daemon.journal import pack

REPEATS = 50


def samples(count: int) -> Batch:
    """Make one sample of each of `count` cells."""
    rng = np.random.default_rng(0)
    return Batch(
        tuple(f"p{k % 10}/c{k:04}" for k in range(count)),
        np.arange(count, dtype=np.int32),
        1_763_700_000.0 + np.round(rng.random(count), 3),
        np.round(3.7 + rng.normal(0.0, 0.05, count), 4),
        np.round(rng.normal(-1.0, 1.0, count), 3),
        np.round(25.0 + rng.normal(0.0, 1.0, count), 1),
    )


def columns(batch: Batch) -> dict[str, np.ndarray]:
    """Name the columns that every form stores."""
    names = ("cell", "unix_time_second", "voltage_volt", "current_ampere", "temperature_celsius")
    return {name: getattr(batch, name) for name in names}


def npz(batch: Batch) -> bytes:
    """Write NumPy's own archive."""
    file = io.BytesIO()
    np.savez_compressed(file, **columns(batch))
    return file.getvalue()


def parquet(batch: Batch) -> bytes:
    """Write Parquet."""
    file = io.BytesIO()
    pl.DataFrame(columns(batch)).write_parquet(file, compression="zstd")
    return file.getvalue()


def arrow(batch: Batch) -> bytes:
    """Write an Arrow stream."""
    file = io.BytesIO()
    pl.DataFrame(columns(batch)).write_ipc_stream(file, compression="zstd")
    return file.getvalue()


FORMS = {
    "ours": lambda batch: pack(batch, list(range(len(batch.cells)))),
    "npz": npz,
    "parquet": parquet,
    "arrow": arrow,
}


def main() -> None:
    """Measure every form at three sizes, print a line each, the ratios and the machine."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = []
    for count in (16, 50, 250, 2_000):
        batch = samples(count)
        for name, form in FORMS.items():
            size = len(form(batch))
            began = time.process_time()
            for _ in range(REPEATS):
                form(batch)
            rows.append((count, name, size / count, (time.process_time() - began) / REPEATS * 1e3))
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    if args.json:
        print(json.dumps({"rows": rows, "machine": machine}))
        return
    for count, name, size, millisecond in rows:
        print(f"{count:>6,} samples  {name:<8} {size:6.1f} bytes each  {millisecond:6.3f} ms CPU a block")
    sizes = {(count, name): size for count, name, size, _ in rows}
    ratios = ", ".join(f"{sizes[n, 'ours'] / sizes[n, 'npz']:.2f} at {n:,}" for n in (16, 50, 250, 2_000))
    print(f"ratio    {ratios} (ours / npz, bytes)")
    print(f"machine  {machine}")


if __name__ == "__main__":
    main()
