"""A broker that runs deploy/mosquitto/secure.conf, with users and certificates made for the moment, and its clients."""

from __future__ import annotations

import getpass
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.service.mosquitto import DURABLE, make_mosquitto
from tests.service.programs import Program, free_port, needs, wait_for

DEPLOY = DURABLE.parent
PASSWORDS = {"bmsd": "correct horse", "viewer": "battery staple"}


@dataclass
class Secured:
    """What its clients need to know of it."""

    folder: Path
    program: Program
    packs_port: int

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def logs(self, text: str) -> None:
        """Wait until the broker has said so."""
        wait_for(lambda: text in self.log(), f"the broker to say {text!r}")


def make_secured(folder: Path, *lines: str) -> Secured:
    """Prepare the broker as it is shipped, but for ports and folder; it tells each refusal."""
    tool = needs("mosquitto_passwd", "mosquitto")
    program, port = make_mosquitto(folder), free_port()
    for number, (user, password) in enumerate(PASSWORDS.items()):
        made = [tool, "-b", *(["-c"] if number == 0 else []), str(folder / "bmsd.passwords"), user, password]
        subprocess.run(made, check=True, capture_output=True)
    (folder / "bmsd.acl").write_text((DEPLOY / "acl").read_text())
    certify(folder, "server", "127.0.0.1")
    text = (DEPLOY / "secure.conf").read_text().replace("/etc/mosquitto/", f"{folder}/")
    for shipped, ours in (
        ("listener 1883 127.0.0.1", f"listener {program.port} 127.0.0.1"),
        ("listener 8883", f"listener {port} 127.0.0.1"),
        ("#log_type debug", "log_type debug"),
    ):
        assert shipped in text
        text = text.replace(shipped, ours)
    settings = [f"user {getpass.getuser()}", f"persistence_location {folder}/", DURABLE.read_text(), text, *lines]
    (folder / "mosquitto.conf").write_text("\n".join(settings) + "\n")
    return Secured(folder, program, port)


def certify(folder: Path, kind: str, name: str, authority: str = "bmsd") -> None:
    """Make a certificate with the script that is shipped."""
    needs("openssl", "openssl")
    made = ["sh", str(DEPLOY / "certify.sh"), str(folder / authority), kind, name]
    subprocess.run(made, check=True, capture_output=True)


def certificate(folder: Path, name: str, authority: str = "bmsd") -> tuple[str, str]:
    return tuple(str(folder / authority / f"pack-{name}.{end}") for end in ("crt", "key"))


@dataclass
class Client:
    """One connection, and what becomes of it."""

    client_id: str = ""
    user: str | None = None
    password: str | None = None
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    confirmed: set[int] = field(default_factory=set)
    granted: list[int] = field(default_factory=list)

    def connect(self, port: int, authority: Path | None = None, own: tuple[str, str] | None = None) -> Client:
        """Connect, and wait until the broker has answered or gone."""
        self._client = client = paho.Client(CallbackAPIVersion.VERSION2, self.client_id)
        if self.user:
            client.username_pw_set(self.user, self.password)
        if authority:
            client.tls_set(str(authority), *(own or ()))
        client.on_connect = lambda *args: self.answers.append(str(args[3]))
        client.on_disconnect = lambda *args: self.losses.append(str(args[3]))
        client.on_subscribe = lambda *args: self.granted.extend(code.value for code in args[3])
        client.on_publish = lambda *args: self.confirmed.add(args[2])
        client.on_message = lambda _client, _data, m: self.heard.append((m.topic, m.payload))
        client.connect("127.0.0.1", port)
        client.loop_start()
        wait_for(lambda: self.answers or self.losses, "an answer")
        return self

    def subscribe(self, topic: str) -> None:
        before = len(self.granted)
        self._client.subscribe(topic, 1)
        wait_for(lambda: len(self.granted) > before, "the subscription")

    def publish(self, topic: str, payload: bytes | str = b"x", *, retain: bool = False) -> None:
        """Publish, and wait until the broker has confirmed it (which it does of what it refuses, too)."""
        mid = self._client.publish(topic, payload, 1, retain).mid
        wait_for(lambda: mid in self.confirmed, "the confirmation")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        if (sock := self._client.socket()) is not None:  # made anew after the broker had ended the one before
            sock.close()
