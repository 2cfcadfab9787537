"""More than the service can take, through a real broker: it sheds by its rule, says so, stays small and recovers."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from daemon.journal import read
from tests.service.programs import wait_for
from tests.service.running import Ear, Running

pytestmark = pytest.mark.service
BEGIN = 1_763_700_000
CELLS, A_SECOND = 2_000, 50  # frames of so many cells, so many in a second of their time
CAP_BYTES = 8_388_608
AHEAD = 2_000  # of the service; what the broker holds of them is far below its own bound


NAMES = json.dumps([f"c{k}" for k in range(CELLS)])


def frame(number: int) -> bytes:
    """A frame whose voltage tells its number, so that a sample taken can be told from one shed."""
    volts = ",".join([f"{3.0 + number / 1e5:.5f}"] * CELLS)
    time = f"{BEGIN + number / A_SECOND:.3f}"
    return f'{{"unix_time_second":{time},"cell":{NAMES},"voltage_volt":[{volts}],"current_ampere":0}}'.encode()


def resident(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def trickle(ear: Ear) -> bool:
    """Send a little, of another pack: only by messages is it seen that we keep up."""
    body = {"unix_time_second": time.time(), "voltage_volt": 2.0, "current_ampere": 0.0, "temperature_celsius": 25.0}
    ear.publish("bms/telemetry/p1/c0", body)
    return True


def test_what_comes_faster_than_it_can_be_taken_is_shed_by_the_rule_and_said(tmp_path, mosquitto_broker):
    settings = {
        "mqtt": {"host": "127.0.0.1", "shed_after_second": 1.0, "unacknowledged_max_byte": CAP_BYTES},
        "publish": {"metrics_second": 0.5, "cell_topics": False, "frame_topics": False, "max_age_second": 3_600.0},
        "sinks": {"sqlite": {"enabled": False}},
    }
    service, ear = Running(tmp_path, mosquitto_broker.port, settings), Ear(mosquitto_broker.port)
    metrics = lambda: (ear.of("bms/status/metrics") or [{}])[-1]  # noqa: E731
    try:
        service.start()
        wait_for(lambda: metrics().get("up_second"), "the service")
        ear.publish("bms/telemetry/p0", frame(0))
        wait_for(lambda: metrics().get("journaled") == CELLS, "the first frame")
        before = resident(service.process.pid, "VmRSS")
        sent, until = 1, time.monotonic() + 60.0
        while not metrics().get("rejected", {}).get("shed") and time.monotonic() < until:
            if sent - metrics()["received"] < AHEAD:
                ear.publish("bms/telemetry/p0", frame(sent), wait=False)
                sent += 1
            else:
                time.sleep(0.01)
        ear.publish("bms/telemetry/p0", frame(sent))
        sent += 1
        wait_for(lambda: metrics().get("offered") == sent * CELLS, "all of it", 60)
        most = resident(service.process.pid, "VmHWM")
        assert metrics()["offered"] == metrics()["journaled"] + sum(metrics()["rejected"].values())
        rejected = metrics()["rejected"]
        assert metrics()["unacknowledged"] == 0
        wait_for(lambda: trickle(ear) and service.says("no longer overloaded"), "the end of the overload")
        assert service.stop() == 0
    finally:
        service.end()
        ear.close()
    assert service.says("overloaded")
    taken = {round((v - 3.0) * 1e5) for block in read(service.state / "journal.sqlite") for v in voltages(block)}
    shed = set(range(sent)) - taken
    assert rejected == {"shed": len(shed) * CELLS}
    newer_of_its_second = {n for n in shed if any(m in taken for m in range(n + 1, (n // A_SECOND + 1) * A_SECOND))}
    assert shed == newer_of_its_second
    print(f"{sent} frames, {len(shed)} shed, {(most - before) / 2**20:.0f} MiB")
    assert most - before < 20 * CAP_BYTES, f"{(most - before) / 2**20:.0f} MiB"


def voltages(block) -> list[float]:
    return [v for v in np.unique(block.batch.voltage_volt).tolist() if v >= 3.0]
