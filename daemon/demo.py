"""The demonstration: a broker, simulated cells, the service and a view, each where it would be in earnest.

The broker and the service (`bmsd run`) are processes of their own; the simulator publishes telemetry, the
view subscribes to states, and only the wire is between them. The truth comes from the simulator directly.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt
import msgspec
import numpy as np
import yaml
from iotcore import Broker

from daemon import wire
from daemon.errors import BmsdError
from simulators.fleet import Fleet, publish

HOST = "127.0.0.1"
START_PATIENCE_SECOND = 60.0
STOP_PATIENCE_SECOND = 15.0
CELL_TYPE = "generic-nca"
REDRAW_SECOND = 0.5
PROBE = ("p0", "c00")  # the cell whose telemetry is watched: from the sample that closes a second to its state
PROBE_MEMORY = 10_000  # samples


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be shown."""

    cells: int = 16
    packs: int = 2
    speed: float = 60.0
    seed: int = 7
    seconds: float | None = None  # wall time; None: until stopped


@dataclass(slots=True)
class Board:
    """All that the view shows: the truth from the simulator, the rest as it came over the wire."""

    fleet: Fleet
    states: dict[tuple[str, str], wire.State] = field(default_factory=dict)
    received: int = 0
    events: list[str] = field(default_factory=list)  # the newest last
    metrics: dict[str, object] = field(default_factory=dict)
    latency_second: list[float] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    shown_second: float = 0.0  # wall time since the simulator began

    def error_points(self, what: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Absolute error of `soc` or `soh` now, in points, of the cells that have a state."""
        truth = getattr(self.fleet, what)
        pairs = [(truth[i], getattr(s, what)) for i, n in enumerate(self.fleet.names) if (s := self.states.get(n))]
        return np.array([abs(a - b) * 100.0 for a, b in pairs])


async def demonstrate(plan: Plan, draw: Callable[[Board], None]) -> Board:
    """Run everything until `plan.seconds` passed or the caller cancels. Raises BmsdError where a part fails."""
    rng = np.random.default_rng(plan.seed)
    fleet = Fleet(
        cells=plan.cells,
        packs=plan.packs,
        seed=plan.seed,
        chemistry="nca",
        start_unix_second=float(int(time.time())),
        initial_soh=rng.uniform(0.8, 1.0, plan.cells),
        ambient_temperature_celsius=rng.uniform(10.0, 35.0, plan.cells),
    )
    board = Board(fleet)
    with tempfile.TemporaryDirectory(prefix="bmsd-demo-") as folder, Broker(port=_free_port(), listen=HOST) as broker:
        async with _service(Path(folder), broker.port) as service:
            watching = asyncio.create_task(_watch(board, broker.port))
            await _until_online(board, service)
            board.began = time.monotonic()
            stop = asyncio.Event()
            sending = asyncio.create_task(publish(fleet, host=HOST, port=broker.port, stop=stop, speed=plan.speed))
            try:
                while plan.seconds is None or time.monotonic() - board.began < plan.seconds:
                    if service.returncode is not None:
                        what = f"the service ended with status {service.returncode}"
                        raise BmsdError(what, where=_tail(Path(folder)))
                    board.shown_second = time.monotonic() - board.began
                    draw(board)
                    await asyncio.sleep(REDRAW_SECOND)
            finally:
                stop.set()
                watching.cancel()
                await asyncio.gather(sending, watching, return_exceptions=True)
    return board


@contextlib.asynccontextmanager
async def _service(folder: Path, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `bmsd run` in a process of its own, and end it as systemd would."""
    config = {
        "mqtt": {"host": HOST, "port": port},
        "cells": {
            "packs": [  # the first pack by the network, the others by the filter
                {"pattern": PROBE[0], "cell_type": CELL_TYPE, "estimator": "cross_stitch"},
                {"pattern": "*", "cell_type": CELL_TYPE, "estimator": "fused"},
            ]
        },
        "publish": {"metrics_second": 1.0, "max_age_second": 30.0},
        "http": {"listen": f"{HOST}:0"},
        "service": {"state_directory": str(folder / "state")},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BMSD_")}
    with (folder / "service.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "daemon.cli",
            "run",
            "--config",
            str(folder / "config.yaml"),
            stdout=log,
            stderr=log,
            env=environment,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_PATIENCE_SECOND)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _until_online(board: Board, service: asyncio.subprocess.Process) -> None:
    """Wait for the first metrics, or for the service to end."""
    for _ in range(int(START_PATIENCE_SECOND / 0.1)):
        if board.metrics or service.returncode is not None:
            return
        await asyncio.sleep(0.1)
    raise BmsdError("the service did not come up", mend="try `bmsd run` by itself and read what it says")


async def _watch(board: Board, port: int) -> None:
    """Take in what the service says, and when the probe's telemetry passed the broker."""
    passed: dict[float, float] = {}
    probe = wire.telemetry_topic("bms", *PROBE)
    async with aiomqtt.Client(HOST, port) as client:
        for topic in ("bms/state/+/+", "bms/event/#", "bms/status/metrics", probe):
            await client.subscribe(topic)
        async for message in client.messages:
            topic, payload, now = str(message.topic), bytes(message.payload or b""), time.monotonic()
            kind, *rest = topic.split("/")[1:]
            if kind == "telemetry":
                if len(passed) > PROBE_MEMORY:
                    passed.clear()
                passed[msgspec.json.decode(payload, type=wire.Sample).unix_time_second or 0.0] = now
            elif kind == "status":
                board.metrics = msgspec.json.decode(payload)
            elif kind == "event":
                event = msgspec.json.decode(payload, type=wire.Event)
                board.events = [*board.events[-4:], f"{'/'.join(rest)} {event.kind} {event.phase}"]
            elif rest[-1] != "cells":
                state = msgspec.json.decode(payload, type=wire.State)
                board.states[rest[0], rest[1]] = state
                board.received += 1
                closed_by = state.unix_time_second + 1.0
                if tuple(rest) == PROBE and closed_by in passed:
                    board.latency_second.append(now - passed.pop(closed_by))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _tail(folder: Path) -> str:
    lines = (folder / "service.log").read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n         ".join(lines[-5:])
