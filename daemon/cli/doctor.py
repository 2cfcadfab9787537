"""`bmsd doctor`: everything that the service stands on, looked at once."""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path

EXAMPLE = "bmsd doctor --config /etc/bmsd/config.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    standard = "default: $BMSD_CONFIG, ./config.yaml, /etc/bmsd/config.yaml"
    parser.add_argument("--config", type=Path, metavar="FILE", help=standard)
    parser.add_argument("--json", action="store_true", help="one JSON object a finding")


def run(args: argparse.Namespace) -> int:
    """Look; the exit status is 1 when something failed."""
    from daemon.doctor import CHECKS, examine

    began, levels = time.monotonic(), Counter[str]()
    width = max(map(len, ("config", *CHECKS)))
    for name, (level, what, mend) in examine(args.config):
        levels[level] += 1
        if args.json:
            print(json.dumps({"check": name, "level": level, "what": what, "mend": mend}), flush=True)
            continue
        print(f"  {level:<4}  {name:<{width}}  {what}", flush=True)
        if mend:
            print(f"  {'':<4}  {'':<{width}}  mend: {mend}", flush=True)
    if not args.json:
        warnings = "1 warning" if levels["warn"] == 1 else f"{levels['warn']} warnings"
        print(f"{levels['FAIL']} failed, {warnings}, {time.monotonic() - began:.1f} s")
    return int(levels["FAIL"] > 0)
