"""`bmsd simulate`: cells that do not exist, publishing over MQTT or written as a log with the truth beside."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from daemon.errors import BrokerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.chemistry import Float
    from simulators.fleet import Fleet, Published
    from simulators.sensor import Sensing

EXAMPLE = "bmsd simulate --cells 16 --packs 4 --speed 60 --voltage-noise-volt 0.002"

PASSWORD_VARIABLE = "BMSD_MQTT__PASSWORD"  # noqa: S105 - the name, not the password
LOG_SECONDS = 86_400  # of a log where no length is asked for
PROGRESS_SECOND = 10.0
PHYSICS = ("circuit", "spme")  # simulators.physics.PHYSICS, without numpy
FAULTS = ("stuck", "nan", "absurd", "clock", "duplicate", "disorder")  # simulators.sensor.Fault, without numpy


class Effect(NamedTuple):
    """One thing that each of the three sensors can do wrong: an option for each."""

    field: str  # of simulators.sensor.Channel
    option: str
    says: str


QUANTITIES = (("voltage", "volt"), ("current", "ampere"), ("temperature", "celsius"))
EFFECTS = (
    Effect("noise", "--{quantity}-noise-{unit}", "standard deviation of its noise"),
    Effect("offset", "--{quantity}-offset-{unit}", "added to every reading"),
    Effect("gain_error", "--{quantity}-gain-error", "0.01 shows one hundredth too much"),
    Effect("step", "--{quantity}-step-{unit}", "readings are rounded to multiples of it"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    cells = parser.add_argument_group("cells")
    cells.add_argument("--cells", type=_count, default=16, metavar="N", help="in all packs together (default 16)")
    cells.add_argument("--packs", type=_count, default=1, metavar="N", help="packs p0, p1, ... (default 1)")
    cells.add_argument("--chemistry", choices=("nca", "nmc", "lfp"), default="nca", help="default nca")
    cells.add_argument("--nominal-capacity-ah", type=_positive, metavar="AH", help="default nca 2.9, nmc 3.0, lfp 1.2")
    cells.add_argument("--ambient-temperature-celsius", type=float, default=25.0, metavar="T", help="default 25")
    cells.add_argument("--initial-soc", type=_share, nargs="+", metavar="SOC", help="one, or two to draw between")
    cells.add_argument("--initial-soh", type=_share, nargs="+", default=[1.0], metavar="SOH", help="same (default 1)")
    cells.add_argument("--depth-of-discharge", type=_share, nargs="+", metavar="D", help="depths that are drawn from")
    cells.add_argument("--ageing-speed", type=_positive, default=1.0, metavar="X", help="times real life (default 1)")
    cells.add_argument(
        "--physics",
        choices=PHYSICS,
        default="circuit",
        help="our own, or PyBaMM's (needs the extra `train`)",
    )
    cells.add_argument("--seed", type=int, default=0, help="the same seed gives the same fleet (default 0)")

    pace = parser.add_argument_group("time")
    pace.add_argument("--seconds", type=_count, metavar="N", help="simulated; default without end, for a log one day")
    pace.add_argument("--speed", type=_speed, default=1.0, help="simulated seconds per second, or max (default 1)")
    pace.add_argument("--start-unix-second", type=_positive, metavar="T", help="event time of the first (default now)")

    target = parser.add_argument_group("where to")
    target.add_argument("--log", type=Path, metavar="FILE", help=".csv, .csv.gz or .parquet instead of a broker")
    target.add_argument("--host", default="127.0.0.1", help="the MQTT broker (default 127.0.0.1)")
    target.add_argument("--port", type=_count, default=1883, help="default 1883")
    target.add_argument("--prefix", default="bms", help="first level of every topic (default bms)")
    target.add_argument("--username", help=f"its password is taken from ${PASSWORD_VARIABLE}")
    target.add_argument("--frames", action="store_true", help="one dense frame per pack instead of a message per cell")
    target.add_argument("--json", action="store_true", help="print the summary for a machine")

    sensors = parser.add_argument_group("sensors", "perfect, unless said otherwise")
    for quantity, unit in QUANTITIES:
        for effect in EFFECTS:
            option = effect.option.format(quantity=quantity, unit=unit)
            field = f"{quantity}_{effect.field}"
            sensors.add_argument(option, dest=field, type=float, default=0.0, metavar="X", help=effect.says)
    sensors.add_argument("--dropout", type=_share, default=0.0, metavar="SHARE", help="readings that never arrive")
    sensors.add_argument("--faults", nargs="+", choices=FAULTS, default=[], metavar="FAULT", help=", ".join(FAULTS))
    sensors.add_argument("--fault-rate", type=_share, default=1e-3, metavar="P", help="per cell and second (0.001)")


def run(args: argparse.Namespace) -> int:
    """Do it. Raises UsageError where arguments do not fit together, BrokerError where the broker refuses the user."""
    try:
        fleet = _fleet(args)
        summary = _write(args, fleet) if args.log else _publish(args, fleet)
    except ValueError as err:
        raise UsageError(str(err), mend="bmsd simulate --help") from err
    except ModuleNotFoundError as err:
        raise UsageError(f"physics `{args.physics}` needs {err.name}", mend="pip install 'bmsd[train]'") from err
    print(json.dumps(summary) if args.json else "  ".join(f"{name}={value}" for name, value in summary.items()))
    return 0


def _fleet(args: argparse.Namespace) -> Fleet:
    from simulators.fleet import Fleet
    from simulators.schedule import Profile

    return Fleet(
        cells=args.cells,
        packs=args.packs,
        seed=args.seed,
        chemistry=args.chemistry,
        nominal_capacity_ah=args.nominal_capacity_ah,
        ambient_temperature_celsius=args.ambient_temperature_celsius,
        initial_soc=None if args.initial_soc is None else _drawn("--initial-soc", args.initial_soc, args),
        initial_soh=_drawn("--initial-soh", args.initial_soh, args),
        ageing_speed=args.ageing_speed,
        profile=Profile(depth_of_discharge=tuple(args.depth_of_discharge)) if args.depth_of_discharge else None,
        sensing=_sensing(args),
        physics=args.physics,
        start_unix_second=args.start_unix_second or float(int(time.time())),
    )


def _drawn(option: str, ends: list[float], args: argparse.Namespace) -> Float:
    """Draw one value per cell between two, or take the one for all."""
    import numpy as np

    if len(ends) > 2 or ends[0] > ends[-1]:
        raise ValueError(f"{option} takes one value, or the lower and the upper end of a draw")
    rng = np.random.default_rng([args.seed, *option.encode()])
    return np.asarray(rng.uniform(ends[0], ends[-1], args.cells))


def _sensing(args: argparse.Namespace) -> Sensing:
    from simulators.sensor import Channel, Fault, Sensing

    voltage, current, temperature = (
        Channel(**{effect.field: getattr(args, f"{quantity}_{effect.field}") for effect in EFFECTS})
        for quantity, _ in QUANTITIES
    )
    faults = tuple(Fault(name) for name in args.faults)
    return Sensing(voltage, current, temperature, args.dropout, faults, args.fault_rate)


def _write(args: argparse.Namespace, fleet: Fleet) -> dict[str, object]:
    from simulators import log

    seconds = args.seconds or LOG_SECONDS
    files = log.write(args.log, fleet, seconds, _progress(seconds))
    return {"cells": len(files), "seconds": seconds, "files": [str(file) for file in files]}


def _publish(args: argparse.Namespace, fleet: Fleet) -> dict[str, object]:
    where = f"{args.host}:{args.port}"
    try:
        published = asyncio.run(_until_stopped(args, fleet))
    except PermissionError as err:
        mend = f"give --username, and its password in {PASSWORD_VARIABLE}"
        raise BrokerError(str(err), where=where, mend=mend) from err
    return {
        "broker": where,
        "cells": len(fleet.names),
        "seconds": published.seconds,
        "messages": published.messages,
        "connections": published.connections,
        "wall_second": round(published.wall_second, 1),
    }


async def _until_stopped(args: argparse.Namespace, fleet: Fleet) -> Published:
    """Publish until Ctrl-C or SIGTERM; what was acknowledged until then is kept and said."""
    from simulators.fleet import publish

    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    return await publish(
        fleet,
        host=args.host,
        port=args.port,
        stop=stop,
        prefix=args.prefix,
        speed=args.speed,
        seconds=args.seconds,
        frames=args.frames,
        username=args.username,
        password=os.environ.get(PASSWORD_VARIABLE),
        on_second=_progress(args.seconds),
    )


def _progress(seconds: int | None) -> Callable[[Fleet], None]:
    """Say every ten seconds how far it is, on stderr."""
    began = said = time.monotonic()

    def say(fleet: Fleet) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said < PROGRESS_SECOND:
            return
        said, rate = now, fleet.second / (now - began)
        left = f" of {seconds:,}, {(seconds - fleet.second) / rate:.0f} s left" if seconds else ""
        print(f"{len(fleet.names)} cells, second {fleet.second:,}{left} ({rate:.0f} per second)", file=sys.stderr)

    return say


def _count(text: str) -> int:
    return int(_positive(str(int(text))))


def _positive(text: str) -> float:
    value = float(text)
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _speed(text: str) -> float:
    return math.inf if text == "max" else _positive(text)


def _share(text: str) -> float:
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value
