"""Who may ask: whoever has the token; where there is none, this machine alone. What is refused is counted and told.

Without a token we answer only to the names that this machine has for itself. A page of a stranger that is open in
a browser here could otherwise read us, once the stranger's name leads to 127.0.0.1 (DNS rebinding).
"""

from __future__ import annotations

import enum
import hmac
from collections import Counter
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web

from daemon.says import Say
from daemon.wire import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daemon.config import Http

SHOWN = 100  # letters of a path
HEADERS = {"Server": "bmsd", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Connection": "close"}

say = Say("http")


class Why(enum.StrEnum):
    """Why a request was refused: metric and log share the spelling."""

    TOKEN = "token"  # noqa: S105 - no token, or another one
    HOST = "host"  # under a name that is not this machine's own
    METHOD = "method"  # to do something else than read
    MALFORMED = "malformed"  # not HTTP, or longer than a request may be
    SLOW = "slow"  # not asked, or not taken, in time
    TLS = "tls"  # no handshake


class Guard:
    """Lets requests pass, or not."""

    def __init__(self, rule: Http) -> None:
        self.refused: Counter[Why] = Counter(dict.fromkeys(Why, 0))
        self._token = rule.token.get_secret_value().encode() if rule.token else None

    def look(self, request: web.Request, *, is_open: bool) -> web.Response | None:
        """Look at a request; the answer where it may not pass. `is_open`: no token is needed for what it asks."""
        if self._token is None:
            if not _is_ours(request.headers.get("Host", "")):
                self.refuse(Why.HOST, request.remote, method=request.method, path=request.path[:SHOWN])
                return error(403, "without http.token we answer to localhost and 127.0.0.1 alone, by these names")
        elif not is_open and not self._knows(request.headers.get("Authorization", "")):
            self.refuse(Why.TOKEN, request.remote, method=request.method, path=request.path[:SHOWN])
            what = "send the header `Authorization: Bearer` with the token of http.token"
            return error(401, what, {"WWW-Authenticate": "Bearer"})
        return None

    def refuse(self, why: Why, peer: str | None, **fields: object) -> None:
        """Count what is refused, and say it: at most once a minute for each reason and peer."""
        self.refused[why] += 1
        say.seldom("refused", f"{why} {peer}", why=str(why), peer=peer, **fields)

    def _knows(self, header: str) -> bool:
        scheme, _, given = header.partition(" ")
        token = self._token or b""
        return hmac.compare_digest(given.strip().encode("utf-8", "replace"), token) and scheme.lower() == "bearer"


def error(status: int, what: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Make the answer to what went wrong."""
    merged = {"Content-Type": "application/json", **HEADERS, **(headers or {})}
    return web.Response(status=status, body=encode({"error": what}), headers=merged)


def _is_ours(host: str) -> bool:
    """Tell whether a Host header names this machine as it calls itself; browsers always send one."""
    try:
        name = urlsplit(f"//{host}").hostname if host else "localhost"
        return name == "localhost" or ip_address(str(name)).is_loopback
    except ValueError:
        return False
