"""What checks looked at and found in a log, as a picture: rests, trajectory with its band, gate weights, SOH."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")
import numpy as np
from matplotlib.figure import Figure

from daemon.replay import distinct
from estimators.regression.regression import NINETY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.axes import Axes

    from daemon.health.seen import Rest, Seen
    from daemon.wire import Health

RESTS_MOST = 30  # drawn, the newest
REST_SECOND = 3_600.0  # of each: checks see no more
COLUMNS = 2


def draw(logs: list[Seen], folder: Path) -> list[Path]:
    """Draw one PNG into a folder that is there for each log in which something was seen; returns their paths."""
    names = distinct([seen.recording.log.path for seen in logs])
    drawn = []
    for name, seen in zip(names, logs, strict=True):
        if not (seen.health or seen.rests):
            continue
        panels = _panels(seen)
        rows = -(-len(panels) // COLUMNS)
        figure = Figure(figsize=(6 * COLUMNS, 4 * rows), layout="constrained")
        for number, panel in enumerate(panels):
            panel(figure.add_subplot(rows, COLUMNS, number + 1))
        figure.suptitle(seen.recording.log.path.name)
        path = folder / f"{name}.health.png"
        figure.savefig(path, dpi=110)
        drawn.append(path)
    return drawn


def _panels(seen: Seen) -> list[Callable[[Axes], None]]:
    """Choose what there is to draw."""
    told = [h for h in seen.health if h.trajectories]
    gates = [h for h in told if "expert_weight" in h.trajectories]
    charged = [rest for rest in seen.rests if rest.after == "charge"]
    others = [rest for rest in seen.rests if rest.after != "charge"]
    panels: list[Callable[[Axes], None]] = []
    if charged:
        panels.append(partial(_rests, seen=seen, rests=charged, title="rests after a charge"))
    if others:
        panels.append(partial(_rests, seen=seen, rests=others, title="other rests"))
    panels.append(partial(_soh, seen=seen))
    if told:
        panels.append(partial(_trajectories, told=told))
    if gates:
        panels.append(partial(_gate, newest=gates[-1]))
    return panels


def _rests(axes: Axes, seen: Seen, rests: list[Rest], title: str) -> None:
    log = seen.recording.log
    second, newest = log.test_time_second + seen.recording.base_second, rests[-RESTS_MOST:]
    for number, rest in enumerate(newest):
        rows = (second >= rest.begin_second) & (second < min(rest.end_second, rest.begin_second + REST_SECOND))
        minute = (second[rows] - rest.begin_second) / 60.0
        axes.plot(minute, log.voltage_volt[rows], color=str(0.8 * (1.0 - (number + 1) / len(newest))))
    axes.set(title=f"{title}, the newest darkest", xlabel="minutes of rest", ylabel="volt")


def _soh(axes: Axes, seen: Seen) -> None:
    base = seen.recording.base_second
    for check in dict.fromkeys(h.check for h in seen.health):
        told = [h for h in seen.health if h.check == check and "soh" in h.values]
        if told:
            hour = [(h.unix_time_second - base) / 3_600.0 for h in told]
            band = [NINETY * h.std.get("soh", 0.0) for h in told]
            axes.errorbar(hour, [h.values["soh"] for h in told], band, fmt="o", label=check)
    frame = seen.frame()
    axes.plot(frame["test_time_second"] / 3_600.0, frame["soh"], color="black", label="published")
    axes.set(title="SOH, 90 % intervals", xlabel="hours", ylabel="capacity over nominal")
    axes.legend()


def _trajectories(axes: Axes, told: list[Health]) -> None:
    """Draw the newest of each check, and each planned use; what no cell was seen to do is dashed."""
    axes.set(title="capacity to come, 90 % band", xlabel="cycles ahead", ylabel="Ah")
    for report in {h.check: h for h in told}.values():
        as_now = {report.check: (report.trajectories, report.in_domain)}
        planned = {f"{report.check}, {name}": (s.trajectories, s.in_domain) for name, s in report.scenarios.items()}
        for label, (ahead, known) in (planned or as_now).items():
            horizon, mean, std = (np.array(ahead[n]) for n in ("horizon_cycle", "capacity_ah", "capacity_ah_std"))
            (line,) = axes.plot(horizon, mean, "-" if known else "--", label=label)
            axes.fill_between(horizon, mean - NINETY * std, mean + NINETY * std, alpha=0.2, color=line.get_color())
    axes.legend()


def _gate(axes: Axes, newest: Health) -> None:
    weights = newest.trajectories["expert_weight"]
    axes.bar(range(1, len(weights) + 1), weights)
    axes.set(title="weights of iMODEL's experts", xlabel="expert", ylabel="weight")
