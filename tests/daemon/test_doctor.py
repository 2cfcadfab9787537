"""All faults at once, each with its mend, and never a secret."""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from daemon import broker_proof, doctor, models
from daemon.broker_proof import Proof
from daemon.cli import main
from daemon.config import Config
from daemon.doctor import Finding
from daemon.errors import SinkError
from daemon.models import Model
from tests.daemon.counting import Counting, write_cell_type
from tests.service.programs import free_port


@pytest.fixture
def examine(tmp_path, monkeypatch):
    """Examine a configuration that is sound but for what a test says of it; the broker is nowhere."""
    monkeypatch.setitem(models.MODELS, "coulomb", Model(Counting))
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith("BMSD_")]:
        monkeypatch.delenv(name)

    def go(**sections):
        config = {
            "mqtt": {"host": "127.0.0.1", "port": free_port()},
            "cells": {"packs": [{"pattern": "*", "cell_type": write_cell_type(tmp_path / "counted")}]},
            "http": {"listen": "127.0.0.1:0"},
            "service": {"state_directory": str(tmp_path / "state")},
        }
        for section, values in sections.items():
            config.setdefault(section, {}).update(values)
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        return list(doctor.examine(path))

    return go


def sound(_):
    return [Finding("ok", "fine")]


def of(found, name):
    return [finding for check, finding in found if check == name]


def test_every_check_speaks_and_only_the_absent_broker_fails(examine):
    found = examine()
    assert {name for name, _ in found} == {"config", "state", "broker", "http", "weights", "clock"}
    assert [name for name, finding in found if finding.level != "ok"] == ["broker"]


def test_an_absent_broker_is_told_at_once_with_its_address_and_a_mend(examine):
    port, began = free_port(), time.monotonic()
    (finding,) = of(examine(mqtt={"port": port}), "broker")
    assert finding.level == "FAIL"
    assert f"127.0.0.1:{port}: nobody listens there" in finding.what
    assert "mqtt.port" in finding.mend
    assert time.monotonic() - began < 3


def test_a_broker_that_takes_the_connection_and_says_nothing_does_not_hang_the_doctor(examine, monkeypatch):
    monkeypatch.setattr(broker_proof, "STEP_SECOND", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        (finding,) = of(examine(mqtt={"port": mute.getsockname()[1]}), "broker")
    assert (finding.level, "does not answer our greeting" in finding.what) == ("FAIL", True)


def test_all_faults_of_a_configuration_are_told_each_with_its_line(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("mqtt:\n  port: 99999\n  hots: x\n")
    found = list(doctor.examine(path))
    assert [f.level for f in of(found, "config")] == ["FAIL", "FAIL"]
    assert {f"{path}:2", f"{path}:3"} == {":".join(f.what.split(":")[:2]) for f in of(found, "config")}
    assert "not looked at" in of(found, "others")[0].what


def test_a_configuration_that_is_not_there_is_told(tmp_path):
    (finding,) = of(list(doctor.examine(tmp_path / "none.yaml")), "config")
    assert (finding.level, "none.yaml" in finding.what, "--config" in finding.mend) == ("FAIL", True, True)


def test_an_unknown_cell_type_is_told_with_its_key_and_the_rest_is_looked_at(examine):
    found = examine(cells={"packs": [{"pattern": "*", "cell_type": "unobtainium"}]})
    (finding,) = of(found, "config")
    assert finding.level == "FAIL"
    assert "cells.packs.0.cell_type" in finding.what
    assert of(found, "state")
    assert of(found, "weights") == []


def test_looking_makes_no_state_directory(examine, tmp_path):
    (finding,) = of(examine(), "state")
    assert (finding.level, "will be made" in finding.what) == ("ok", True)
    assert not (tmp_path / "state").exists()
    (tmp_path / "state").mkdir()
    (finding,) = of(examine(), "state")
    assert (finding.level, "will be made" in finding.what) == ("ok", False)
    assert list((tmp_path / "state").iterdir()) == []


def test_a_file_in_the_way_of_the_state_directory_fails(examine, tmp_path):
    (tmp_path / "state").write_text("")
    (finding,) = of(examine(service={"state_directory": str(tmp_path / "state" / "deeper")}), "state")
    assert (finding.level, "is a file" in finding.what) == ("FAIL", True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("exists", [True, False])
def test_a_state_directory_that_we_may_not_write_fails(examine, tmp_path, exists):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    (finding,) = of(examine(service={"state_directory": str(locked if exists else locked / "state")}), "state")
    assert (finding.level, "cannot write" in finding.what) == ("FAIL", True)


def test_bounds_beyond_the_disk_are_a_warning_that_names_the_keys(examine):
    (finding,) = of(examine(journal={"keep_byte": 10**18}), "state")
    assert finding.level == "warn"
    assert "journal.keep_byte" in finding.mend


def test_what_the_files_take_already_counts_as_room(tmp_path):
    more = shutil.disk_usage(tmp_path).free + 2**32
    (tmp_path / "journal.sqlite").touch()
    os.truncate(tmp_path / "journal.sqlite", more)  # sparse: nothing of the disk is used
    config = Config.model_validate({"service": {"state_directory": tmp_path}, "journal": {"keep_byte": more}})
    assert [f.level for f in doctor.CHECKS["state"](config)] == ["ok"]


def test_weights_say_which_estimator_speaks_and_which_one_where_it_cannot(examine, monkeypatch):
    monkeypatch.setitem(models.MODELS, "cross_stitch", Model(lambda t: Counting(t, "net", "1a2b3c4d"), "coulomb"))
    packs = [{"pattern": p, "cell_type": "counted", "estimator": e} for p, e in (("a", "cross_stitch"), ("b", None))]
    said = [f.what for f in of(examine(cells={"packs": packs}), "weights")]
    assert said == ["counted: net-1a2b3c4d speaks, counting where it cannot", "counted: counting speaks"]


def test_each_cell_type_without_usable_weights_fails_by_name(examine, monkeypatch):
    def broken(_):
        raise ValueError("checksum")

    monkeypatch.setitem(models.MODELS, "coulomb", Model(broken))
    monkeypatch.setitem(models.MODELS, "ekf", Model(broken))
    packs = [{"pattern": p, "cell_type": "counted", "estimator": e} for p, e in (("a", "ekf"), ("b", "coulomb"))]
    found = of(examine(cells={"packs": packs}), "weights")
    assert [f.level for f in found] == ["FAIL", "FAIL"]
    assert "no usable ekf: checksum" in found[0].what
    assert "bmsd fit" in found[0].mend


def test_the_cell_type_of_adopted_strangers_is_looked_at_too(examine, tmp_path):
    stranger = write_cell_type(tmp_path / "stranger")
    found = examine(cells={"unknown": "adopt", "default_type": stranger})
    assert [f.what.split(":")[0] for f in of(found, "weights")] == [str(tmp_path / "counted"), stranger]


def test_a_check_that_breaks_keeps_what_it_found_and_stops_no_other(examine, monkeypatch):
    def breaks(_):
        yield Finding("ok", "begun")
        raise SinkError("torn", where="x", mend="sew")

    def fault(_):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(doctor, "CHECKS", {"breaks": breaks, "fault": fault, "sound": sound})
    found = examine()[1:]
    assert found[:2] == [("breaks", Finding("ok", "begun")), ("breaks", Finding("FAIL", "x: torn", "sew"))]
    assert (found[2][1].level, "ZeroDivisionError: by zero" in found[2][1].what) == ("FAIL", True)
    assert found[3] == ("sound", Finding("ok", "fine"))


def test_a_check_that_is_stuck_is_given_up_and_the_others_are_heard(examine, monkeypatch):
    released = threading.Event()

    def stuck(_):
        released.wait(20)
        return []

    monkeypatch.setattr(doctor, "PATIENCE_SECOND", 0.2)
    monkeypatch.setattr(doctor, "CHECKS", {"stuck": stuck, "sound": sound})
    found = examine()[1:]
    released.set()
    assert (found[0][0], found[0][1].level) == ("stuck", "FAIL")
    assert found[1] == ("sound", Finding("ok", "fine"))


@pytest.mark.parametrize(
    ("came_back", "level", "word"),
    [
        (range(100), "ok", "in order"),
        (range(60), "warn", "max_queued_messages 0"),
        ((), "FAIL", "persistent sessions"),
        ((1, 0), "FAIL", "out of order"),
    ],
)
def test_what_comes_back_of_a_session_is_judged(monkeypatch, came_back, level, word):
    monkeypatch.setattr(broker_proof, "prove", lambda *_: Proof(0.001, 100, 100, tuple(came_back)))
    finding = list(doctor.CHECKS["broker"](Config()))[1]
    assert finding.level == level
    assert word in finding.what + finding.mend


@pytest.mark.parametrize(("cells", "warns"), [(300, False), (500, True)])
def test_few_messages_in_flight_are_a_warning_where_the_fleet_sends_more(monkeypatch, cells, warns):
    monkeypatch.setattr(broker_proof, "prove", lambda *_: Proof(0.0, 20, 100, tuple(range(100))))
    config = Config.model_validate({"cells": {"cells_max": cells}, "mqtt": {"group_second": 0.05}})
    assert [f.mend for f in doctor.CHECKS["broker"](config) if f.level == "warn"] == (
        ["in mosquitto.conf: max_inflight_messages 0"] if warns else []
    )


def judged(monkeypatch, mqtt=None, cells_max=20_000, **facts):
    """Give what is found of a broker behind the round trip, the sessions being sound."""
    proof = Proof(0.001, 100, 100, tuple(range(100)), **facts)
    monkeypatch.setattr(broker_proof, "prove", lambda *_: proof)
    config = Config.model_validate({"mqtt": mqtt or {}, "cells": {"cells_max": cells_max}})
    return list(doctor.CHECKS["broker"](config))


def test_a_broker_says_who_it_is_and_what_it_cannot_show_is_said_with_its_lines(monkeypatch):
    there, sessions = judged(monkeypatch, version="mosquitto version 2.0.11")
    assert "mosquitto version 2.0.11" in there.what
    assert "cannot be seen" in sessions.what
    assert "persistence true" in sessions.mend


@pytest.mark.parametrize(("cells_max", "line"), [(100, "268435456"), (1_000_000, "12000000000")])
def test_what_a_broker_has_dropped_is_a_warning_with_a_line_for_the_size_of_the_fleet(monkeypatch, cells_max, line):
    (warning,) = [f for f in judged(monkeypatch, cells_max=cells_max, dropped=7) if "dropped 7" in f.what]
    assert warning.level == "warn"
    assert warning.mend.endswith(f"max_queued_bytes {line}")


@pytest.mark.parametrize(
    ("mqtt", "strangers", "words"),
    [
        ({}, True, []),
        ({"host": "127.0.0.9", "username": "u"}, True, []),
        ({"host": "broker.example"}, True, ["lets everybody in"]),
        ({"host": "192.0.2.1", "username": "u"}, False, ["password goes through"]),
        ({"host": "192.0.2.1", "username": "u", "tls": {"enabled": True}}, False, []),
    ],
)
def test_a_broker_on_another_machine_that_is_open_is_a_warning(monkeypatch, mqtt, strangers, words):
    found = [f for f in judged(monkeypatch, mqtt, lets_strangers_in=strangers)[2:] if f.level == "warn"]
    assert len(found) == len(words)
    assert all(word in f.what and f.mend for f, word in zip(found, words, strict=True))


@pytest.mark.parametrize(("mode", "warns"), [(0o644, True), (0o640, True), (0o600, False)])
def test_a_secret_in_a_file_that_others_may_read_is_a_warning(tmp_path, mode, warns):
    path = tmp_path / "config.yaml"
    path.write_text("mqtt: {host: 127.0.0.1, port: 1, username: u, password: hunter2}\n")
    path.chmod(mode)
    found = [f for name, f in doctor.examine(path) if name == "config" and f.level == "warn"]
    assert [("mqtt.password" in f.what, "chmod 600" in f.mend) for f in found] == [(True, True)] * warns
    assert "hunter2" not in str(found)


@contextmanager
def database(write_status, date=None):
    """Answer to /ping, and to writes with one status; keeps the credentials that it was shown."""
    shown = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self._reply(204)

        def do_POST(self):
            shown.append((self.path, self.headers.get("Authorization")))
            self._reply(write_status)

        def date_time_string(self, timestamp=None):
            return date or super().date_time_string(timestamp)

        def _reply(self, status):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield {"influx": {"enabled": True, "url": f"http://127.0.0.1:{server.server_port}"}}, shown
        server.shutdown()
        serving.join()


@pytest.mark.parametrize(
    ("status", "level", "mend"),
    [(204, "ok", ""), (400, "ok", ""), (401, "FAIL", "token"), (404, "FAIL", "sinks.influx.api"), (503, "FAIL", "log")],
)
def test_a_database_is_asked_whether_it_would_take_a_write(examine, status, level, mend):
    with database(status) as (sinks, _):
        (finding,) = of(examine(sinks=sinks), "influx")
    assert finding.level == level
    assert mend in finding.mend


def test_a_database_that_is_away_fails(examine):
    (finding,) = of(examine(sinks={"influx": {"enabled": True, "url": f"http://127.0.0.1:{free_port()}"}}), "influx")
    assert (finding.level, "cannot be reached" in finding.what) == ("FAIL", True)


@pytest.mark.parametrize(
    ("api", "credentials", "path"),
    [
        ("v2", "Token hunter2", "/api/v2/write?org=bmsd&bucket=bmsd"),
        ("v1", "Basic bWU6aHVudGVyMg==", "/write?db=bmsd"),
    ],
)
def test_the_database_sees_our_credentials_and_nobody_else_does(examine, capsys, tmp_path, api, credentials, path):
    with database(401) as (sinks, shown):
        sinks["influx"] |= {"api": api, "username": "me", "token": "hunter2"}
        examine(sinks=sinks, mqtt={"username": "me", "password": "hunter3"})
        assert main(["doctor", "--config", str(tmp_path / "config.yaml")]) == 1
    said = capsys.readouterr()
    assert set(shown) == {(path, credentials)}
    assert "401" in said.out
    for secret in ("hunter", "bWU6"):
        assert secret not in said.out + said.err


def test_a_clock_apart_from_the_databases_is_a_warning(examine):
    with database(204, "Thu, 01 Jan 2026 00:00:00 GMT") as (sinks, _):
        (finding,) = of(examine(sinks=sinks), "clock")
    assert (finding.level, "apart" in finding.what) == ("warn", True)


def test_the_command_counts_and_its_status_tells(examine, capsys, tmp_path):
    examine()
    assert main(["doctor", "--config", str(tmp_path / "config.yaml")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("1 failed, 0 warnings, ")
    assert lines[-1].endswith(" s")
    assert any(line.split()[:2] == ["FAIL", "broker"] for line in lines)
    assert any(line.strip().startswith("mend: start the broker") for line in lines)


def test_for_a_machine_each_finding_is_an_object(examine, capsys, tmp_path, monkeypatch):
    examine()
    monkeypatch.delitem(doctor.CHECKS, "broker")
    assert main(["doctor", "--json", "--config", str(tmp_path / "config.yaml")]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["check"] for row in rows] == ["config", "state", "http", "weights", "clock"]
    assert all(set(row) == {"check", "level", "what", "mend"} for row in rows)
