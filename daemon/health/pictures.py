"""What checks looked at and found in a log, as a picture: relaxations, trajectory with its band, gate weights, SOH."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")
import numpy as np
from matplotlib.figure import Figure

from estimators.regression.regression import NINETY

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from daemon.replay import States
    from daemon.wire import Health

RESTS_MOST = 30  # drawn, the newest


def draw(all_states: list[States], folder: Path) -> list[Path]:
    """Draw one PNG for each log that a check said something of; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for states in all_states:
        if not states.health:
            continue
        figure = Figure(figsize=(12, 8), layout="constrained")
        axes = figure.subplots(2, 2)
        _relaxations(axes[0, 0], states)
        _soh(axes[0, 1], states)
        told = [h for h in states.health if h.trajectories]
        _trajectories(axes[1, 0], told)
        _gate(axes[1, 1], [h for h in told if "expert_weight" in h.trajectories])
        figure.suptitle(states.recording.log.path.name)
        path = folder / f"{states.recording.log.path.name.partition('.')[0]}.health.png"
        figure.savefig(path, dpi=110)
        drawn.append(path)
    return drawn


def _relaxations(axes: Axes, states: States) -> None:
    log, base = states.recording.log, states.recording.base_second
    rests = [(h.begin_second, h.unix_time_second) for h in states.health if h.trigger == "rest"]
    rests = list(dict.fromkeys(rests))[-RESTS_MOST:]
    for number, (begin, end) in enumerate(rests):
        rows = (log.test_time_second + base >= begin) & (log.test_time_second + base <= end)
        minute = (log.test_time_second[rows] + base - begin) / 60.0
        axes.plot(minute, log.voltage_volt[rows], color=str(0.8 - 0.8 * (number + 1) / len(rests)))
    axes.set(title="rests that were looked at, the newest darkest", xlabel="minutes of rest", ylabel="volt")


def _soh(axes: Axes, states: States) -> None:
    base = states.recording.base_second
    for check in dict.fromkeys(h.check for h in states.health):
        told = [h for h in states.health if h.check == check and "soh" in h.values]
        if told:
            hour = [(h.unix_time_second - base) / 3_600.0 for h in told]
            band = [NINETY * h.std.get("soh", 0.0) for h in told]
            axes.errorbar(hour, [h.values["soh"] for h in told], band, fmt="o", label=check)
    frame = states.frame()
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
    if told:
        axes.legend()


def _gate(axes: Axes, told: list[Health]) -> None:
    axes.set(title="weights of iMODEL's experts", xlabel="expert", ylabel="weight")
    if told:
        weights = told[-1].trajectories["expert_weight"]
        axes.bar(range(1, len(weights) + 1), weights)
