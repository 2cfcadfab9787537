"""daemon/config/read.py: every fault is told, with its place and its mend; nothing is guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config import check_cell_types, read, read_config
from daemon.errors import ConfigError


@pytest.fixture
def write(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return path

    return write


def refusal(path: Path | None, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        read_config(path, environ or {})
    assert caught.value.exit_status == 2
    return str(caught.value)


def test_without_a_file_the_defaults_hold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_config(None, {}).mqtt.port == 1883


def test_an_empty_file_and_a_bare_heading_leave_the_defaults(write):
    assert read_config(write(""), {}).mqtt.host == "localhost"
    assert read_config(write("mqtt:\nsinks:\n  influx:\n"), {}).sinks.influx.api == "v2"


def test_the_file_is_found_by_variable_and_then_in_the_working_folder(write, tmp_path, monkeypatch):
    named = write("mqtt: {host: named}")
    assert read_config(None, {"BMSD_CONFIG": str(named)}).mqtt.host == "named"
    monkeypatch.chdir(tmp_path)
    assert read_config(None, {}).mqtt.host == "named"


def test_all_faults_are_told_at_once_each_with_its_line(write):
    path = write(
        "mqtt:\n  prot: 1\n  port: 70000\npublish:\n  max_age: 3\n"
        "cells:\n  packs:\n    - pattern: a\n      clock: sever\nhost: x\n"
    )
    text = refusal(path)
    assert f"{path}:2: mqtt.prot: unknown key; did you mean `port`?" in text
    assert f"{path}:3: mqtt.port: `70000` is not allowed; allowed: whole number, at least 1, at most 65535" in text
    assert f"{path}:5: publish.max_age: unknown key; did you mean `max_age_second`?" in text
    assert f"{path}:8: cells.packs.0.cell_type: is missing" in text
    assert f"{path}:9: cells.packs.0.clock: `sever` is not allowed; allowed: device | server" in text
    assert f"{path}:10: host: unknown key; did you mean `mqtt.host`?" in text
    assert "6 faults" in text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mqtt:\n\tport: 1\n", ":2: a tab; YAML is indented with spaces"),
        ("mqtt:\n  port: 1\n  port: 2\n", ":3: mqtt.port: written twice, first in line 2"),
        ("- mqtt\n", ":1: not a mapping"),
        ("mqtt: [\n", "not readable as YAML"),
        ("mqtt: localhost\n", ":1: mqtt: `localhost` is not allowed; allowed: a mapping of host"),
        ("mqtt: &a\n  tls: *a\n", "not readable as YAML"),
        ("mqtt:\n  port: yes\n", ":2: mqtt.port: `true` is not allowed (true, false, yes"),
        ("publish:\n  soc_dead_band: off\n", ":2: publish.soc_dead_band: `false` is not allowed"),
        ("mqtt:\n  keepalive_second: 30s\n", "`30s` is not allowed; allowed: whole number, at least 5"),
        ("publish:\n  soc_dead_band: .nan\n", "`nan` is not allowed"),
        ("mqtt:\n  host:\n", ":2: mqtt.host: empty is not allowed; allowed: text, not empty"),
        ("mqtt:\n  password: hunter2\n", ":1: mqtt: a password needs a username"),
        ("cells:\n  unknown: adopt\n", ":1: cells: `unknown: adopt` needs `default_type`"),
        ("sinks:\n  influx:\n    url: http://me:secret@host\n", "allowed: text matching"),
    ],
)
def test_a_wrong_file_is_refused_in_plain_words(write, text, says):
    message = refusal(write(text))
    assert says in message
    assert "hunter2" not in message


def test_a_file_that_cannot_be_read_is_named(tmp_path, write):
    assert "No such file" in refusal(tmp_path / "absent.yaml")
    binary = write("")
    binary.write_bytes(b"mqtt: \xff\xfe")
    assert "not UTF-8" in refusal(binary)


def test_variables_lie_over_the_file_and_keep_its_other_keys(write):
    path = write("mqtt:\n  host: file\n  port: 1884\n")
    reading = read(path, {"BMSD_MQTT__HOST": "variable", "BMSD_PUBLISH__CELL_TOPICS": "false"})
    assert (reading.config.mqtt.host, reading.config.mqtt.port) == ("variable", 1884)
    assert reading.config.publish.cell_topics is False
    assert reading.origin(("mqtt", "host")) == "BMSD_MQTT__HOST"
    assert reading.origin(("mqtt", "port")) == f"{path}:3"
    assert reading.origin(("mqtt", "prefix")) == "default"


def test_lists_and_mappings_in_variables_are_json_or_yaml(write):
    rules = '[{"pattern": "a-*", "cell_type": "generic-lfp"}]'
    packs = read_config(write(""), {"BMSD_CELLS__PACKS": rules}).cells.packs
    assert [(p.pattern, p.cell_type) for p in packs] == [("a-*", "generic-lfp")]
    mqtt = read_config(write("mqtt: {port: 5}"), {"BMSD_MQTT": "{host: h}"}).mqtt
    assert (mqtt.host, mqtt.port) == ("h", 5)
    assert "neither JSON nor YAML" in refusal(write(""), {"BMSD_CELLS__PACKS": "[{"})


def test_a_text_in_a_variable_stays_a_text(write):
    given = {"BMSD_MQTT__USERNAME": "007", "BMSD_MQTT__PASSWORD": "[no: list"}
    mqtt = read_config(write(""), given).mqtt
    assert mqtt.username == "007"
    assert mqtt.password is not None
    assert mqtt.password.get_secret_value() == "[no: list"
    assert read_config(write("mqtt: {username: u}"), {"BMSD_MQTT__USERNAME": ""}).mqtt.username is None


def test_an_unknown_variable_is_refused_with_its_near_miss(write):
    text = refusal(write(""), {"BMSD_MQTT__HOTS": "x", "BMSD_MQTT_HOST": "y"})
    assert "BMSD_MQTT__HOTS: no such setting; did you mean BMSD_MQTT__HOST?" in text
    assert "BMSD_MQTT_HOST: no such setting; did you mean BMSD_MQTT__HOST?" in text
    assert "BMSD_MQTT__PORT: mqtt.port: `x`" in refusal(write(""), {"BMSD_MQTT__PORT": "x"})


def test_variables_that_are_no_settings_pass(write):
    kubernetes = {"BMSD_SERVICE_HOST": "10.0.0.1", "BMSD_PORT": "tcp://10.0.0.1", "BMSD_PORT_80_TCP_ADDR": "10.0.0.1"}
    assert read_config(write(""), {**kubernetes, "BMSD_DATA": "/d"}).version == 1


def test_secrets_come_from_credentials_files_and_variables_in_this_order(write, tmp_path):
    (tmp_path / "mqtt_password").write_text("from credential\n")
    (tmp_path / "other").write_text("from file\n")
    path = write("mqtt: {username: u, password: from config}")

    def password(**environ: str) -> str:
        secret = read_config(path, environ).mqtt.password
        assert secret is not None
        return secret.get_secret_value()

    credentials = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    file = {"BMSD_MQTT__PASSWORD_FILE": str(tmp_path / "other")}
    assert password() == "from config"
    assert password(**credentials) == "from credential"
    assert password(**credentials, **file) == "from file"
    assert password(**credentials, **file, BMSD_MQTT__PASSWORD="plain") == "plain"
    assert "cannot read" in refusal(path, {"BMSD_MQTT__PASSWORD_FILE": str(tmp_path / "absent")})
    assert "no such setting" in refusal(path, {"BMSD_MQTT__HOST_FILE": str(tmp_path / "other")})


def test_a_file_setting_is_not_taken_for_the_file_of_a_secret(write):
    tls = read_config(write(""), {"BMSD_MQTT__TLS__CA_FILE": "/etc/ca.pem"}).mqtt.tls
    assert tls.ca_file == Path("/etc/ca.pem")


def test_a_cell_type_that_does_not_load_is_named_with_its_key(write):
    path = write("cells:\n  packs:\n    - pattern: '*'\n      cell_type: no-such-type\n")
    with pytest.raises(ConfigError, match=r"config.yaml:4: cells.packs.0.cell_type: no cell type `no-such-type`"):
        check_cell_types(read(path, {}))
