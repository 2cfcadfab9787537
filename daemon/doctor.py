"""Looks at everything that the service stands on, and says what to mend: all faults, not the first.

    configuration -> CHECKS, side by side, each with findings of its own

A check that is stuck or breaks is a finding too, and holds up no other.
"""

from __future__ import annotations

import base64
import http.client
import os
import queue
import shutil
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import urlencode

from daemon.errors import BmsdError, ConfigError

if TYPE_CHECKING:
    from daemon.config import Config, InfluxSink, PackRule, Reading

PATIENCE_SECOND = 30.0  # with all checks together
SERVER_SECOND = 3.0  # with one answer of a database
READABLE = 0o044  # by the group, by others
FULL_BYTES = 67_108_864  # free space below which databases begin to fail
EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)  # a clock that was never set says less
CLOCK_SECOND = 10.0
ROOM_MEND = "free the disk, or lower journal.keep_byte and sinks.outbox.keep_byte"


class Finding(NamedTuple):
    """One thing that was looked at."""

    level: Literal["ok", "warn", "FAIL"]
    what: str
    mend: str = ""  # the next thing to do


Check = Callable[["Config"], Iterable[Finding]]


def examine(path: Path | None = None) -> Iterator[tuple[str, Finding]]:
    """Yield the name of each check with each of its findings, as they come, in the order of the table.

    `path` is the configuration; None: the one in a standard place, or the defaults.
    """
    from daemon.config import read
    from daemon.config.read import standard_place

    try:
        reading = read(path)
    except ConfigError as err:
        for fault in _faults(err):
            yield "config", fault
        yield "others", Finding("warn", "not looked at: they need a configuration", "mend it, then: bmsd doctor")
        return
    for finding in _configuration(reading, str(path or standard_place() or "no file, defaults")):
        yield "config", finding
    answers: dict[str, queue.SimpleQueue[list[Finding]]] = {name: queue.SimpleQueue() for name in CHECKS}
    for name, check in CHECKS.items():
        threading.Thread(target=_answer, args=(check, reading.config, answers[name]), daemon=True).start()
    deadline = time.monotonic() + PATIENCE_SECOND
    for name, answer in answers.items():
        try:
            findings = answer.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            findings = [Finding("FAIL", f"no answer within {PATIENCE_SECOND:g} s", "look at the network and its names")]
        for finding in findings:
            yield name, finding


def _answer(check: Check, config: Config, answer: queue.SimpleQueue[list[Finding]]) -> None:
    """Run one check to its end, whatever that is."""
    found: list[Finding] = []
    try:
        found.extend(check(config))
    except BmsdError as err:
        found.append(_failed(err))
    except Exception as err:  # noqa: BLE001 - a check's fault, of whatever kind, is a finding
        found.append(Finding("FAIL", f"the check itself failed: {type(err).__name__}: {err}"))
    answer.put(found)


def _failed(err: BmsdError) -> Finding:
    return Finding("FAIL", f"{err.where}: {err.what}" if err.where else err.what, err.mend)


def _configuration(reading: Reading, source: str) -> Iterator[Finding]:
    from daemon.config import check_cell_types

    cells = reading.config.cells
    try:
        check_cell_types(reading)
    except ConfigError as err:
        yield from _faults(err)
        return
    types = {rule.cell_type for rule in _rules(reading.config)}
    yield Finding("ok", f"{source}: {_count(len(types), 'cell type')}, up to {cells.cells_max:,} cells")
    yield from _open_secrets(reading)


def _open_secrets(reading: Reading) -> Iterator[Finding]:
    """Name the file that holds a secret and that others may read."""
    config = reading.config
    held = {
        "mqtt.password": config.mqtt.password,
        "sinks.influx.token": config.sinks.influx.token,
        "http.token": config.http.token,
    }
    for name, secret in held.items():
        file = Path(reading.origin(tuple(name.split("."))).rpartition(":")[0])
        if secret is not None and file.is_file() and file.stat().st_mode & READABLE:
            mend = f"chmod 600 {file}, or give it as a credential or a variable: docs/operations.md, Secrets"
            yield Finding("warn", f"{name} stands in {file}, which others may read", mend)


def _faults(err: ConfigError) -> list[Finding]:
    """Part an error that names many faults (one a line, after the first) into as many findings."""
    _, *faults = err.what.splitlines()
    if not faults:
        return [_failed(err)]
    return [Finding("FAIL", fault.strip(), err.mend if fault is faults[-1] else "") for fault in faults]


def _state_directory(config: Config) -> Iterator[Finding]:
    """See whether files can be written, and whether what they may grow to has room."""
    folder = config.service.state_directory
    try:
        there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
        if not there.is_dir():
            raise NotADirectoryError(f"{there} is a file")
        if there == folder.absolute():
            tempfile.TemporaryFile(dir=there).close()
        elif not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(f"{there} does not let us make it")
    except OSError as err:
        mend = "set service.state_directory, or make it writable for the user that runs bmsd"
        yield Finding("FAIL", f"{folder}: cannot write: {err.strerror or err}", mend)
        return
    free = shutil.disk_usage(there).free
    bound = config.journal.keep_byte + config.sinks.outbox.keep_byte
    room = free + sum(p.stat().st_size for p in folder.glob("*.sqlite*") if p.is_file())
    if free < FULL_BYTES:
        yield Finding("FAIL", f"{folder}: the disk is full: {_bytes(free)} free", ROOM_MEND)
    elif room < bound:
        what = f"{folder}: room for {_bytes(room)}, while journal and outbox may take {_bytes(bound)}"
        yield Finding("warn", what, ROOM_MEND)
    else:
        made = "" if there == folder.absolute() else ", will be made"
        yield Finding("ok", f"{folder}{made}: {_bytes(free)} free; journal and outbox take at most {_bytes(bound)}")


def _broker(config: Config) -> Iterator[Finding]:
    """Connect, and see whether what is sent while the service is away is there when it comes back."""
    from daemon.broker_verdict import judge

    return judge(config)


def _influx(config: Config) -> Iterator[Finding]:
    """Ask whether the server is there, then write nothing to see whether it would let us."""
    from daemon.sinks.influx import SETTINGS

    rule = config.sinks.influx
    if not rule.enabled:
        return
    try:
        _ask(rule, "/ping")
        path = "/api/v2/write" if rule.api == "v2" else "/write"
        place = {"org": rule.org, "bucket": rule.bucket} if rule.api == "v2" else {"db": rule.bucket}
        status = _ask(rule, f"{path}?{urlencode(place)}", b"").status
    except (OSError, http.client.HTTPException) as err:
        why = getattr(err, "reason", None) or err
        yield Finding("FAIL", f"{rule.url}: cannot be reached: {why}", "start the server, or correct sinks.influx.url")
        return
    if status in SETTINGS:
        yield Finding("FAIL", f"{rule.url}: refuses writes with {status}", SETTINGS[status])
    elif status >= 500:
        yield Finding("FAIL", f"{rule.url}: cannot write at present: {status}", "see the server's log")
    else:  # a 400 says that there was nothing to write
        yield Finding("ok", f"{rule.url}: takes writes ({rule.api}, {rule.bucket})")


class _Reply(NamedTuple):
    status: int
    date: str


def _ask(rule: InfluxSink, path: str, body: bytes | None = None) -> _Reply:
    """Send one request with our credentials. Raises OSError where no HTTP answer comes."""
    secret = rule.token.get_secret_value() if rule.token else ""
    headers = {"Authorization": f"Token {secret}"} if secret else {}
    if rule.api == "v1":
        user = base64.b64encode(f"{rule.username}:{secret}".encode()).decode()
        headers = {"Authorization": f"Basic {user}"} if rule.username else {}
    request = urllib.request.Request(rule.url.rstrip("/") + path, body, headers)  # noqa: S310 - config allows http(s)
    try:
        with urllib.request.urlopen(request, timeout=min(rule.timeout_second, SERVER_SECOND)) as reply:  # noqa: S310
            return _Reply(reply.status, reply.headers.get("Date", ""))
    except urllib.error.HTTPError as err:
        with err:
            return _Reply(err.code, err.headers.get("Date", ""))


def _http(config: Config) -> Iterator[Finding]:
    """See whether we can listen where we are to, and who may then read."""
    from daemon.http.verdict import judge

    return judge(config.http)


def _weights(config: Config) -> Iterator[Finding]:
    """Load each estimator that is to speak, and the one beside it."""
    from daemon.models import MODELS, label, load
    from estimators.cell_type import CellType

    wanted = dict.fromkeys((rule.cell_type, rule.estimator) for rule in _rules(config))
    for named, estimator in wanted:
        try:
            cell_type = CellType.load(named)
        except (OSError, ValueError):
            continue  # that is a fault of the configuration, told there
        chosen = estimator or cell_type.estimator
        beside = MODELS[chosen].fallback
        try:
            speaks = label(load(cell_type, chosen))
            instead = f", {label(load(cell_type, beside))} where it cannot" if beside else ""
        except BmsdError as err:
            yield _failed(err)
        else:
            yield Finding("ok", f"{named}: {speaks} speaks{instead}")


def _clock(config: Config) -> Iterator[Finding]:
    """See whether our clock was ever set, and whether the database's says the same."""
    now = datetime.now(UTC)
    if now < EARLIEST:
        yield Finding("FAIL", f"it is {now:%Y-%m-%d} here", "set the clock: timedatectl set-ntp true")
        return
    theirs = _server_time(config.sinks.influx) if config.sinks.influx.enabled else None
    if theirs and abs(off := (datetime.now(UTC) - theirs).total_seconds()) > CLOCK_SECOND:
        yield Finding("warn", f"ours and the database's are {off:+.0f} s apart", "set both: timedatectl set-ntp true")
    else:
        yield Finding("ok", f"it is {now:%Y-%m-%d %H:%M:%S} UTC" + (", in the database too" if theirs else ""))


def _server_time(rule: InfluxSink) -> datetime | None:
    try:
        moment = parsedate_to_datetime(_ask(rule, "/ping").date)
    except (OSError, http.client.HTTPException, ValueError):
        return None  # that it is away, the check of the database says
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _rules(config: Config) -> list[PackRule]:
    """List what may be said of a pack: the rules, and the one of adopted strangers."""
    from daemon.config import PackRule

    cells = config.cells
    strangers = [PackRule(pattern="*", cell_type=cells.default_type)] if cells.default_type else []
    return [*cells.packs, *(strangers if cells.unknown == "adopt" else [])]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _bytes(number: float) -> str:
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 else f"{number / 2**20:.0f} MiB"


CHECKS: dict[str, Check] = {
    "state": _state_directory,
    "broker": _broker,
    "influx": _influx,
    "http": _http,
    "weights": _weights,
    "clock": _clock,
}
