"""Scores as a table for a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from daemon.tables.cases import IN_POINTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.tables.cases import Score


def show(scores: Sequence[Score]) -> None:
    """Print one block a set."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160)
    for name, target in dict.fromkeys((s.set, s.target) for s in scores):
        unit = ", points" if target in IN_POINTS else ""
        table = Table(title=f"{name}: {target}{unit}", box=box.SIMPLE_HEAD, title_justify="left")
        table.add_column("method", no_wrap=True)
        headings = (
            "cases",
            "RMSE",
            "MAE",
            "MAPE %",
            "worst cell RMSE",
            "worst MAPE %",
            "90 % holds",
            "worst cell holds",
            "in domain %",
        )
        for heading in headings:
            table.add_column(heading, justify="right", no_wrap=True)
        for s in scores:
            if (s.set, s.target) == (name, target):
                table.add_row(s.method, str(s.cases), *(f"{value:.3g}" for value in s[4:]))
        console.print(table)
