"""What `bmsd demo` shows: a live table on a terminal, plain lines elsewhere, a summary at the end."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from daemon.demo import Board

PLAIN_SECOND = 5.0
COUNTERS = ("received", "journaled", "duplicate", "late", "rows")


class View:
    """Draws the board. On a terminal it redraws in place; piped, it writes a line every few seconds."""

    def __init__(self) -> None:
        self._console = Console()
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._said = 0.0

    def __enter__(self) -> View:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def draw(self, board: Board) -> None:
        """Show the board as it is now."""
        if self._live:
            self._live.update(Group(_cells(board), _rates(board)), refresh=True)
        elif time.monotonic() - self._said >= PLAIN_SECOND:
            self._said = time.monotonic()
            print(_rates(board).plain, flush=True)


def _cells(board: Board) -> Table:
    table = Table(title="bmsd demo: simulated cells, estimated live (true values from the simulator)")
    for heading in ("cell", "SOC true", "SOC", "± σ", "error", "SOH true", "SOH", "± σ", "estimator", "flags"):
        table.add_column(heading, justify="left" if heading in ("cell", "estimator", "flags") else "right")
    for index, name in enumerate(board.fleet.names):
        true_soc, true_soh = board.fleet.soc[index] * 100, board.fleet.soh[index] * 100
        state = board.states.get(name)
        if state is None:
            table.add_row("/".join(name), f"{true_soc:.1f}", "-", "", "", f"{true_soh:.1f}", "-", "", "", "waiting")
            continue
        error = state.soc * 100 - true_soc
        color = "green" if abs(error) < 2 else "yellow" if abs(error) < 5 else "red"
        table.add_row(
            "/".join(name),
            f"{true_soc:.1f}",
            f"{state.soc * 100:.1f}",
            f"{state.soc_std * 100:.1f}",
            f"[{color}]{error:+.1f}[/]",
            f"{true_soh:.1f}",
            f"{state.soh * 100:.1f}",
            f"{state.soh_std * 100:.1f}",
            state.estimator,
            " ".join(state.flags),
        )
    return table


def _rates(board: Board) -> Text:
    wall = max(1e-9, board.shown_second)
    errors = board.error_points("soc")
    latency = statistics.median(board.latency_second[-200:]) * 1e3 if board.latency_second else float("nan")
    mean = f"{errors.mean():.2f}" if len(errors) else "-"
    return Text(
        f"{wall:5.0f} s  simulated {board.fleet.second} s  cells {len(board.states)}/{len(board.fleet.names)}  "
        f"telemetry {board.fleet.second * len(board.fleet.names) / wall:.0f}/s  states {board.received / wall:.0f}/s  "
        f"latency {latency:.0f} ms  mean SOC error {mean} points  {board.events[-1] if board.events else ''}"
    )


def summary(board: Board) -> Table:
    """Sum the run up."""
    table = Table(title="bmsd demo: summary", show_header=False)
    soc, soh = board.error_points("soc"), board.error_points("soh")
    latency = sorted(board.latency_second)
    rows = [
        ("cells estimated", f"{len(board.states)} of {len(board.fleet.names)}"),
        ("simulated time", f"{board.fleet.second} s in {board.shown_second:.0f} s"),
        ("states received", str(board.received)),
        ("SOC error now, points", f"mean {soc.mean():.2f}, worst {soc.max():.2f}" if len(soc) else "-"),
        ("SOH error now, points", f"mean {soh.mean():.2f}, worst {soh.max():.2f}" if len(soh) else "-"),
    ]
    if latency:
        p50, p99 = latency[len(latency) // 2] * 1e3, latency[int(len(latency) * 0.99)] * 1e3
        rows.append(("latency, telemetry to state", f"median {p50:.0f} ms, 99 % {p99:.0f} ms"))
    rows += [(name, str(board.metrics[name])) for name in COUNTERS if name in board.metrics]
    for row in rows:
        table.add_row(*row)
    return table
