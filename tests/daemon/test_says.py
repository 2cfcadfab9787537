"""daemon/says.py: one line an event, and few of them."""

from __future__ import annotations

import io
import json
import logging

import pytest

from daemon import says
from daemon.says import Say


@pytest.fixture
def stream():
    """A stream that is no terminal; the log is put back as it was afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("bmsd")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def test_elsewhere_than_on_a_terminal_a_line_is_a_json_object(stream):
    says.begin("info", "auto", stream)
    Say("room").info("connected", host="h", port=1, ratio=0.5, path=io)
    line = json.loads(stream.getvalue())
    assert (line["level"], line["room"], line["event"], line["port"]) == ("info", "room", "connected", 1)
    assert line["time"].endswith("+00:00")


def test_text_is_event_and_fields_with_what_needs_it_quoted(stream):
    says.begin("debug", "text", stream)
    Say("room").debug("lost", why='no "route"', empty="", second=1.23456789, line="a\nb")
    assert stream.getvalue().endswith('lost why="no \\"route\\"" empty="" second=1.23457 line="a\\nb"\n')


def test_the_level_holds_and_can_be_changed(stream):
    says.begin("warning", "json", stream)
    say = Say("room")
    say.info("unheard")
    says.set_level("info")
    say.info("heard")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["heard"]


def test_a_warning_that_comes_in_masses_is_said_once_a_minute_with_the_count(stream, monkeypatch):
    now = 1_000.0
    monkeypatch.setattr(says.time, "monotonic", lambda: now)
    says.begin("info", "json", stream)
    say = Say("room")
    for _ in range(5):
        say.seldom("rejected", "shape", reason="shape")
    say.seldom("rejected", "topic", reason="topic")
    now += 61
    say.seldom("rejected", "shape", reason="shape")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["reason"], line.get("repeated")) for line in lines] == [
        ("shape", None),
        ("topic", None),
        ("shape", 4),
    ]


def test_an_unforeseen_error_brings_its_traceback(stream):
    says.begin("info", "json", stream)
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError as err:
        Say("room").error("fault", err, cell="p/c")
    line = json.loads(stream.getvalue())
    assert "ZeroDivisionError" in line["traceback"]
    assert line["cell"] == "p/c"
