"""A `bmsd run` of a test's own, and a client that hears and says things on its broker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
import pytest
import yaml
from paho.mqtt.enums import CallbackAPIVersion

from tests.daemon.counting import write_cell_type
from tests.service.programs import wait_for

ROOT = Path(__file__).parents[2]


@dataclass
class Running:
    """The service as a process: started, told to stop or killed, started again on the same state."""

    folder: Path
    port: int
    settings: dict = field(default_factory=dict)
    program: tuple[str, ...] = ("-m", "tests.service.counted_service")
    process: subprocess.Popen | None = None

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def configure(self, **settings: dict) -> Path:
        config = {
            "mqtt": {"host": "127.0.0.1", "port": self.port, "group_second": 0.02},
            "cells": {"packs": [{"pattern": "p*", "cell_type": write_cell_type(self.folder / "counted")}]},
            "publish": {"soc_dead_band": 0.0, "metrics_second": 0.5, "pack_second": 0.2},
            "sinks": {"outbox": {"flush_second": 0.1}},
            "http": {"listen": "127.0.0.1:0"},
            "service": {"state_directory": str(self.state)},
        }
        for section, values in settings.items():
            config.setdefault(section, {}).update(values)
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    def start(self, environ: dict[str, str] | None = None) -> None:
        path = self.configure(**self.settings)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("BMSD_")}
        command = [sys.executable, *self.program, "run", "--config", str(path)]
        env = {**clean, "OMP_NUM_THREADS": "1", **(environ or {})}
        with (self.folder / "stdout").open("ab") as out:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env=env)

    def lines(self) -> list[dict]:
        """What the service said, one JSON object a line; other lines fail the test that looks."""
        return [json.loads(line) for line in (self.folder / "stdout").read_text().splitlines()]

    def says(self, event: str) -> list[dict]:
        return [line for line in self.lines() if line["event"] == event]

    def stop(self, how: signal.Signals = signal.SIGTERM, timeout_second: float = 15.0) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        status = self.process.wait(timeout_second)
        self.process = None
        return status

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class Ear:
    """Hears everything under bms/, or less of it, and publishes."""

    def __init__(self, port: int, topics: str = "bms/#") -> None:
        self.heard: list[tuple[str, bytes, bool]] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "ear")
        self._client.on_connect = lambda client, *_: client.subscribe(topics, qos=1)
        self._client.on_message = lambda _c, _d, m: self.heard.append((m.topic, m.payload, m.retain))
        ready = []
        self._client.on_subscribe = lambda *_: ready.append(True)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        wait_for(lambda: ready, "the subscription")

    def publish(self, topic: str, body: object, wait: bool = True) -> None:
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        published = self._client.publish(topic, payload, 1)
        if wait:
            published.wait_for_publish(20)

    def of(self, topic: str) -> list[dict]:
        return [json.loads(payload) for t, payload, _ in list(self.heard) if t == topic]

    def last(self, topic: str) -> bytes | None:
        return next((payload for t, payload, _ in reversed(list(self.heard)) if t == topic), None)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def service(tmp_path, mosquitto_broker):
    """A service with the usual settings, not started yet."""
    running = Running(tmp_path, mosquitto_broker.port)
    yield running
    running.end()


@pytest.fixture
def ear(mosquitto_broker):
    """A client that hears what is published."""
    ear = Ear(mosquitto_broker.port)
    yield ear
    ear.close()
