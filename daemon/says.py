"""The service's log: one line an event, `event key=value ...` on a terminal, one JSON object elsewhere.

The level says who acts: ERROR a person must; WARNING the daemon did, and says how; INFO the life of the
service; DEBUG a message. A warning that may come in masses is said `seldom`: once a minute, with the count.

>>> logfmt("connected", {"host": "localhost", "why": "no route to host"})
'connected host=localhost why="no route to host"'
"""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import TextIO

SELDOM_SECOND = 60.0
KEYS_MAX = 1_000  # distinct warnings that are told apart; beyond it they begin anew


class Say:
    """One room's voice: an event in a word or two, and its fields."""

    def __init__(self, room: str) -> None:
        self._logger = logging.getLogger(f"bmsd.{room}")
        self._last: dict[str, tuple[float, int]] = {}  # key -> (monotonic second said, times held back since)

    def debug(self, event: str, **fields: object) -> None:
        """Say something about one message."""
        self._line(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Say something about the life of the service."""
        self._line(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Say what the daemon met and mended by itself."""
        self._line(logging.WARNING, event, fields)

    def error(self, event: str, err: BaseException | None = None, **fields: object) -> None:
        """Say what a person must mend; with an error that nobody foresaw, its traceback."""
        self._line(logging.ERROR, event, fields, err)

    def seldom(self, event: str, key: str, **fields: object) -> None:
        """Warn at most once a minute for each key; the line says how often it was held back."""
        now = time.monotonic()
        said, held = self._last.get(key, (-SELDOM_SECOND, 0))
        if now - said < SELDOM_SECOND:
            self._last[key] = (said, held + 1)
            return
        if len(self._last) >= KEYS_MAX:
            self._last.clear()
        self._last[key] = (now, 0)
        self._line(logging.WARNING, event, {**fields, **({"repeated": held} if held else {})})

    def _line(self, level: int, event: str, fields: dict[str, object], err: BaseException | None = None) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={"fields": fields}, exc_info=err)


def begin(level: str, form: str, stream: TextIO = sys.stdout) -> None:
    """Set the log up: `level` and `form` are service.log_level and service.log_format."""
    handler = logging.StreamHandler(stream)
    as_text = form == "text" or (form == "auto" and stream.isatty())
    handler.setFormatter(_Text() if as_text else _Json())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    set_level(level)


def set_level(level: str) -> None:
    """Change the least important line that is written."""
    logging.getLogger("bmsd").setLevel(level.upper())


def logfmt(event: str, fields: dict[str, object]) -> str:
    """Spell an event and its fields on one line."""
    return " ".join([event, *(f"{key}={_value(value)}" for key, value in fields.items())])


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        line = f"{when} {record.levelname:<7} {logfmt(record.getMessage(), _fields(record))}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "room": record.name.removeprefix("bmsd."),
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return getattr(record, "fields", {})


def _value(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    plain = text and text.isprintable() and not set(text) & set(' "=')
    return text if plain else json.dumps(text, ensure_ascii=False)
