"""`bmsd config`: look at the configuration without starting anything."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

EXAMPLE = "bmsd config --check config.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    standard = "default: $BMSD_CONFIG, ./config.yaml, /etc/bmsd/config.yaml"
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help=standard)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="say only whether it holds; exit status 2 where not")
    what.add_argument("--schema", action="store_true", help="print the JSON Schema of config.yaml")
    what.add_argument("--markdown", action="store_true", help="print the reference page docs/config.md")


def run(args: argparse.Namespace) -> int:
    """Do it. Raises ConfigError where the configuration is refused."""
    from daemon.config import check_cell_types, read
    from daemon.config.read import standard_place
    from daemon.config.reference import markdown, merged
    from daemon.config.schema import schema

    if args.schema:
        print(json.dumps(schema(), indent=2))
        return 0
    if args.markdown:
        sys.stdout.write(markdown())
        return 0
    path = args.file or standard_place()
    reading = read(path)
    check_cell_types(reading)
    if args.check:
        print(f"ok: {path or 'defaults, no file'}")
    else:
        sys.stdout.write(merged(reading))
    return 0
