"""A real mosquitto with the broker lines that durability needs (those of deploy/mosquitto/bmsd.conf)."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from tests.service.programs import Program, free_port, needs

DURABLE = Path(__file__).parents[2] / "deploy" / "mosquitto" / "bmsd.conf"


def make_mosquitto(folder: Path, *lines: str) -> Program:
    """Prepare a broker of its own folder; it is not started yet."""
    program, port = needs("mosquitto", "mosquitto"), free_port()
    settings = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        f"user {getpass.getuser()}",
        f"persistence_location {folder}/",
        *(line for line in DURABLE.read_text().splitlines() if line and not line.startswith(("#", "listener"))),
        *lines,
    ]
    (folder / "mosquitto.conf").write_text("\n".join(settings) + "\n")
    return Program([program, "-c", str(folder / "mosquitto.conf")], port, folder)


@pytest.fixture
def mosquitto_broker(tmp_path):
    """A running broker."""
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = make_mosquitto(folder)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def absent_broker(tmp_path):
    """A broker that is not running yet."""
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = make_mosquitto(folder)
    yield broker
    broker.stop()
