"""Samples without end, and who sends them: the same ones again for the same seed."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from simulators.fleet import Fleet
from simulators.schedule import Profile
from tests.service.programs import wait_for

CELLS = tuple(f"{pack}/c{k}" for pack in ("model0", "model1", "count0") for k in range(3))
BEGIN_SECOND = 1_763_700_000
PHASE_SECOND = 90
DRIVEN_SECOND = 5_900  # before the first sample: it is then soon that cells rest, and are charged to full after it
ON_THE_WAY_MAX = 20  # as many as paho has in flight: none waits in its queue


class Stream:
    """Sample number k is the (k // cells)-th of cell k % cells; drawn as far as it is wanted, always the same.

    Here any voltage follows any other, rests, charges and discharges in turn.
    """

    every_second = 1
    rate = 300.0  # samples a second of ours

    def __init__(self, seed: int) -> None:
        self._noise = np.random.default_rng(seed)
        self._values = np.empty((0, 3))

    def sample(self, number: int) -> tuple[str, float, float, float, float]:
        while number >= len(self._values):
            self._values = np.concatenate([self._values, self._draw(1_024)])
        volt, ampere, celsius = self._values[number].tolist()
        second = number // len(CELLS) * self.every_second
        return CELLS[number % len(CELLS)], BEGIN_SECOND + second + 0.25, volt, ampere, celsius

    def _draw(self, times: int) -> np.ndarray:
        """Draw so many more samples of each cell: volt, ampere, degrees, [time x cell, 3]."""
        ranges = ((3.3, 4.1), (0.5, 3.0), (15.0, 35.0))
        drawn = np.stack([np.round(self._noise.uniform(*r, times * len(CELLS)), 4) for r in ranges], axis=1)
        second = np.arange(len(self._values), len(self._values) + len(drawn)) // len(CELLS)
        drawn[:, 1] *= np.array([0.0, 1.0, 0.0, -1.0])[second // PHASE_SECOND % 4]
        return drawn


class Cycling(Stream):
    """Simulated cells that are charged to full, rest and are driven, so that health checks have something to say."""

    every_second = 5
    rate = 90.0  # less: each stands for so many seconds

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        drive = {
            "depth_of_discharge": (0.5,),
            "intensity": (1.2, 1.2),
            "charge_c_rate": (1.0, 1.0),
            "taper_c_rate": 0.06,
        }
        profile, full = Profile(**drive, rest_second=(600.0, 1_200.0)), np.linspace(0.96, 1.0, len(CELLS))
        self._fleet = Fleet(
            cells=len(CELLS), seed=seed, nominal_capacity_ah=2.9, profile=profile, initial_soc=full, initial_soh=0.93
        )
        for _ in range(DRIVEN_SECOND):
            self._fleet.advance()

    def _draw(self, times: int) -> np.ndarray:
        drawn = []
        for _ in range(times):
            seen, *_ = [self._fleet.advance() for _ in range(self.every_second)]
            drawn.append(np.stack([seen.voltage_volt, seen.current_ampere, seen.temperature_celsius], axis=1))
        return np.round(np.concatenate(drawn), 4)


class Sender(threading.Thread):
    """Publishes sample after sample, as fast as it is asked to, until told to stop.

    Always in order: after a lost connection paho sends what was on its way again, and would send new ones before it.
    """

    def __init__(self, port: int, stream: Stream) -> None:
        super().__init__(name="sender")
        self.sent = self._settled = 0
        self._stream, self._enough = stream, threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "sender", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._in_order = True
        self._client.on_publish = lambda *_: self._settle()
        self._client.on_disconnect = lambda *_: self._lost()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def run(self) -> None:
        began = time.monotonic()
        while not self._enough.is_set():
            self._in_order |= self._settled == self.sent
            due = min(int((time.monotonic() - began) * self._stream.rate), self._settled + ON_THE_WAY_MAX)
            while self._in_order and self.sent < due:
                cell, second, volt, ampere, celsius = self._stream.sample(self.sent)
                body = {"unix_time_second": second, "voltage_volt": volt, "current_ampere": ampere}
                if celsius > 20.0:  # else the pack's latest is taken
                    body["temperature_celsius"] = celsius
                self._client.publish(f"bms/telemetry/{cell}", json.dumps(body), 1)
                self.sent += 1
            self._enough.wait(0.01)

    def end(self) -> int:
        """Stop; returns how many samples the broker has acknowledged: all."""
        self._enough.set()
        self.join()
        wait_for(lambda: self._settled == self.sent, "the broker to take what was sent", 60.0)
        self._client.disconnect()
        self._client.loop_stop()
        return self.sent

    def give_up(self) -> None:
        """Send no more, whatever is on its way."""
        self._enough.set()

    def _settle(self) -> None:
        self._settled += 1

    def _lost(self) -> None:
        self._in_order = False
