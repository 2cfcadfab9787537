"""What doctor says of real brokers and databases, and that it leaves nothing on them."""

from __future__ import annotations

import gc
import subprocess
import time
import warnings

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from daemon import broker_proof, doctor
from daemon.broker_proof import prove
from daemon.config import Config
from daemon.errors import BrokerError
from tests.service.databases import make_influx1, make_victoria
from tests.service.mosquitto import make_mosquitto
from tests.service.programs import needs

pytestmark = pytest.mark.service


@pytest.fixture
def broker(tmp_path):
    """A broker with some lines of its own, which lie over those of bmsd."""
    started = []

    def make(*lines):
        folder = tmp_path / f"broker{len(started)}"
        folder.mkdir()
        broker = make_mosquitto(folder, *lines)
        broker.start()
        started.append(broker)
        return broker

    yield make
    for broker in started:
        broker.stop()


def look(broker, *, cells_max=20_000, **mqtt):
    config = {"mqtt": {"host": "127.0.0.1", "port": broker.port, **mqtt}, "cells": {"cells_max": cells_max}}
    return list(doctor.CHECKS["broker"](Config.model_validate(config)))


def test_a_broker_with_the_lines_that_we_ship_is_sound(mosquitto_broker):
    found = look(mosquitto_broker)
    assert [f.level for f in found] == ["ok", "ok"]
    assert "mosquitto version 2." in found[0].what
    assert "1,200 messages to a client that was away came back in order" in found[1].what


def test_messages_that_the_broker_has_dropped_are_told_later_too(broker):
    small = broker("max_queued_messages 100", "sys_interval 1")
    look(small)
    began = time.monotonic()
    while not any("has dropped" in f.what for f in look(small, cells_max=8)):
        assert time.monotonic() - began < 20.0


def test_a_queue_that_is_bounded_by_few_bytes_is_told(broker):
    found = look(broker("max_queued_messages 0", "max_queued_bytes 50000"))
    assert found[1].level == "warn"
    assert "max_queued_bytes" in found[1].mend


def test_a_broker_as_it_comes_is_warned_of_with_the_lines_that_mend_it(broker):
    as_it_comes = ("max_queued_messages 1000", "max_queued_bytes 0", "max_inflight_messages 20")
    found = look(broker(*as_it_comes))
    assert [f.level for f in found] == ["ok", "warn", "warn"]
    assert "queues 1,000 messages" in found[1].what
    assert "waits for us after 20 messages" in found[2].what
    lines = [line for f in found[1:] for line in f.mend.removeprefix("in mosquitto.conf: ").split(" and ")]
    assert [f.level for f in look(broker(*as_it_comes, *lines))] == ["ok", "ok"]


def test_a_small_fleet_needs_no_more_than_the_broker_has(broker):
    found = look(broker("max_queued_messages 1000", "max_inflight_messages 20"), cells_max=8)
    assert [f.level for f in found] == ["ok", "ok"]


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_stays_on_the_broker_however_it_ends(mosquitto_broker, monkeypatch, fails):
    monkeypatch.setattr(broker_proof.secrets, "token_hex", lambda _: "known")
    config = Config.model_validate({"mqtt": {"host": "127.0.0.1", "port": mosquitto_broker.port}}).mqtt
    if fails:
        monkeypatch.setattr(broker_proof._Visit, "publish", broken)
        with pytest.raises(BrokerError):
            prove(config, 10)
    else:
        prove(config, 10)
    present = []
    client = paho.Client(CallbackAPIVersion.VERSION2, "bmsd-doctor-known", clean_session=False)
    client.on_connect = lambda _c, _d, flags, *_: present.append(flags.session_present)
    client.connect("127.0.0.1", mosquitto_broker.port)
    while not present:
        client.loop(0.1)
    client.disconnect()
    assert present == [False]


def broken(*_):
    raise BrokerError("was lost")


@pytest.fixture
def guarded(broker, tmp_path):
    """A broker that wants a password, and lets its user do as its access list says."""

    def make(access):
        passwords, rules = tmp_path / "passwords", tmp_path / "access"
        tool = needs("mosquitto_passwd", "mosquitto")
        subprocess.run([tool, "-b", "-c", str(passwords), "pack", "hunter2"], check=True, capture_output=True)
        rules.write_text(f"user pack\n{access}\n")
        return broker("allow_anonymous false", f"password_file {passwords}", f"acl_file {rules}")

    return make


@pytest.mark.parametrize("mqtt", [{}, {"username": "pack", "password": "hunter3"}])
def test_a_broker_that_refuses_us_is_told_apart_from_one_that_is_away(guarded, mqtt):
    with pytest.raises(BrokerError, match="refuses us") as refused:
        look(guarded("topic readwrite bms/#"), **mqtt)
    assert "BMSD_MQTT__PASSWORD" in refused.value.mend
    assert "hunter" not in str(refused.value)


def test_who_lets_strangers_in_is_told_from_who_does_not(guarded, broker):
    for place, lets in ((broker(), True), (guarded("topic readwrite bms/#"), False)):
        mqtt = {"host": "127.0.0.1", "port": place.port, "username": "pack", "password": "hunter2"}
        assert prove(Config.model_validate({"mqtt": mqtt}).mqtt, 10).lets_strangers_in == lets


def test_the_right_password_opens(guarded):
    found = look(guarded("topic readwrite bms/#"), username="pack", password="hunter2")
    assert [f.level for f in found] == ["ok", "ok"]


def test_an_access_list_that_keeps_our_topics_from_us_is_told(guarded, monkeypatch):
    monkeypatch.setattr(broker_proof, "STEP_SECOND", 0.5)
    with pytest.raises(BrokerError, match="does not give back") as kept:
        look(guarded("topic readwrite other/#"), username="pack", password="hunter2")
    assert "bms/#" in kept.value.mend


def failed_handshake(broker, **tls):
    """Look at a broker that TLS fails with; paho forgets the socket of a failed handshake."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            found = look(broker, tls={"enabled": True, **tls})
        except BrokerError as err:
            found = err.mend
        gc.collect()
    return found


def test_a_port_without_tls_is_told_where_tls_is_wanted(mosquitto_broker):
    assert "mqtt.port" in failed_handshake(mosquitto_broker)


def test_a_broker_behind_tls_is_proved_like_any_other_once_its_authority_is_trusted(broker, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = [needs("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    made += ["-keyout", key, "-out", certificate, "-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(made, check=True, capture_output=True)
    secured = broker(f"certfile {certificate}", f"keyfile {key}")
    assert [f.level for f in look(secured, tls={"enabled": True, "ca_file": certificate})] == ["ok", "ok"]
    assert "mqtt.tls.ca_file" in failed_handshake(secured)
    with pytest.raises(BrokerError, match="closed the connection") as plain:
        look(secured)
    assert "mqtt.tls.enabled" in plain.value.mend


@pytest.fixture
def running(tmp_path):
    """Start a database of one kind."""
    started = []

    def start(make):
        database = make(tmp_path)
        database.program.start()
        started.append(database.program)
        return database

    yield start
    for program in started:
        program.stop()


def ask(database, api):
    rule = {"enabled": True, "url": f"http://127.0.0.1:{database.program.port}", "api": api}
    config = Config.model_validate({"sinks": {"influx": rule}})
    (finding,) = doctor.CHECKS["influx"](config)
    (clock,) = doctor.CHECKS["clock"](config)
    assert (clock.level, "in the database too" in clock.what) == ("ok", True)
    return finding


def test_victoria_metrics_takes_writes_by_v2(running):
    assert ask(running(make_victoria), "v2").level == "ok"


def test_influxdb_1_takes_writes_by_v1_once_the_database_is_made(running):
    database = running(make_influx1)
    missing = ask(database, "v1")
    assert (missing.level, "CREATE DATABASE" in missing.mend) == ("FAIL", True)
    database.create("bmsd")
    assert ask(database, "v1").level == "ok"
    wrong = ask(database, "v2")
    assert (wrong.level, "sinks.influx.api" in wrong.mend) == ("FAIL", True)
