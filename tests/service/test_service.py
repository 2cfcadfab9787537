"""`bmsd run` as a process of its own, between a real broker and its sinks."""

from __future__ import annotations

import random
import resource
import signal
import socket
import sqlite3
import time
from contextlib import closing

import pytest

from daemon.config import Journal as Rule
from daemon.journal import Journal
from tests.service.programs import wait_for
from tests.service.running import Ear, Running

pytestmark = pytest.mark.service


def sample(second: float, volt: float = 3.6, **more: float) -> dict:
    return {
        "unix_time_second": second,
        "voltage_volt": volt,
        "current_ampere": -1.0,
        "temperature_celsius": 25.0,
        **more,
    }


def journaled(service: Running) -> set[float]:
    """Times of all samples in the journal, read beside the service."""
    with closing(Journal(service.state, Rule())) as journal:
        return {t for _, _, batch in journal.read() for t in batch.unix_time_second.tolist()}


def stored(service: Running) -> set[float]:
    """Times of all states in the embedded store."""
    with closing(sqlite3.connect(service.state / "states.sqlite")) as store:
        return {t for (t,) in store.execute("SELECT unix_time_second FROM state")}


def online(ear: Ear) -> None:
    wait_for(lambda: ear.last("bms/status") == b"online", "the service to be online")


def test_telemetry_becomes_states_on_every_sink_and_sigterm_ends_it_cleanly(service, ear):
    service.start()
    online(ear)
    begin = int(time.time())
    for k in range(5):
        ear.publish("bms/telemetry/p0/c0", sample(begin + k))
    for k in range(2):
        frame = {"unix_time_second": begin + k, "cell": ["c1"], "voltage_volt": [3.5], "current_ampere": 0.0}
        ear.publish("bms/telemetry/p0", frame)
    wait_for(lambda: len(ear.of("bms/state/p0/c0")) >= 4 and ear.of("bms/state/p0/c1"), "states")
    state = ear.of("bms/state/p0/c0")[-1]
    assert state["unix_time_second"] == begin + 3
    assert state["soc"] == pytest.approx(0.6, abs=0.01)
    assert state["schema"] == 1
    assert state["estimator"] == "coulomb"
    assert "historical" not in state
    wait_for(lambda: any(p["cells"] == 2 for p in ear.of("bms/state/p0")), "the pack's summary")
    wait_for(lambda: any(f["cell"] == ["c0", "c1"] for f in ear.of("bms/state/p0/cells")), "the pack's frame")
    began = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - began < 10.0
    wait_for(lambda: ear.last("bms/status") == b"offline", "the goodbye")
    with closing(sqlite3.connect(service.state / "states.sqlite")) as store:
        stored = store.execute("SELECT unix_time_second FROM state WHERE cell = 'c0' ORDER BY 1").fetchall()
    assert stored == [(begin + k,) for k in range(4)]


def test_metrics_balance_and_show_the_last_message_of_each_kind_that_was_refused(service, ear):
    service.start()
    online(ear)
    ear.publish("bms/telemetry/p0/c0", sample(1_763_700_000.0))
    ear.publish("bms/telemetry/p0/c0", sample(1_763_700_001.0, volt=11.0))
    ear.publish("bms/telemetry/p0/c0", b"{")
    ear.publish("bms/telemetry/stranger/c0", sample(1_763_700_000.0))

    def told() -> dict:
        return (ear.of("bms/status/metrics") or [{}])[-1]

    wait_for(lambda: told().get("received") == 4, "four messages in the metrics")
    metrics = told()
    assert metrics["rejected"] == {"voltage-range": 1, "not-json": 1, "unknown-cell": 1}
    assert metrics["received"] == metrics["journaled"] + sum(metrics["rejected"].values())
    assert metrics["last_rejected"]["not-json"]["payload"] == "{"
    assert metrics["cells"] == 1
    assert metrics["schema"] == 1


def test_what_was_sent_before_a_kill_is_in_the_journal_after_the_next_start(service, ear):
    service.start()
    online(ear)
    sent = set()
    for k in range(600):
        ear.publish(f"bms/telemetry/p0/c{k % 7}", sample(1_763_700_000.0 + k))
        sent.add(1_763_700_000.0 + k)
        if k == 300:
            service.stop(signal.SIGKILL)
    service.start()
    wait_for(lambda: journaled(service) == sent, "every sample in the journal")
    assert service.stop() == 0


def test_a_disk_that_is_full_for_a_while_loses_no_sample(service, ear):
    service.settings = {"publish": {"max_age_second": 1.0}}  # every second is said, also at rest or when empty
    service.start()
    online(ear)
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    noise = random.Random(3)
    for k in range(4_000):
        ear.publish("bms/telemetry/p0/c0", sample(1_763_700_000.0 + k, noise.uniform(3.0, 4.0)), wait=k % 500 == 0)
    wait_for(lambda: service.says("journal") or service.says("outbox"), "the word of it")
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    sent = {1_763_700_000.0 + k for k in range(4_000)}
    wait_for(lambda: journaled(service) == sent, "every sample in the journal", 60.0)
    wait_for(lambda: stored(service) == sent - {max(sent)}, "every state in the store", 60.0)
    assert service.stop() == 0


def test_the_will_is_spoken_when_the_service_dies(service, ear):
    service.start()
    online(ear)
    service.stop(signal.SIGKILL)
    wait_for(lambda: ear.last("bms/status") == b"offline", "the last will")


def test_a_broker_that_is_absent_at_start_is_waited_for(tmp_path, absent_broker):
    service = Running(tmp_path, absent_broker.port)
    service.start()
    try:
        wait_for(lambda: (tmp_path / "stdout").read_text().count("unreachable") >= 2, "both connections to be tried")
        absent_broker.start()
        ear = Ear(absent_broker.port)
        online(ear)
        ear.close()
        assert service.stop() == 0
    finally:
        service.end()


def test_after_a_restart_of_the_broker_telemetry_flows_and_states_are_retained_again(service, ear, mosquitto_broker):
    service.start()
    online(ear)
    ear.publish("bms/telemetry/p0/c0", sample(1_763_700_000.0))
    ear.publish("bms/telemetry/p0/c0", sample(1_763_700_001.0))
    wait_for(lambda: ear.of("bms/state/p0/c0"), "a state")
    ear.close()
    mosquitto_broker.stop(signal.SIGKILL)
    (mosquitto_broker.folder / "mosquitto.db").unlink(missing_ok=True)
    mosquitto_broker.start()
    again = Ear(mosquitto_broker.port)
    wait_for(lambda: again.of("bms/state/p0/c0"), "the retained state")
    wait_for(lambda: len(service.says("connected")) == 4, "both connections again")
    again.publish("bms/telemetry/p0/c0", sample(1_763_700_002.0))
    wait_for(lambda: any(s["unix_time_second"] == 1_763_700_001.0 for s in again.of("bms/state/p0/c0")), "a new state")
    again.close()
    assert service.says("lost")[0]["reason"]


def test_a_cell_that_falls_silent_is_said_to_be_stale(service, ear):
    service.settings = {"grid": {"max_hold_second": 1.0}}
    service.start()
    online(ear)
    now = time.time()
    ear.publish("bms/telemetry/p0/c0", sample(now))
    ear.publish("bms/telemetry/p0/c0", sample(now + 1))
    wait_for(lambda: ear.of("bms/state/p0/c0") and "stale" in ear.of("bms/state/p0/c0")[-1]["flags"], "staleness")
    ear.publish("bms/telemetry/p0/c0", sample(now + 1.5))
    ear.publish("bms/telemetry/p0/c0", sample(now + 2))
    wait_for(lambda: "stale" not in ear.of("bms/state/p0/c0")[-1]["flags"], "life")


def test_systemd_is_told_ready_alive_and_stopping(service, ear, tmp_path):
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        service.start({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert systemd.recv(100) == b"READY=1"
        assert (service.state / "journal.sqlite").exists()
        assert [systemd.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        assert service.stop() == 0
        words = [b""]
        while words[-1] != b"STOPPING=1":
            words.append(systemd.recv(100))


def test_sighup_takes_what_can_be_taken_and_names_the_rest(service, ear):
    service.start()
    online(ear)
    service.configure(publish={"soc_dead_band": 0.5}, mqtt={"keepalive_second": 60}, service={"log_level": "debug"})
    service.process.send_signal(signal.SIGHUP)
    wait_for(lambda: service.says("reloaded"), "the reload")
    line = service.says("reloaded")[0]
    assert line["needs_restart"] == "mqtt"
    (service.folder / "config.yaml").write_text("mqtt: {prot: 1}")
    service.process.send_signal(signal.SIGHUP)
    wait_for(lambda: service.says("reload refused"), "the refusal")
    assert "did you mean `port`" in service.says("reload refused")[0]["why"]
    assert service.stop() == 0


def test_a_second_service_on_the_same_state_directory_is_refused(service, ear, tmp_path):
    service.start()
    online(ear)
    (tmp_path / "other").mkdir()
    other = Running(tmp_path / "other", service.port, {"service": {"state_directory": str(service.state)}})
    other.start()
    assert other.process.wait(30) == 1
    assert "another bmsd runs on this state directory" in (tmp_path / "other" / "stdout").read_text()
