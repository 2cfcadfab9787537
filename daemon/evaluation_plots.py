"""One picture per file: true SOC, each estimator's with its 90 % band, and the errors below."""

from __future__ import annotations

from pathlib import Path

from daemon.errors import UsageError
from daemon.evaluate import TWO_SIDED_90, Trace


def draw(traces: list[Trace], folder: Path) -> list[Path]:
    """Write `<file>.svg` for every run. Raises UsageError where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as err:
        raise UsageError("--plots needs matplotlib", mend="pip install 'bmsd[plots]'") from err

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in dict.fromkeys(t.run.name for t in traces):
        mine = [t for t in traces if t.run.name == name]
        figure = Figure(figsize=(9, 6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        above.plot(mine[0].test_time_second / 60.0, mine[0].truth * 100.0, color="black", label="true")
        for trace in mine:
            minute, soc, band = trace.test_time_second / 60.0, trace.soc * 100.0, TWO_SIDED_90 * trace.soc_std * 100.0
            (line,) = above.plot(minute, soc, label=trace.estimator, linewidth=1.0)
            above.fill_between(minute, soc - band, soc + band, color=line.get_color(), alpha=0.15, linewidth=0)
            below.plot(minute, trace.error, color=line.get_color(), linewidth=0.8)
        above.set(title=name, ylabel="SOC / %", ylim=(-5, 105))
        below.set(xlabel="time / min", ylabel="error / points")
        below.axhline(0.0, color="black", linewidth=0.5)
        above.legend()
        paths.append(folder / f"{name}.svg")
        figure.savefig(paths[-1])
    return paths
