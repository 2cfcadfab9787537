"""A server in the test's own loop, over sources that a test can spoil, and raw requests to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import numpy as np

from daemon.config import Config, Http
from daemon.http import server
from daemon.http.pulse import Pulse
from daemon.http.routes import Sources
from daemon.http.server import Server
from daemon.publish import Newest, Publisher
from daemon.rows import Output, Rows
from daemon.wire import Metrics

HOST = b"Host: localhost\r\n"


def metrics(**given) -> Metrics:
    """Counters that differ from each other."""
    values = {}
    for number, (name, kind) in enumerate(Metrics.__annotations__.items(), start=1):
        values[name] = {"int": number, "float": number + 0.5, "str": "0.1.0", "dict[str, int]": {"a": number}}.get(
            kind, {}
        )
    return Metrics(**{**values, "checkpoint_age_second": 12.5, **given})


def newest(names: list[str], now_second: float = 0.0) -> Newest:
    """States of second 1 of cells with these names."""
    publisher, n = Publisher(Config()), len(names)
    half, zeros = np.full(n, 0.5), np.zeros(n)
    rows = Rows(
        np.arange(n, dtype=np.int32),
        np.ones(n, np.int64),
        half,
        half,
        half,
        half,
        zeros.astype(np.uint32),
        zeros.astype(np.int16),
    )
    publisher.take(Output(rows, []), names, ["ekf-1"], 0.0)
    return publisher.newest(names, now_second)


@dataclass
class Inside:
    """What the server is told of the service."""

    pulse: Pulse = field(default_factory=lambda: Pulse(0.1, {"telemetry": True}))
    counters: Metrics | Exception | float = 0.0  # a number: seconds that it takes
    cells: Newest | None = None
    reads: int = 0

    def sources(self) -> Sources:
        async def read() -> Metrics:
            self.reads += 1
            if isinstance(self.counters, Exception):
                raise self.counters
            if isinstance(self.counters, float):
                await asyncio.sleep(self.counters)
                return metrics()
            return self.counters

        async def cells() -> Newest:
            return self.cells or newest([])

        return Sources(lambda: self.pulse, read, cells)


class Talker:
    """Raw requests to one server."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def send(self, text: bytes, patience_second: float = 10.0) -> bytes:
        """All that comes back until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(text)
            async with asyncio.timeout(patience_second):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def get(self, path: str, *headers: str, method: str = "GET") -> tuple[int, object]:
        """Status and JSON."""
        lines = "".join(f"{line}\r\n" for line in headers)
        answer = await self.send(f"{method} {path} HTTP/1.1\r\n".encode() + HOST + lines.encode() + b"\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        with contextlib.suppress(ValueError):
            return int(head.split()[1]), json.loads(body)
        return int(head.split()[1]), body


@contextlib.asynccontextmanager
async def serving(monkeypatch, inside: Inside | None = None, **rule) -> AsyncIterator[Talker]:
    """A running server."""
    opened: asyncio.Future = asyncio.get_running_loop().create_future()
    listen_on = server.listen_on

    def tell(address):
        listener = listen_on(address)
        opened.set_result(listener.getsockname()[1])
        return listener

    monkeypatch.setattr(server, "listen_on", tell)
    monkeypatch.setattr(server.say, "_last", {})  # what was said for another test
    made = Server(Http(**{"listen": "127.0.0.1:0", **rule}), (inside or Inside()).sources())
    task = asyncio.create_task(made.serve())
    try:
        await asyncio.wait([task, opened], return_when=asyncio.FIRST_COMPLETED)
        yield Talker(await opened)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
