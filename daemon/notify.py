"""Tells systemd how we are, where it wants to know (`Type=notify`): READY=1, WATCHDOG=1, STOPPING=1."""

from __future__ import annotations

import os
import socket


def notify(word: str) -> None:
    """Send one word to $NOTIFY_SOCKET; nothing where there is none."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        try:
            sock.sendto(word.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError:
            return  # nobody listens any more: no reason to stop serving
