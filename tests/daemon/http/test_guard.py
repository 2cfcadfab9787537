"""daemon/http/guard.py, daemon/config/http.py: who may ask, and which settings are refused before anybody can."""

from __future__ import annotations

import pytest

from daemon.config import Http, read_config
from daemon.errors import ConfigError
from tests.daemon.http.talking import serving

TOKEN = "0123456789abcdef-the-token"


async def test_with_a_token_it_alone_counts_and_health_is_open(monkeypatch):
    async with serving(monkeypatch, token=TOKEN) as talker:
        assert (await talker.get("/health"))[0] == 200
        assert (await talker.send(b"GET /health HTTP/1.1\r\nHost: me.example\r\n\r\n")).startswith(b"HTTP/1.1 200")
        for header in (f"Bearer {TOKEN}", f"bearer  {TOKEN}"):
            assert (await talker.get("/api/states", f"Authorization: {header}"))[0] == 200
        for header in (
            "",
            TOKEN,
            f"Basic {TOKEN}",
            f"Bearer {TOKEN}x",
            f"Bearer {TOKEN[:-1]}",
            "Bearer \u00e9",
            f"Bearer{TOKEN}",
        ):
            assert (await talker.get("/api/states", f"Authorization: {header}"))[0] == 401, header
        assert (await talker.get("/nothing"))[0] == 401
        assert (await talker.get("/health", method="POST"))[0] == 401
        assert (await talker.get("/nothing", f"Authorization: Bearer {TOKEN}"))[0] == 404


async def test_refusals_of_one_peer_are_told_once_and_counted_each(monkeypatch, caplog):
    async with serving(monkeypatch, token=TOKEN) as talker:
        for _ in range(20):
            await talker.get(f"/metrics?token={TOKEN}")
        status, body = await talker.get("/metrics", f"Authorization: Bearer {TOKEN}")
    assert status == 200
    assert b'bmsd_http_refused_total{reason="token"} 20.0' in body
    (line,) = [r.fields for r in caplog.records if r.getMessage() == "refused"]
    assert line == {"why": "token", "peer": "127.0.0.1", "method": "GET", "path": "/metrics"}
    assert TOKEN not in str([r.__dict__ for r in caplog.records])


@pytest.fixture
def refusal(tmp_path):
    def refusal(text: str, environ: dict[str, str] | None = None) -> str:
        path = tmp_path / "config.yaml"
        path.write_text(text)
        with pytest.raises(ConfigError) as caught:
            read_config(path, environ or {})
        return str(caught.value)

    return refusal


@pytest.mark.parametrize("listen", ["0.0.0.0:9464", "192.168.1.2:1", "'[::]:9464'", "'[2001:db8::1]:80'"])
def test_an_address_that_others_reach_needs_a_token(refusal, listen, tmp_path):
    said = refusal(f"http:\n  listen: {listen}\n")
    assert "config.yaml:1: http: " in said
    assert "lets other machines in, and there is no token: set http.token (BMSD_HTTP__TOKEN" in said
    bare = listen.strip("'")
    assert Http(listen=bare, token=TOKEN).address[1] > 0
    assert not Http(listen=bare, enabled=False).is_local


@pytest.mark.parametrize(
    "listen", ["9464", ":9464", "127.0.0.1", "127.0.0.1:70000", "300.0.0.1:1", "me.example:1", "::1:9464", "''"]
)
def test_what_is_no_address_is_refused_with_an_example(refusal, listen):
    assert "127.0.0.1:9464, [::1]:9464 or 0.0.0.0:9464" in refusal(f"http: {{listen: {listen!r}}}")


@pytest.mark.parametrize("token", ["", "short", "fifteen-letters", "with a space in it", "sixteen-letters-\u00e9\n"])
def test_a_token_that_is_guessed_or_fits_no_header_is_refused_and_not_shown(refusal, token):
    said = refusal(f"http: {{token: {token!r}}}")
    assert "openssl rand -hex 32" in said
    assert not token or token not in said


def test_an_empty_token_in_a_variable_is_none(refusal):
    assert "there is no token" in refusal("http: {listen: '0.0.0.0:1'}", {"BMSD_HTTP__TOKEN": ""})


def test_the_token_comes_from_a_credential(tmp_path):
    (tmp_path / "http_token").write_text(TOKEN + "\n")
    (tmp_path / "config.yaml").write_text("http: {listen: '0.0.0.0:9464'}\n")
    token = read_config(tmp_path / "config.yaml", {"CREDENTIALS_DIRECTORY": str(tmp_path)}).http.token
    assert token is not None
    assert token.get_secret_value() == TOKEN


def test_a_certificate_goes_with_its_key(refusal):
    assert "go together" in refusal("http: {certificate_file: c.pem}")
