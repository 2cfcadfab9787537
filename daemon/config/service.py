"""`service:`, `journal:`, `checkpoint:`: where things are kept and what the service says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from daemon.config.section import Section


class Service(Section):
    """Where things are kept and what the service says of itself."""

    state_directory: Path = Field(
        Path("state"),
        description="Folder of journal, outbox and embedded store; made where absent. systemd: /var/lib/bmsd.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least important line that is written."
    )
    log_format: Literal["auto", "text", "json"] = Field(
        "auto", description="auto: text on a terminal, one JSON object a line elsewhere."
    )
    torch_threads: int = Field(
        1, ge=1, le=64, description="Processor cores for the network. More help above some 1,000 cells."
    )


class Journal(Section):
    """Accepted telemetry on disk, written before the broker is told that we have it."""

    keep_day: float = Field(7.0, gt=0.0, le=3_650.0, description="Blocks that were received longer ago are deleted.")
    keep_byte: int = Field(
        2_147_483_648,
        ge=1_048_576,
        description="Bound on the journal's file; beyond it the oldest blocks are deleted, "
        "but for those behind the older checkpoint.",
    )


class Checkpoint(Section):
    """The fleet's memory on disk, so that a restart goes on where it was."""

    every_second: float = Field(
        60.0, ge=0.1, le=86_400.0, description="Wall time between checkpoints. Higher: a restart replays more."
    )
    journal_hour: float = Field(
        24.0,
        ge=0.0,
        le=87_600.0,
        description="How much of the journal is replayed where there is no checkpoint to use.",
    )
