"""`bmsd demo`: everything at once on this machine, nothing to install."""

from __future__ import annotations

import argparse
import sys

EXAMPLE = "bmsd demo --seconds 60"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--seconds", type=float, help="end by itself after so much wall time (default: until Ctrl-C)")
    parser.add_argument("--cells", type=int, default=16, help="simulated cells (default: 16)")
    parser.add_argument("--packs", type=int, default=2, help="packs they are dealt out to (default: 2)")
    parser.add_argument("--speed", type=float, default=60.0, help="simulated seconds per second (default: 60)")
    parser.add_argument("--seed", type=int, default=7, help="the same seed gives the same cells (default: 7)")


def run(args: argparse.Namespace) -> int:
    """Show it; the exit status is 0 when every cell was estimated."""
    import asyncio

    from rich.console import Console

    from daemon.demo import Board, Plan, demonstrate
    from daemon.errors import UsageError
    from daemon.live_view import View, summary

    if not 1 <= args.packs <= args.cells or args.speed <= 0.0:
        raise UsageError("--packs must be between 1 and --cells, --speed above 0", mend="bmsd demo --help")
    last: list[Board] = []
    print("starting a broker, the service and the simulator ...", file=sys.stderr, flush=True)
    with View() as view:

        def draw(board: Board) -> None:
            last[:] = [board]
            view.draw(board)

        try:
            asyncio.run(demonstrate(Plan(args.cells, args.packs, args.speed, args.seed, args.seconds), draw))
        except KeyboardInterrupt:
            if not last:
                raise
    Console().print(summary(last[0]))
    return 0 if len(last[0].states) == args.cells else 1
