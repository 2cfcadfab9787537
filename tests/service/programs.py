"""Real programs on free loopback ports, ended by process id; a test skips where one is not installed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest


def free_port() -> int:
    """Find a port of the loopback interface that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_for(condition: Callable[[], object], what: str, timeout_second: float = 20.0) -> None:
    """Wait until a condition holds; fail with what was waited for."""
    deadline = time.monotonic() + timeout_second
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout_second:g} s for: {what}")
        time.sleep(0.01)


def listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def needs(program: str, package: str) -> str:
    """Find a program, or skip the test naming the Debian package that has it."""
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"{program} is not installed: apt-get install {package}")
    return path


@dataclass
class Program:
    """A server of ours: started, ended or killed, and started again on the same port and folder."""

    command: list[str]
    port: int
    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command, cwd=self.folder, stdout=log, stderr=log)
        wait_for(lambda: listens(self.port) or self._ended(), f"{self.command[0]} on port {self.port}")
        assert not self._ended(), (self.folder / "log").read_text()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    @contextmanager
    def away(self) -> Iterator[None]:
        """Be stopped for a while."""
        self.stop()
        yield
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Be there for a while, and do nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        yield
        self.process.send_signal(signal.SIGCONT)

    def _ended(self) -> bool:
        return self.process is None or self.process.poll() is not None
