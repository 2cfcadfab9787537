"""`bmsd run`: the service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

EXAMPLE = "bmsd run --config config.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    standard = "default: $BMSD_CONFIG, ./config.yaml, /etc/bmsd/config.yaml"
    parser.add_argument("--config", type=Path, metavar="FILE", help=standard)


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop. Raises ConfigError, WeightsError, JournalError."""
    import asyncio
    import os

    from daemon import heap, says
    from daemon.config import Config, check_cell_types, read

    def reread() -> Config:
        reading = read(args.config)
        check_cell_types(reading)
        return reading.config

    heap.keep_few_arenas()
    os.umask(0o077)  # what we write is for our user alone
    config = reread()
    says.begin(config.service.log_level, config.service.log_format)

    from daemon.service import Service  # numpy and all that follows: not before the configuration holds

    service = Service(config, reread)
    asyncio.run(service.run())
    return 0
