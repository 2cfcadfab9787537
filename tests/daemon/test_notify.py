"""daemon/notify.py: systemd is told, and nobody else is disturbed."""

from __future__ import annotations

import socket
import uuid
from contextlib import closing

from daemon.notify import notify


def test_without_systemd_nothing_happens(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")


def test_the_word_arrives_on_a_path_and_on_an_abstract_name(monkeypatch, tmp_path):
    for given, bound in ((str(tmp_path / "n"), str(tmp_path / "n")), (f"@{(name := uuid.uuid4().hex)}", f"\0{name}")):
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
            systemd.bind(bound)
            monkeypatch.setenv("NOTIFY_SOCKET", given)
            notify("READY=1")
            assert systemd.recv(100) == b"READY=1"


def test_a_listener_that_is_gone_is_no_reason_to_stop(monkeypatch, tmp_path):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "absent"))
    notify("WATCHDOG=1")
