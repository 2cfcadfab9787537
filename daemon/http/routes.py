"""What can be asked.

    GET /health             200 while the estimators move and the broker is there, else 503 with the reasons
    GET /metrics            the counters, for Prometheus
    GET /api/states         the newest state of every cell, by pack: {"p0": {"c0": {...}}}, each as on the wire
    GET /api/states/<pack>  those of one pack: {"c0": {...}}

Every answer closes its connection. What goes wrong is told as {"error": "..."}.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web

from daemon.errors import JournalError
from daemon.http.fresh import Fresh
from daemon.http.guard import HEADERS, SHOWN, Guard, Why, error, say
from daemon.http.metrics import exposition
from daemon.wire import encode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from daemon.http.pulse import Pulse
    from daemon.publish import Newest
    from daemon.wire import Metrics, State

PART_BYTES = 65_536  # given to a connection at once: all that one who does not read can hold
NOWHERE = "nothing is here; there are /health, /metrics, /api/states and /api/states/<pack>"
BUSY = "no answer from inside at present: see /health and the log"


class Sources(NamedTuple):
    """Where the answers come from."""

    pulse: Callable[[], Pulse]  # at once
    metrics: Callable[[], Awaitable[Metrics]]  # raises JournalError
    newest: Callable[[], Awaitable[Newest]]


class Routes:
    """The application: each route, and before it the guard."""

    def __init__(self, sources: Sources, guard: Guard) -> None:
        self._sources, self._guard = sources, guard
        self._metrics, self._states = Fresh(sources.metrics), Fresh(self._render)
        self.app = web.Application(middlewares=[self._front])
        self.app.on_response_prepare.append(_sign)
        self.app.router.add_get("/health", self._health, name="health")
        self.app.router.add_get("/metrics", self._show_metrics, allow_head=False)
        self.app.router.add_get("/api/states", self._show_states, allow_head=False)
        self.app.router.add_get("/api/states/{pack}", self._show_pack, allow_head=False)

    @web.middleware
    async def _front(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Let the guard look, and turn whatever goes wrong into an answer."""
        is_open = request.match_info.route.name == "health"
        if (refusal := self._guard.look(request, is_open=is_open)) is not None:
            return refusal
        try:
            return await handler(request)
        except web.HTTPMethodNotAllowed as err:
            self._guard.refuse(Why.METHOD, request.remote, method=request.method[:SHOWN], path=request.path[:SHOWN])
            allowed = ", ".join(sorted(err.allowed_methods))
            return error(405, f"this can be read and no more: {allowed}", {"Allow": allowed})
        except web.HTTPNotFound:
            return error(404, NOWHERE)
        except (TimeoutError, JournalError):
            return error(503, BUSY)
        except ConnectionError:
            raise  # whoever asked has gone
        except Exception as err:  # noqa: BLE001 - a fault of one answer is its own
            say.error("fault", err, path=request.path[:SHOWN])
            return error(500, "a fault of ours: the log has it")

    async def _health(self, _request: web.Request) -> web.Response:
        ailments = self._sources.pulse().ailments()
        body = encode({"status": "unwell", "why": ailments} if ailments else {"status": "well"})
        return web.Response(status=503 if ailments else 200, body=body, content_type="application/json")

    async def _show_metrics(self, request: web.Request) -> web.Response:
        refused = {str(why): count for why, count in self._guard.refused.items()}
        accept = request.headers.get("Accept", "")
        body, content_type = exposition(await self._metrics(), self._sources.pulse(), refused, accept)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _show_states(self, request: web.Request) -> web.StreamResponse:
        return await _stream(request, (await self._states()).all)

    async def _show_pack(self, request: web.Request) -> web.StreamResponse:
        body = (await self._states()).by_pack.get(request.match_info["pack"])
        if body is None:
            return error(404, "no cell of such a pack has been heard; /api/states has them all")
        return await _stream(request, body)

    async def _render(self) -> _States:
        """Write all states, in a thread that nobody waits for."""
        return await asyncio.to_thread(_write, await self._sources.newest())


class _States(NamedTuple):
    """All states as JSON, and where in it each pack's stand: any number of connections share it."""

    all: memoryview
    by_pack: dict[str, memoryview]


def _write(newest: Newest) -> _States:
    packs: dict[str, dict[str, State]] = {}
    for name, state in newest.states():
        pack, _, cell = name.partition("/")
        packs.setdefault(pack, {})[cell] = state
    text, places = bytearray(b"{"), dict[str, slice]()
    for pack in sorted(packs):
        text += (b"," if places else b"") + encode(pack) + b":"
        begin = len(text)
        text += encode(packs[pack])
        places[pack] = slice(begin, len(text))
    whole = memoryview(bytes(text + b"}"))
    return _States(whole, {pack: whole[place] for pack, place in places.items()})


async def _stream(request: web.Request, body: memoryview) -> web.StreamResponse:
    """Send a long answer as fast as it is taken."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    for begin in range(0, len(body), PART_BYTES):
        await response.write(body[begin : begin + PART_BYTES])
    await response.write_eof()
    return response


async def _sign(_request: web.Request, response: web.StreamResponse) -> None:
    """Say who answers, and that the connection ends here."""
    response.headers.update(HEADERS)
    response.force_close()
