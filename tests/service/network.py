"""A network that can be cut, or go silent without a word: a port that carries bytes to another one and back."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Network:
    """Listens on a port of its own, and connects each client to the server's."""

    def __init__(self, server_port: int) -> None:
        self._to, self._flows = server_port, threading.Event()
        self._flows.set()
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._begin(self._accept)

    def cut(self) -> None:
        """End every connection."""
        ends, self._ends = self._ends, []
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """Let nothing pass; connections stand, and nobody is told."""
        self._flows.clear()

    def release(self) -> None:
        """Let everything pass again."""
        self._flows.set()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Hold everything for a while."""
        self.hold()
        yield
        self.release()

    def close(self) -> None:
        """End everything."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.release()
        self.cut()
        for thread in self._threads:
            thread.join()

    def _begin(self, action: Callable[..., None], *args: socket.socket) -> None:
        self._threads.append(threading.Thread(target=action, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                client.close()
                continue
            self._ends += [client, server]
            for pair in ((client, server), (server, client)):
                self._begin(self._carry, *pair)

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65_536):
                self._flows.wait()
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        one.close()
