"""The HTTP server beside the service, in its event loop: few connections, each short, and none of them in our way.

A connection serves one request and lives LIFE_SECOND at most, whatever it does or leaves undone: say nothing, send
letter by letter, not take the answer. Beyond CONNECTIONS_MAX the next wait in the kernel, unaccepted, so that no
number of them takes the file descriptors that journal and broker need.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

from aiohttp import web

from daemon.errors import ConfigError
from daemon.http.guard import Guard, Why, error, say
from daemon.http.routes import Routes

if TYPE_CHECKING:
    from asyncio import BaseTransport

    from daemon.config import Http
    from daemon.http.routes import Sources

CONNECTIONS_MAX = 32
LIFE_SECOND = 15.0
PACE_SECOND = 0.02  # between two that are accepted: however many ask, the processor belongs to the estimators
SEND_BYTES = 262_144  # that the kernel holds for one who does not read; left alone, it takes megabytes
RETRY_SECOND = 10.0  # between tries to listen: the port may become free, an address may come up


class Connection(web.RequestHandler):
    """One connection; `lost` is done when it has ended."""

    def __init__(self, manager: web.Server, guard: Guard, peer: str) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(manager, loop=loop)
        self.lost: asyncio.Future[None] = loop.create_future()
        self._guard, self._peer = guard, peer

    def connection_lost(self, exc: BaseException | None) -> None:
        """Hear that it has ended."""
        super().connection_lost(exc)
        if not self.lost.done():
            self.lost.set_result(None)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes the request, and with it a token perhaps
    ) -> web.StreamResponse:
        """Answer what is no request; the application never sees it."""
        if request.writer.output_size > 0:
            raise ConnectionError("part of the answer has been sent")
        if status >= 500:
            say.error("fault", exc)
            return error(status, "a fault of ours: the log has it")
        self._guard.refuse(Why.MALFORMED, self._peer, status=status)
        return error(status, "not an HTTP request, or longer than one may be")


class Server:
    """Listens while the service runs."""

    def __init__(self, rule: Http, sources: Sources) -> None:
        """Load the certificate. Raises ConfigError."""
        self._rule, self._tls = rule, load_certificate(rule)
        self._guard = Guard(rule)
        app = Routes(sources, self._guard).app
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0)

    async def serve(self) -> None:
        """Serve until cancelled."""
        await self._runner.setup()
        try:
            with await self._listen() as listener:
                await self._accept(listener)
        finally:
            await self._runner.cleanup()

    async def _listen(self) -> socket.socket:
        """Take the port, trying until it is free."""
        address = self._rule.address
        while True:
            try:
                listener = listen_on(address)
                break
            except OSError as err:
                why = err.strerror or str(err)
                mend = "set http.listen to another port, or http.enabled to false"
                say.seldom("not listening", why, listen=self._rule.listen, why=why, mend=mend, then="all else goes on")
                await asyncio.sleep(RETRY_SECOND)
        host, port = listener.getsockname()[:2]
        say.info("listening", address=host, port=port, token=self._rule.token is not None, tls=self._tls is not None)
        return listener

    async def _accept(self, listener: socket.socket) -> None:
        loop, room = asyncio.get_running_loop(), asyncio.Semaphore(CONNECTIONS_MAX)
        async with asyncio.TaskGroup() as connections:
            while True:
                await room.acquire()
                try:
                    sock, address = await loop.sock_accept(listener)
                except OSError as err:  # gone before it was accepted, or no file descriptor is left
                    room.release()
                    say.seldom("not accepted", str(err), why=err)
                    await asyncio.sleep(1.0)
                    continue
                task = connections.create_task(self._attend(sock, str(address[0])))
                task.add_done_callback(lambda _: room.release())
                await asyncio.sleep(PACE_SECOND)

    async def _attend(self, sock: socket.socket, peer: str) -> None:
        """See one connection to its end, which comes soon."""
        assert self._runner.server is not None
        connection = Connection(self._runner.server, self._guard, peer)
        transport: BaseTransport | None = None
        try:
            async with asyncio.timeout(LIFE_SECOND):
                connect = asyncio.get_running_loop().connect_accepted_socket
                transport, _ = await connect(lambda: connection, sock, ssl=self._tls)
                await connection.lost
        except TimeoutError:
            self._guard.refuse(Why.SLOW, peer)
        except OSError as err:  # ssl.SSLError is one
            if not isinstance(err, ConnectionError):
                self._guard.refuse(Why.TLS, peer, what=str(err))
        except Exception as err:  # noqa: BLE001 - a fault of one connection is its own
            say.error("fault", err, peer=peer)
        finally:
            if isinstance(transport, asyncio.Transport):
                transport.abort()
            else:
                sock.close()


def listen_on(address: tuple[str, int]) -> socket.socket:
    """Open a listening socket. Raises OSError."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    both = address[0] == "::"  # of all addresses those of the older kind too
    listener = socket.create_server(address, family=family, backlog=CONNECTIONS_MAX, dualstack_ipv6=both)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
    listener.setblocking(False)
    return listener


def load_certificate(rule: Http) -> ssl.SSLContext | None:
    """Load what TLS needs; None where it is not asked for. Raises ConfigError."""
    if rule.certificate_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(rule.certificate_file, rule.key_file, password="")  # else it would ask a terminal
    except (OSError, ValueError) as err:
        what = f"the certificate cannot be used: {err}"
        mend = "http.certificate_file and http.key_file: PEM, the key without a password, readable for our user"
        raise ConfigError(what, where=f"{rule.certificate_file}, {rule.key_file}", mend=mend) from err
    return context
