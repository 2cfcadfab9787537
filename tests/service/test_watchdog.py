"""The watchdog, driven as systemd drives it: a service that sticks is ended and begun anew, its state intact."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import closing

import numpy as np
import pytest
import yaml

from daemon import models
from daemon.batch import Batch
from daemon.config import Config
from daemon.fleet import Fleet
from daemon.models import Model
from daemon.publish import Publisher
from tests.daemon.counting import Counting
from tests.service.programs import wait_for
from tests.service.running import Ear, Running
from tests.service.sticking_service import STICKS_ABOVE_VOLT
from tests.service.test_restart import BEGIN, send, soc, subscribed

pytestmark = pytest.mark.service
PERIOD_SECOND = 3.0  # three beats; WatchdogSec=30 in deploy/systemd/bmsd.service
ABORT_SECOND = 0.5  # from SIGABRT to SIGKILL
SECONDS = 120


class Systemd:
    """As much of systemd as matters here: Type=notify, WatchdogSec=, Restart=on-failure."""

    def __init__(self, service: Running, path: str) -> None:
        self.ended: list[float] = []  # when a service that had stuck was dead, and begun anew
        self._service, self._path = service, path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)

    def close(self) -> None:
        self._socket.close()

    def start(self) -> None:
        self._socket.settimeout(60.0)
        watched = {"NOTIFY_SOCKET": self._path, "WATCHDOG_USEC": str(int(PERIOD_SECOND * 1e6))}
        self._service.start({**watched, "STICK_FILE": str(self._service.folder / "stick")})
        while self._socket.recv(100) != b"READY=1":
            pass

    def watch(self) -> None:
        """Return when the service stuck, was ended and is there again."""
        process = self._service.process
        self._socket.settimeout(PERIOD_SECOND)
        until = time.monotonic() + 5.0 * PERIOD_SECOND
        try:
            while self._socket.recv(100):
                assert time.monotonic() < until, "it says that it is alive"
        except TimeoutError:
            process.send_signal(signal.SIGABRT)
        try:
            process.wait(ABORT_SECOND)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.ended.append(time.monotonic())
        self.start()


@pytest.fixture
def service(tmp_path, mosquitto_broker):
    program = ("-m", "tests.service.sticking_service")
    running = Running(tmp_path, mosquitto_broker.port, {"checkpoint": {"every_second": 0.5}}, program)
    yield running
    running.end()


def undisturbed(service: Running) -> dict[int, float]:
    """The SOC of each second, of a fleet that took all of them in one go."""
    config = Config.model_validate(yaml.safe_load((service.folder / "config.yaml").read_text()))
    fleet, one = Fleet(config), np.ones(SECONDS)
    batch = Batch(("p0/c0",), np.zeros(SECONDS, np.int32), BEGIN + np.arange(SECONDS), 3.6 * one, -10.8 * one, 25 * one)
    states = Publisher(config).take(fleet.push(batch), fleet.names, fleet.labels, 0.0).states
    return {int(state.unix_time_second - BEGIN): state.soc for _, state in states}


@pytest.mark.parametrize("stuck", ["the tick", "the process"])
def test_one_that_sticks_is_begun_anew_in_time_and_goes_on_where_it_was(
    service, tmp_path, mosquitto_broker, stuck, monkeypatch
):
    monkeypatch.setitem(models.MODELS, "coulomb", Model(Counting))
    ear = Ear(mosquitto_broker.port)
    with closing(Systemd(service, str(tmp_path / "notify"))) as systemd:
        try:
            (tmp_path / "stick").touch()
            systemd.start()
            subscribed(service, 2)
            send(ear, 0, 60)
            wait_for(lambda: len(soc(service)) == 59, "states")
            wait_for((service.state / "fleet.ckpt").exists, "a checkpoint")
            sticks = time.monotonic()
            if stuck == "the process":
                (tmp_path / "stick").unlink()
                os.kill(service.process.pid, signal.SIGSTOP)
            send(ear, 60, 1, volt=STICKS_ABOVE_VOLT + 0.01)
            send(ear, 61, 11)
            wait_for(lambda: not (tmp_path / "stick").exists(), "the tick to stick")
            systemd.watch()
            assert systemd.ended[0] - sticks < 2.0 * PERIOD_SECOND
            send(ear, 72, SECONDS - 72)
            wait_for(lambda: len(soc(service)) == SECONDS - 1, "all states")
            assert soc(service) == undisturbed(service)
            assert len(service.says("restored")) == 1
            assert service.stop() == 0
        finally:
            service.end()
            ear.close()
