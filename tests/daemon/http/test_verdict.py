"""daemon/http/verdict.py: what doctor says of the port and of who guards it."""

from __future__ import annotations

import asyncio
import socket

import pytest

from daemon import doctor
from daemon.config import Config
from daemon.errors import ConfigError
from daemon.http import verdict
from tests.daemon.http.talking import serving
from tests.service.programs import free_port
from tests.service.secured import certify

TOKEN = "0123456789abcdef-the-token"


def look(**http) -> list[doctor.Finding]:
    return list(doctor.CHECKS["http"](Config.model_validate({"http": http})))


def test_a_free_port_is_told_with_who_may_read():
    port = free_port()
    (finding,) = look(listen=f"127.0.0.1:{port}")
    assert finding.level == "ok"
    assert f"127.0.0.1:{port}: free" in finding.what
    assert "whoever is on this machine may read" in finding.what
    (finding,) = look(listen=f"127.0.0.1:{port}", token=TOKEN)
    assert "wants the token" in finding.what
    assert TOKEN not in str(finding)
    (finding,) = look(enabled=False)
    assert (finding.level, "nothing listens" in finding.what) == ("ok", True)


def test_another_program_on_the_port_is_a_warning_that_names_the_key(monkeypatch):
    monkeypatch.setattr(verdict, "ANSWER_SECOND", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as other:
        (finding,) = look(listen=f"127.0.0.1:{other.getsockname()[1]}")
    assert (finding.level, "another program" in finding.what, "http.listen" in finding.mend) == ("warn", True, True)


@pytest.mark.parametrize("tls", [False, True])
async def test_a_bmsd_on_the_port_is_known(monkeypatch, tmp_path, tls):
    files = {}
    if tls:
        certify(tmp_path, "server", "127.0.0.1")
        files = {"certificate_file": tmp_path / "bmsd/server.crt", "key_file": tmp_path / "bmsd/server.key"}
    async with serving(monkeypatch, token=TOKEN, **files) as talker:
        (finding,) = await asyncio.to_thread(look, listen=f"127.0.0.1:{talker.port}", token=TOKEN, **files)
    assert (finding.level, "a bmsd answers" in finding.what) == ("ok", True)


def test_a_token_that_goes_in_the_clear_is_a_warning():
    _, finding = look(listen="0.0.0.0:0", token=TOKEN)
    assert (finding.level, "unencrypted" in finding.what, "http.certificate_file" in finding.mend) == (
        "warn",
        True,
        True,
    )


def test_an_address_of_another_machine_fails():
    finding = look(listen="192.0.2.1:0", token=TOKEN)[0]
    assert (finding.level, "no such address" in finding.mend) == ("FAIL", True)


def test_a_certificate_that_cannot_be_used_fails(tmp_path):
    with pytest.raises(ConfigError, match="cannot be used"):
        look(certificate_file=tmp_path / "c.pem", key_file=tmp_path / "k.pem")


def test_a_token_in_a_file_that_others_may_read_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "CHECKS", {})
    path = tmp_path / "config.yaml"
    path.write_text(f"mqtt: {{host: 127.0.0.1, port: 1}}\nhttp: {{listen: '127.0.0.1:0', token: {TOKEN}}}\n")
    path.chmod(0o644)
    found = [f for name, f in doctor.examine(path) if name == "config" and f.level == "warn"]
    assert ["http.token" in f.what for f in found] == [True]
    assert TOKEN not in str(found)
