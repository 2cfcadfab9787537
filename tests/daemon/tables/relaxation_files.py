"""Made-up tables in the form of the relaxation sets: cells that fade in a straight line, each at its own pace."""

import numpy as np
import polars


def zhu_like(cells=6, cycles=40, conditions=((25.0, 0.5), (45.0, 0.5)), nominal=3.5, points=14):
    """Rows whose Q(V) and rest tell the capacity almost plainly."""
    random = np.random.default_rng(1)
    frames = []
    for number in range(cells):
        celsius, rate = conditions[number % len(conditions)]
        cycle = np.arange(2, cycles + 2)
        share = 0.95 - (0.002 + 0.0004 * number) * cycle
        frame = {
            "cell": [f"CY{celsius:.0f}-{number}"] * cycles,
            "cycle": cycle,
            "charge_c_rate": [rate] * cycles,
            "discharge_c_rate": [1.0] * cycles,
            "ambient_temperature_celsius": [celsius] * cycles,
            "discharge_capacity_ah": share * nominal,
        }
        volt = np.linspace(0.0, 1.0, 50)
        curve = nominal * 0.6 * (share[:, None] * volt + 0.01 * np.sin(9 * share[:, None]) * volt**2)
        frame |= {f"dq_ah_{i:02d}": curve[:, i] for i in range(50)}
        fall = np.log1p(np.arange(points)) * 0.01 * (1.5 - share[:, None]) + 1e-4 * random.normal(size=(cycles, points))
        frame |= {f"relax_volt_{i:03d}": 4.19 - fall[:, i] for i in range(points)}
        frames.append(polars.DataFrame(frame))
    return polars.concat(frames)


def lsd_like(cells=6, cycles=41):
    """Every fifth cycle a capacity test at a fifth of the usual rate; what lies between is drawn, not measured."""
    frame = zhu_like(cells, cycles, nominal=2.0, points=90).with_columns(cycle=polars.col("cycle") - 1)
    tested = polars.col("cycle") % 5 == 1
    return frame.drop("charge_c_rate", "discharge_c_rate").with_columns(
        charge_current_ampere=1.2,
        discharge_current_ampere=polars.when(tested).then(0.5).otherwise(2.4),
        ambient_temperature_celsius=25.0,
        capacity_is_measured=tested.cast(polars.Int64),
        window_start_volt=3.8,
        window_end_volt=4.1,
    )
