"""The command line: one module per command, imported only when it is called.

A command's module has EXAMPLE, add_arguments(parser) and run(args) -> exit status.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence

COMMANDS = {  # name -> its result in a line, so that help needs no import
    "run": "Run the service: telemetry in from MQTT, states out to MQTT and the stores",
    "demo": "Watch it work: a broker, simulated cells, the service and a live view, nothing to install",
    "simulate": "Publish simulated cells over MQTT, or write them as a log with the truth beside",
    "replay": "Send a recorded log through the same pipeline and write its states",
    "health": "Say what a log's rests, charges and pulse tests tell of a cell's health",
    "fit": "Turn logs of your own battery into a cell type",
    "sort": "Grade retired cells by the pulse tests in their logs",
    "train": "Train a model's weights by a cell type's recipe",
    "evaluate": "Score a model on labelled logs, with the plain baselines beside it",
    "models": "List the cell types: domain, weights, measured errors",
    "config": "Check, show or document the configuration",
    "doctor": "Check config, broker, database, weights and clock, and say how to mend",
    "export": "Write states out of the embedded store",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; errors become a few lines on stderr and an exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = words[0] if words else ""
    if name in ("--version", "-V"):
        from importlib.metadata import version

        print(f"bmsd {version('bmsd')}")
        return 0
    if name in ("", "-h", "--help"):
        print(_overview())
        return 0 if name else 2
    if name not in COMMANDS:
        import difflib

        near = difflib.get_close_matches(name, COMMANDS, n=1)
        print(
            f"bmsd: no command `{name}`" + (f"; did you mean `{near[0]}`?" if near else "; see bmsd --help"),
            file=sys.stderr,
        )
        return 2
    module = importlib.import_module(f"daemon.cli.{name}")
    parser = argparse.ArgumentParser(
        prog=f"bmsd {name}",
        description=COMMANDS[name] + ".",
        epilog=f"example: {module.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    try:
        args = parser.parse_args(words[1:])
    except SystemExit as stop:  # argparse has said what is wrong
        return int(stop.code or 0)
    return _guarded(module.run, args)


def _guarded(run: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    from daemon.errors import BmsdError

    try:
        return run(args)
    except BmsdError as err:
        print(err, file=sys.stderr)
        return err.exit_status
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _overview() -> str:
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {says}" for name, says in COMMANDS.items())
    return (
        "bmsd: the true state of every battery cell, live from MQTT\n\n"
        f"usage: bmsd COMMAND [OPTION ...]\n\n{rows}\n\n"
        "bmsd COMMAND --help says more. Begin with: bmsd demo"
    )
