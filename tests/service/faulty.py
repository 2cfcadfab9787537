"""A database behind a server that has its moods: a port that hands requests on to the real one, or does not."""

from __future__ import annotations

import gzip
import http.client
import threading
import time
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WHY = "field type conflict"


class Faulty:
    """Answers 400 to a batch that holds a bad line, always; 503 or late while it is told to."""

    def __init__(self, server_port: int, is_bad: Callable[[str], bool] = lambda _: False) -> None:
        """Begin to listen. `is_bad` tells of a line of a write whether it is refused."""
        self.away, self.late_second = False, 0.0
        self.answers: dict[int, int] = {}  # by status: how often
        self.bad: set[str] = set()  # lines that came alone and were refused
        self._to, self._is_bad, self._lock = server_port, is_bad, threading.Lock()
        faulty = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                faulty._answer(self)

            do_POST = do_HEAD = do_GET  # noqa: N815 - the library's names

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End everything."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, asked: BaseHTTPRequestHandler) -> None:
        body = asked.rfile.read(int(asked.headers.get("Content-Length", 0)))
        time.sleep(self.late_second)
        status, answer = self._refuse(asked, body) or self._hand_on(asked, body)
        with self._lock:
            self.answers[status] = self.answers.get(status, 0) + 1
        try:
            asked.send_response(status)
            asked.send_header("Content-Length", str(len(answer)))
            asked.end_headers()
            if asked.command != "HEAD":
                asked.wfile.write(answer)
        except OSError:
            asked.close_connection = True  # who asked was killed meanwhile

    def _refuse(self, asked: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes] | None:
        if self.away:
            return 503, b"overloaded"
        if "/write" not in asked.path:
            return None
        text = gzip.decompress(body) if asked.headers.get("Content-Encoding") == "gzip" else body
        lines = text.decode().splitlines()
        if not any(map(self._is_bad, lines)):
            return None
        if len(lines) == 1:
            with self._lock:
                self.bad.add(lines[0])
        return 400, WHY.encode()

    def _hand_on(self, asked: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._to, timeout=30.0)
        try:
            connection.request(asked.command, asked.path, body, dict(asked.headers.items()))
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 502, b"nobody there"
        finally:
            connection.close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing: who asked was killed meanwhile."""


def one_in(count: int) -> Callable[[str], bool]:
    """Make a rule by which one line in so many is bad, always the same ones."""
    return lambda line: zlib.crc32(line.encode()) % count == 0
