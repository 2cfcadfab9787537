"""Nobody in: brokers as deploy/mosquitto sets them up, unauthorised clients, and what a service leaves on its disk.

docs/security.md names these tests as its proofs.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import ssl
import stat
import subprocess
import sys
import time

import pytest

from daemon import doctor
from daemon.config import Config
from tests.service.programs import wait_for
from tests.service.running import ROOT, Ear, Running
from tests.service.secured import PASSWORDS, Client, certificate, certify, make_secured

pytestmark = pytest.mark.service
SECRET = PASSWORDS["bmsd"]


@pytest.fixture
def secured(tmp_path):
    folder = tmp_path / "broker"
    folder.mkdir()
    secured = make_secured(folder)
    secured.program.start()
    yield secured
    secured.program.stop()


@pytest.fixture
def visit(secured):
    """Connect by a certificate (a pack) or by a password (everyone else)."""
    clients = []

    def pack(name, client_id=""):
        certify(secured.folder, "pack", name)
        trusted = secured.folder / "bmsd" / "authority.crt"
        clients.append(Client(client_id or name))
        return clients[-1].connect(secured.packs_port, trusted, certificate(secured.folder, name))

    def person(user, password, client_id=""):
        clients.append(Client(client_id or user or "nobody", user, password))
        return clients[-1].connect(secured.program.port)

    yield lambda name, password="", **more: person(name, password, **more) if password else pack(name, **more)
    for client in clients:
        client.close()
    clients.clear()
    gc.collect()


def known(visit, user: str, **more) -> Client:
    return visit(user, PASSWORDS[user], **more)


def test_a_pack_writes_its_own_telemetry_and_nothing_else(secured, visit):
    service = known(visit, "bmsd")
    service.subscribe("bms/#")
    pack = visit("p0")
    stranger = [
        "telemetry/p1",
        "telemetry/p1/c0",
        "telemetry/p0/c0/x",
        "state/p0/c0",
        "status",
        "doctor/1",
        "event/p0/c",
    ]
    for topic in [*stranger, "telemetry/p0", "telemetry/p0/c0"]:
        pack.publish(f"bms/{topic}")
    wait_for(lambda: len(service.heard) == 2, "what it may write")
    assert [topic for topic, _ in service.heard] == ["bms/telemetry/p0", "bms/telemetry/p0/c0"]
    for topic in stranger:
        secured.logs(f"Denied PUBLISH from p0 (d0, q1, r0, m{1 + stranger.index(topic)}, 'bms/{topic}'")


def test_who_may_not_read_hears_nothing_however_it_subscribes(secured, visit):
    service, viewer, pack, other = known(visit, "bmsd"), known(visit, "viewer"), visit("p0"), visit("p1")
    topics = ("#", "bms/#", "bms/telemetry/#", "bms/telemetry/p1/c0", "$SYS/#")
    for client in (viewer, pack):
        for topic in topics:
            client.subscribe(topic)
    other.publish("bms/telemetry/p1/c0", "secret of p1")
    service.publish("bms/state/p1/c0", "a state", retain=True)
    forger = known(visit, "viewer", client_id="forger")  # the broker ends a connection that does so
    for topic in ("bms/state/p1/c0", "bms/telemetry/viewer/c0", "bms/status"):
        forger.publish(topic, "forged", retain=True)
    service.publish("bms/status", "online", retain=True)
    wait_for(lambda: ("bms/status", b"online") in viewer.heard, "what it may read")
    assert set(viewer.heard) == {("bms/state/p1/c0", b"a state"), ("bms/status", b"online")}
    assert pack.heard == []
    for who, topic in itertools.product(("viewer", "p0"), topics):
        secured.logs(f": {who} 1 {topic}\n")  # who subscribed to what
    assert secured.log().count("Denied PUBLISH from forger") == 3


def test_as_shipped_the_broker_has_a_line_for_each_attempt(secured, visit):
    conf = secured.folder / "mosquitto.conf"
    conf.write_text(conf.read_text().replace("\nlog_type debug", ""))
    secured.program.stop()
    secured.program.start()
    known(visit, "viewer").subscribe("bms/telemetry/#")
    secured.logs(": viewer 1 bms/telemetry/#\n")
    for name in ("p0", "p1"):
        visit(name).publish("bms/state/p0/c0")
        secured.logs(f"Bad socket read/write on client {name}")
    visit("bmsd", "wrong")
    secured.logs("disconnected, not authorised.")
    assert "Denied PUBLISH" not in secured.log()  # that, with the topic, is for `log_type debug`


@pytest.mark.parametrize(("user", "password"), [(None, "x"), ("bmsd", "wrong"), ("nobody", "x"), ("p0", "x")])
def test_who_has_no_password_is_refused(secured, visit, user, password):
    client = visit(user, password)
    assert client.answers == ["Not authorized"]
    secured.logs("disconnected, not authorised.")


def refused(client: Client, *how) -> bool:
    try:
        return "Success" not in client.connect(*how).answers
    except (ssl.SSLError, ConnectionResetError):
        return True
    finally:
        client.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves such a socket
def test_who_has_no_certificate_of_our_authority_is_refused(secured):
    certify(secured.folder, "pack", "p0", "another")
    port, trusted = secured.packs_port, secured.folder / "bmsd" / "authority.crt"
    assert refused(Client("p0"), port, trusted, certificate(secured.folder, "p0", "another"))
    secured.logs("certificate verify failed")
    assert refused(Client("p0"), port, trusted)
    secured.logs("peer did not return a certificate")
    assert refused(Client("p0", "bmsd", SECRET), port, trusted)
    gc.collect()


def test_a_pack_that_calls_itself_bmsd_does_not_take_the_services_session(secured, visit):
    service = known(visit, "bmsd")
    service.subscribe("bms/telemetry/#")
    thief = visit("p0", client_id="bmsd")
    thief.subscribe("bms/#")
    thief.publish("bms/telemetry/p0/c0")
    wait_for(lambda: service.heard, "the service to hear on")
    assert service.losses == []
    assert thief.heard == []


def test_a_message_longer_than_the_bound_stays_at_the_broker(secured, visit):
    service, pack = known(visit, "bmsd"), visit("p0")
    service.subscribe("bms/#")
    pack.publish("bms/telemetry/p0/c0", b"x" * 300_000)
    pack.publish("bms/telemetry/p0/c1")
    wait_for(lambda: service.heard, "the next message")
    assert [topic for topic, _ in service.heard] == ["bms/telemetry/p0/c1"]


@pytest.mark.parametrize("name", ["#", "+", "a/b", "", "../x", "a b", "a\nb"])
def test_a_name_that_means_more_than_a_name_is_not_certified(tmp_path, name):
    with pytest.raises(subprocess.CalledProcessError):
        certify(tmp_path, "pack", name)
    assert not list(tmp_path.rglob("*.crt"))


def sample(second: float) -> str:
    body = {"unix_time_second": second, "voltage_volt": 3.6, "current_ampere": -1.0, "temperature_celsius": 25.0}
    return json.dumps(body)


@pytest.fixture
def service(tmp_path, secured):
    running = Running(tmp_path, secured.program.port)
    yield running
    running.end()


def test_the_doctor_has_the_rights_that_it_needs(secured):
    mqtt = {"host": "127.0.0.1", "port": secured.program.port, "username": "bmsd", "password": SECRET}
    there, sessions = doctor.CHECKS["broker"](Config.model_validate({"mqtt": mqtt}))
    assert (there.level, sessions.level) == ("ok", "ok")
    assert "mosquitto version" in there.what


def states(visit, service: Running) -> None:
    """Send as a pack, and see that the service says states."""
    viewer, pack, begin = known(visit, "viewer"), visit("p0"), int(time.time())
    viewer.subscribe("bms/state/p0/c0")
    wait_for(lambda: len(service.says("connected")) >= 2, "both connections of the service")
    for k in range(5):
        pack.publish("bms/telemetry/p0/c0", sample(begin + k))
    wait_for(lambda: viewer.heard, "a state")


def test_the_service_works_with_the_rights_that_it_has_and_tells_no_secret(secured, service, visit, tmp_path):
    (tmp_path / "mqtt_password").write_text(SECRET + "\n")
    service.settings = {
        "mqtt": {"host": "127.0.0.1", "username": "bmsd"},
        "service": {"state_directory": str(service.state), "log_level": "debug"},
    }
    service.start({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    states(visit, service)
    assert service.stop() == 0
    service.start({"CREDENTIALS_DIRECTORY": "", "BMSD_MQTT__PASSWORD": SECRET + "s"})
    wait_for(lambda: service.says("unreachable"), "the refusal")
    service.stop()
    assert service.says("unreachable")[0]["reason"] == "refused: Not authorized"
    shown = subprocess.run(
        [sys.executable, "-m", "daemon.cli", "config", str(tmp_path / "config.yaml")],
        env={**os.environ, "BMSD_MQTT__PASSWORD": SECRET},
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "***" in shown.stdout
    for place in [tmp_path / "stdout", *(p for p in service.state.rglob("*") if p.is_file())]:
        assert SECRET.encode() not in place.read_bytes(), place
    assert SECRET not in shown.stdout + shown.stderr + secured.log()


def test_the_service_comes_by_certificate_from_another_machine(tmp_path):
    certify(tmp_path, "pack", "bmsd", "services")
    folder = tmp_path / "broker"
    folder.mkdir()
    secured = make_secured(folder)
    conf = (folder / "mosquitto.conf").read_text()
    listener = conf[conf.index(f"listener {secured.packs_port}") :].replace("use_username_as_clientid true", "")
    port = secured.program.port
    listener = listener.replace(f"cafile {folder}/bmsd", f"cafile {tmp_path}/services")
    services_port = secured.packs_port + 1
    listener = listener.replace(f"listener {secured.packs_port}", f"listener {services_port}")
    (folder / "mosquitto.conf").write_text(f"{conf}\n{listener}\n")
    secured.program.start()
    own = dict(zip(("certificate_file", "key_file"), certificate(tmp_path, "bmsd", "services"), strict=True))
    tls = {"enabled": True, "ca_file": str(folder / "bmsd" / "authority.crt"), **own}
    service = Running(tmp_path, services_port, {"mqtt": {"host": "127.0.0.1", "tls": tls}})
    viewer = Client("viewer", "viewer", PASSWORDS["viewer"]).connect(port)
    try:
        viewer.subscribe("bms/status")
        service.start()
        wait_for(lambda: viewer.heard == [("bms/status", b"online")], "the service")
        wait_for(lambda: len(service.says("connected")) == 2, "both connections")
        assert service.stop() == 0
    finally:
        service.end()
        viewer.close()
        secured.program.stop()


def test_what_the_service_writes_is_for_its_user_alone(service, secured, visit):
    service.settings = {"mqtt": {"host": "127.0.0.1", "username": "bmsd"}, "checkpoint": {"every_second": 0.2}}
    service.start({"BMSD_MQTT__PASSWORD": SECRET})
    states(visit, service)
    wait_for((service.state / "fleet.ckpt").exists, "a checkpoint")
    service.stop()
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in [service.state, *service.state.rglob("*")]}
    assert {"journal.sqlite", "outbox.sqlite", "states.sqlite", "fleet.ckpt", "lock"} <= set(modes)
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}


HOSTILE = [
    b"",
    b"\x00",
    b"\xff\xfe{}",
    b"[" * 100_000,
    b'{"voltage_volt":3.6,"x":' + b'{"a":' * 20_000,
    b'{"cell":["a"],"voltage_volt":[' + b"[" * 50_000,
    b'{"cycle_count":' + b"9" * 200_000 + b"}",
    b'{"voltage_volt":1e999999,"current_ampere":0}',
    b'{"cell":["' + b"!" * 100_000 + b'"],"voltage_volt":[3.6],"current_ampere":0}',
    b'{"cell":["__proto__","../../etc"],"voltage_volt":[3.6,3.6],"current_ampere":0}',
    b"x" * 1_000_000,
]


def test_hostile_messages_are_counted_and_the_next_good_one_is_taken(tmp_path, mosquitto_broker):
    service, ear = Running(tmp_path, mosquitto_broker.port), Ear(mosquitto_broker.port)
    try:
        service.start()
        wait_for(lambda: ear.last("bms/status") == b"online", "the service")
        begin = int(time.time())
        for payload in HOSTILE:
            for topic in ("p0", "p0/c0", "p0/c0/d", "", "p0/cells", "\u2603", "a" * 5_000):
                ear.publish(f"bms/telemetry/{topic}", payload, wait=False)
        for k in range(3):
            ear.publish("bms/telemetry/p0/good", sample(begin + k).encode())
        wait_for(lambda: ear.of("bms/state/p0/good"), "a state")
        wait_for(lambda: (ear.of("bms/status/metrics") or [{}])[-1].get("journaled") == 3, "the counts")
        metrics = ear.of("bms/status/metrics")[-1]
        assert set(metrics["rejected"]) == {"topic", "size", "not-json", "nesting", "shape", "time-missing"}
        assert metrics["offered"] == metrics["journaled"] + sum(metrics["rejected"].values())
        assert service.stop() == 0
        assert all(len(line) < 5_000 for line in (tmp_path / "stdout").read_text().splitlines())
    finally:
        service.end()
        ear.close()
