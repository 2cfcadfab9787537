"""CARD.md of the weights for a charge's end: what they were made from, and how they did on cells they did not see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from daemon.tables.cases import Score
    from daemon.tables.cycle_features import Folder

HEAD = """# SOH, cycles left and fade rate from the end of a charge

Made by `bmsd train multitask --data $BMSD_DATA`. Each kind of cell and each target has three models:

- `default`: of four means of members the one that was nearest on cells left out; members were shown the charge, its
  cell's age (which cycle it is) or its earlier charges (the median of the last 15, its change since the first 10 and
  over the last 50). It wants the cell from its beginning.
- `one charge`: of two means of members that were shown the charge alone the one that was nearest.
- `ridge`: a line through the charge's features, to compare.

`network` is the mean of three networks of one target, `network together` of three that learn all targets at once
(their gradients projected where they conflict); they are kept as arrays. `age` and `history` say what a member sees
beside the charge.

Cycles left are rows until the capacity is under 80 % of nominal and stays there; the fade rate is in points of SOH per
100 rows, the Theil-Sen slope of the last 50.

Limits: the kinds of cell below, charged and looked at as their laboratories did; a charge far from that is told
`in_domain: false`. Labels of the fade rate and of the rows left are of whole cells that were cycled to their end.
"""


def card(found: Folder, about: Mapping[str, str], scores: Sequence[Score]) -> str:
    """Write the card; scores are of cells left out, each of them once."""
    lines = [HEAD, "## Trained on", ""]
    for cycles in found.sets:
        cells = np.unique(cycles.cell).tolist()
        lines.append(f"- {cycles.configuration.name}: {len(cycles.row)} rows of {len(cells)} cells: {', '.join(cells)}")
    lines += ["", "## Members", ""]
    lines += [f"- {name}: {members}" for name, members in about.items()]
    lines += [
        "",
        "## Cells left out",
        "",
        "Five folds by whole cells; members were chosen, and intervals measured, on the cells of other folds. SOH in",
        "points of nominal. The 90 % interval holds so many truths in all, and of the cell where it holds fewest; it",
        "is widened until it holds 75 % of each cell that it is measured on, or 95 % of all their rows.",
        "",
        "| set | target | method | RMSE | MAE | worst cell RMSE | 90 % holds | worst cell holds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {s.set.partition(',')[0]} | {'soh' if s.target == 'capacity_ah' else s.target} | {s.method} | {s.rmse:.3g} "
        f"| {s.mae:.3g} | {s.worst_cell_rmse:.3g} | {s.held_percent:.0f} | {s.worst_cell_held_percent:.0f} |"
        for s in scores
    ]
    return "\n".join(lines) + "\n"
