"""Made-up rows of a charge's end, whose features follow the capacity."""

import gzip

import numpy as np
import polars

from estimators.multitask.features import NAMES


def write(path, cells, nominal=2.0, fade=0.0005, capacity="known", backwards=False, bad=None, seed=0):
    """Write a file of cells {name: rows} that lose `fade` of SOH a row from 0.95 on; bad {row: (column, text)}."""
    random = np.random.default_rng(seed)
    frames = []
    for name, count in cells.items():
        row = np.arange(1, count + 1)
        speed = fade * (random.uniform(0.7, 1.3) if len(cells) > 2 else 1.0)
        soh = 0.95 - speed * (row - 1)
        x = np.ones((count, len(NAMES))) * np.linspace(0.2, 0.9, len(NAMES))
        x *= 1.0 + (soh[:, None] - 0.9) * np.linspace(-1, 2, len(NAMES)) + 0.002 * random.normal(size=x.shape)
        frame = polars.DataFrame({"cell": [name] * count, "row": row, **dict(zip(NAMES, x.T, strict=True))})
        if capacity != "absent":
            frame = frame.with_columns(
                capacity=soh * nominal if capacity == "known" else polars.lit(None, polars.Float64)
            )
        frames.append(frame)
    table = polars.concat(frames)
    for number, (column, text) in (bad or {}).items():
        here = polars.when(polars.col("row") == number).then(polars.lit(text))
        table = table.with_columns(here.otherwise(polars.col(column).cast(polars.String)).alias(column))
    text = (table.reverse() if backwards else table).write_csv()
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        file.write(text)
