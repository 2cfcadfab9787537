"""What doctor says of `http:`: whether we can listen there, who may read, and whether others can listen in."""

from __future__ import annotations

import errno
import http.client
import ssl
from typing import TYPE_CHECKING

from daemon.doctor import Finding
from daemon.http.guard import HEADERS
from daemon.http.server import listen_on, load_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.config import Http

ANSWER_SECOND = 3.0
MENDS = {
    errno.EADDRNOTAVAIL: "this machine has no such address: correct http.listen",
    errno.EACCES: "a port below 1024 is not for everybody: set http.listen to a higher one",
}
TLS_MEND = "set http.certificate_file and http.key_file, or listen on 127.0.0.1 behind a proxy that has them"


def judge(rule: Http) -> Iterator[Finding]:
    """Look at the port and at who guards it. Raises ConfigError where the certificate cannot be used."""
    if not rule.enabled:
        yield Finding("ok", "off: nothing listens")
        return
    load_certificate(rule)
    who = "all but /health wants the token" if rule.token else "whoever is on this machine may read, without a token"
    try:
        listen_on(rule.address).close()
    except OSError as err:
        if err.errno != errno.EADDRINUSE:
            yield Finding("FAIL", f"{rule.listen}: cannot listen: {err.strerror}", MENDS.get(err.errno or 0, ""))
        elif _is_bmsd(rule):
            yield Finding("ok", f"{rule.listen}: a bmsd answers; {who}")
        else:
            mend = "set http.listen to another port, or http.enabled to false"
            yield Finding("warn", f"{rule.listen}: another program listens there; all else will go on", mend)
    else:
        yield Finding("ok", f"{rule.listen}: free for us to listen; {who}")
    if not rule.is_local and rule.certificate_file is None:
        yield Finding("warn", f"{rule.listen}: token and states go unencrypted", TLS_MEND)


def _is_bmsd(rule: Http) -> bool:
    """Ask whoever listens there for its name."""
    host, port = rule.address
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_SECOND)
    if rule.certificate_file is not None:
        trusted = ssl.create_default_context(cafile=rule.certificate_file)
        trusted.check_hostname = False  # it is made for the name that others call us by
        trusted.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        connection = http.client.HTTPSConnection(host, port, timeout=ANSWER_SECOND, context=trusted)
    try:
        connection.request("GET", "/health", headers={"Host": "localhost"})
        return connection.getresponse().getheader("Server") == HEADERS["Server"]
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
