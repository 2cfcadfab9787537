"""The card of SRSE's weights: what they were made from, by which command, and how wrong they were."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from daemon.card import write_section

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from daemon.tables.charges import Charges
    from estimators.srse.saved import Saved


def write(path: Path, made: Sequence[tuple[Charges, Saved]], seed: int) -> None:
    """Put a section for each form into the card."""
    for known, weights in made:
        write_section(path, "SRSE", _section(known, weights, seed))


def _section(known: Charges, weights: Saved, seed: int) -> str:
    count = sum(p.numel() for p in weights.net.parameters())
    lines = [
        f"## {known.weights_file}: {known.form}",
        "",
        f"Made by `bmsd train srse --data shared/data --seed {seed}`;",
        f"backbone {weights.backbone}, {count} parameters in all.",
        f"Joint head on whole configurations left out, the worst: {100 * weights.unknown_std:.2f} points of SOH.",
        "",
        "| configuration | cells | labelled charges | deviation on cells that stopped the training, points |",
        "|---|---|---|---|",
    ]
    labelled = np.isfinite(known.soh)
    for profile in weights.configurations:
        rows = labelled & (known.configuration == profile.name)
        cells = len(np.unique(known.cell[rows]))
        lines.append(f"| {profile.name} | {cells} | {int(rows.sum())} | {100 * profile.std:.2f} |")
    return "\n".join(lines)
