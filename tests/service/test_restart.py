"""`bmsd run` stopped in every way: it goes on where it was, and its books balance."""

from __future__ import annotations

import signal
import socket
import sqlite3
from contextlib import closing

import pytest

from daemon.checkpoint import read_header
from tests.service.programs import wait_for
from tests.service.running import Ear, Running

pytestmark = pytest.mark.service
BEGIN = 1_763_700_000.0


@pytest.fixture
def service(tmp_path, mosquitto_broker):
    running = Running(tmp_path, mosquitto_broker.port, {"checkpoint": {"every_second": 0.2}})
    yield running
    running.end()


def send(ear: Ear, first: int, count: int, volt: float = 3.6) -> None:
    """Send a second's sample after the other; the counting estimator looks at the voltage of the very first alone."""
    for k in range(first, first + count):
        body = {"unix_time_second": BEGIN + k, "voltage_volt": volt, "current_ampere": -10.8, "temperature_celsius": 25}
        ear.publish("bms/telemetry/p0/c0", body)


def soc(service: Running) -> dict[int, float]:
    with closing(sqlite3.connect(service.state / "states.sqlite")) as store:
        return {int(t - BEGIN): soc for t, soc in store.execute("SELECT unix_time_second, soc FROM state")}


def subscribed(service: Running, connections: int) -> None:
    wait_for(lambda: len(service.says("connected")) >= connections, "the connections")


def counted(seconds: int) -> dict[int, float]:
    """What counting 10.8 A from 60 % says, at 90 % of 3 Ah."""
    return {k: pytest.approx(0.6 - (k + 1) * 10.8 / 3600 / 2.7, abs=2e-6) for k in range(seconds)}


@pytest.mark.parametrize(
    ("how", "harm"),
    [
        (signal.SIGTERM, "none"),
        (signal.SIGKILL, "none"),
        (signal.SIGKILL, "newest torn"),
        (signal.SIGKILL, "both torn"),
        (signal.SIGTERM, "both gone"),
    ],
)
def test_it_goes_on_where_it_was(service, ear, how, harm):
    service.start()
    subscribed(service, 2)
    send(ear, 0, 40)
    older, newest = service.state / "fleet.ckpt.older", service.state / "fleet.ckpt"
    wait_for(newest.exists, "a checkpoint")
    send(ear, 40, 1)
    before = read_header(newest).block
    wait_for(lambda: older.exists() and read_header(newest).block > before, "another one")
    send(ear, 41, 19)
    wait_for(lambda: len(soc(service)) == 59, "all states")
    service.stop(how)
    for path in {"none": [], "newest torn": [newest], "both torn": [newest, older], "both gone": [newest, older]}[harm]:
        path.unlink() if harm == "both gone" else path.write_bytes(path.read_bytes()[:5_000])
    service.start()
    subscribed(service, 4)
    send(ear, 60, 20, volt=3.9)
    wait_for(lambda: len(soc(service)) == 79, "all states after the restart")
    assert soc(service) == counted(79)
    assert len(list(service.state.glob("fleet.ckpt*.damaged-*"))) == {"newest torn": 1, "both torn": 2}.get(harm, 0)
    assert len(service.says("restored")) == (harm in {"none", "newest torn"})


def test_the_books_balance_at_any_moment_and_after_a_kill(service, ear):
    def told() -> dict:
        return (ear.of("bms/status/metrics") or [{}])[-1]

    def balances(metrics: dict) -> bool:
        out = ("waiting", "delivered", "dropped", "refused")
        return metrics["offered"] == metrics["journaled"] + sum(metrics["rejected"].values()) and all(
            metrics["carried"][sink] + metrics["published"] == sum(metrics[name][sink] for name in out)
            for sink in metrics["carried"]
        )

    service.settings |= {"publish": {"soc_dead_band": 0.0, "metrics_second": 0.5}}
    service.start()
    subscribed(service, 2)
    for k in range(3):
        send(ear, 100 * k, 100)
        ear.publish("bms/telemetry/p0/c0", b"{")
        frame = {"unix_time_second": BEGIN, "cell": [f"c{k}" for k in range(5)], "voltage_volt": [3.6] * 4 + [11.0]}
        ear.publish("bms/telemetry/p0", {**frame, "current_ampere": 0.0})
    wait_for(lambda: told().get("offered") == 318, "every sample in the metrics")
    assert told()["rejected"] == {"not-json": 3, "voltage-range": 3}
    service.stop(signal.SIGKILL)
    heard = len(ear.of("bms/status/metrics"))
    service.start()
    subscribed(service, 4)
    send(ear, 300, 50)
    wait_for(lambda: told().get("offered", 0) in range(50, 318) and told()["published"] >= 50, "the next metrics")
    assert len(ear.of("bms/status/metrics")) > heard
    assert all(balances(metrics) for metrics in ear.of("bms/status/metrics"))


def test_a_dead_database_slows_nothing_and_what_waits_for_it_is_counted(service, ear):
    with closing(socket.create_server(("127.0.0.1", 0))) as half_open:  # it accepts, and never answers
        url = f"http://127.0.0.1:{half_open.getsockname()[1]}"
        service.settings |= {"sinks": {"influx": {"enabled": True, "url": url, "timeout_second": 60.0}}}
        service.start()
        subscribed(service, 2)
        send(ear, 0, 300)
        wait_for(lambda: len(soc(service)) == 299, "the other sink")
        wait_for(lambda: len(ear.of("bms/state/p0/c0")) >= 299, "the broker")
        metrics = lambda: (ear.of("bms/status/metrics") or [{}])[-1]  # noqa: E731
        wait_for(lambda: metrics().get("waiting", {}).get("influx", 0) >= 299, "the count of what waits")
        assert metrics()["unacknowledged"] == 0
        assert metrics()["delivered"]["influx"] == 0
    assert service.stop() == 0


def test_a_journal_that_is_damaged_behind_the_checkpoint_is_said_and_the_service_goes_on(service, ear):
    service.settings |= {"checkpoint": {"every_second": 86_400.0}}
    service.start()
    subscribed(service, 2)
    for k in range(8):
        send(ear, 50 * k, 50)
        wait_for(lambda n=50 * k + 49: len(soc(service)) == n, "all states")
    service.stop(signal.SIGKILL)
    journal = service.state / "journal.sqlite"
    with closing(sqlite3.connect(journal)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    with journal.open("r+b") as file:
        file.seek(journal.stat().st_size // 2)
        file.write(b"\xff" * 8_192)
    service.start()
    subscribed(service, 4)
    send(ear, 400, 20)
    wait_for(lambda: len(soc(service)) >= 399 + 19, "states after the restart")
    assert service.says("damaged")
    assert service.stop() == 0
