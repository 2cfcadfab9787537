"""daemon/http/server.py, routes.py: bad clients, bad requests and a service that does not answer."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import random
import socket
import time

import pytest

from daemon.config import Http
from daemon.errors import ConfigError, JournalError
from daemon.http import fresh, server
from daemon.http.pulse import Pulse
from tests.daemon.http.talking import HOST, Inside, newest, serving
from tests.service.programs import wait_for

SECRET = "0123456789abcdef-secret"


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """A life that a test can wait for."""
    monkeypatch.setattr(server, "LIFE_SECOND", 0.5)


def refusals(caplog) -> list[str]:
    """Why who was refused, as the log says it."""
    return [r.fields["why"] for r in caplog.records if r.getMessage() == "refused"]


@pytest.mark.parametrize(
    "begin",
    [
        b"",
        b"GET",
        b"GET /health HTTP/1.1\r\nHost: loc",
        b"POST /health HTTP/1.1\r\nContent-Length: 9\r\n" + HOST + b"\r\nx",
    ],
)
async def test_who_does_not_finish_is_sent_away(monkeypatch, caplog, begin):
    async with serving(monkeypatch) as talker:
        began = time.monotonic()
        await talker.send(begin)
        assert time.monotonic() - began < 5.0
        assert (await talker.get("/health"))[0] == 200
    assert refusals(caplog) == (["method", "slow"] if begin.startswith(b"POST") else ["slow"])


async def test_who_sends_letter_by_letter_is_sent_away(monkeypatch):
    async with serving(monkeypatch) as talker:
        reader, writer = await asyncio.open_connection("127.0.0.1", talker.port)
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(10):
                while not reader.at_eof():
                    writer.write(b"G")
                    await writer.drain()
                    await asyncio.sleep(0.01)
        writer.close()


async def test_no_more_than_so_many_are_served_at_once_and_the_next_has_its_turn(monkeypatch):
    monkeypatch.setattr(server, "CONNECTIONS_MAX", 2)
    async with serving(monkeypatch) as talker:
        mute = [await asyncio.open_connection("127.0.0.1", talker.port) for _ in range(2)]
        began = time.monotonic()
        assert (await talker.get("/health"))[0] == 200
        assert time.monotonic() - began > 0.3
        for _, writer in mute:
            writer.close()


async def test_who_does_not_take_a_long_answer_is_sent_away(monkeypatch, caplog):
    inside = Inside(cells=newest([f"p{i % 7}/c{i}" for i in range(20_000)]))
    question = b"GET /api/states HTTP/1.1\r\n" + HOST + b"\r\n"
    async with serving(monkeypatch, inside) as talker:
        loop, got = asyncio.get_running_loop(), 0
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", talker.port))
            await loop.sock_sendall(sock, question)
            await asyncio.to_thread(wait_for, lambda: refusals(caplog), "its end")
            with contextlib.suppress(ConnectionError):
                while part := await loop.sock_recv(sock, 65_536):
                    got += len(part)
        assert refusals(caplog) == ["slow"]
        answer = await talker.send(question)
        assert got < len(answer)
        states = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert sum(map(len, states.values())) == 20_000


MALFORMED = [
    b"\r\n\r\n\r\nhello\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50 + b"\r\n\r\n",
    b"GET /health HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /health HTTP/1.1\r\n" + HOST + b"".join(b"X%d: a\r\n" % i for i in range(20_000)) + b"\r\n",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + SECRET.encode() + b"\x00\r\n\r\n",
    b"GET /health HTTP/1.1\r\nBad Header" + SECRET.encode() + b"\r\n\r\n",
    b"GET /health HTTP/9.9\r\n" + HOST + b"\r\n",
    b"GET http://[ HTTP/1.1\r\n" + HOST + b"\r\n",
    b"POST /health HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
]


@pytest.mark.parametrize("text", MALFORMED, ids=range(len(MALFORMED)))
async def test_what_is_no_request_is_refused_in_words_and_told_without_quoting_it(monkeypatch, caplog, text):
    async with serving(monkeypatch) as talker:
        answer = await talker.send(text)
        assert answer.startswith(b"HTTP/1.0 4") or answer == b""  # empty: reset, as we had not read all of it
        if answer:
            assert b'{"error":"' in answer
            assert b"Server: bmsd\r\n" in answer
        assert (await talker.get("/health"))[0] == 200
    assert [r.levelname for r in caplog.records if r.name.startswith("aiohttp")] == []
    assert set(refusals(caplog)) <= {"malformed", "method"}
    assert SECRET not in caplog.text + str([r.__dict__ for r in caplog.records]) + repr(answer)


async def test_noise_is_answered_or_sent_away_and_never_a_fault_of_ours(monkeypatch, caplog):
    rng = random.Random(5)
    words = [
        b"GET",
        b"POST",
        b" ",
        b"/health",
        b"/api/states/",
        b"%2e%2e",
        b"\xff\x00",
        b" HTTP/1.1\r\n",
        HOST,
        b"\r\n",
    ]
    words += [
        b"Host: [\r\n",
        b"Content-Length: -1\r\n",
        b"Expect: 100-continue\r\n",
        b"Upgrade: websocket\r\nConnection: upgrade\r\n",
    ]
    words += [
        b"Transfer-Encoding: chunked\r\n",
        b"Authorization: Bearer \xc3\x28\r\n",
        b"%",
        b"?a=%zz",
        b"*",
        b"http://",
    ]
    async with serving(monkeypatch) as talker:
        noise = [b"".join(rng.choices(words, k=rng.randint(1, 12))) + b"\r\n\r\n" for _ in range(200)]
        for begin in range(0, len(noise), 20):
            await asyncio.gather(*(talker.send(text) for text in noise[begin : begin + 20]))
        assert (await talker.get("/health"))[0] == 200
    assert [r for r in caplog.records if r.levelname == "ERROR"] == []


async def test_one_connection_serves_one_request(monkeypatch):
    async with serving(monkeypatch) as talker:
        request = b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n"
        assert (await talker.send(request * 50)).count(b"HTTP/1.1 200") == 1


async def test_health_names_what_is_wrong(monkeypatch):
    inside = Inside(pulse=Pulse(11.0, {"telemetry": False, "states": True}))
    async with serving(monkeypatch, inside) as talker:
        why = ["the estimators have not moved for 11 s", "no connection to the broker for telemetry"]
        assert await talker.get("/health") == (503, {"status": "unwell", "why": why})
        inside.pulse = Pulse(9.0, {"telemetry": True})
        assert await talker.get("/health") == (200, {"status": "well"})
        assert (await talker.send(b"HEAD /health HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.0 200")


async def test_an_inside_that_does_not_answer_or_fails_is_an_answer_too(monkeypatch, caplog):
    monkeypatch.setattr(fresh, "PATIENCE_SECOND", 0.1)
    inside = Inside(counters=60.0)
    async with serving(monkeypatch, inside) as talker:
        assert (await talker.get("/metrics"))[0] == 503
        inside.counters = JournalError("no disk")
        assert (await talker.get("/metrics"))[0] == 503
        inside.counters = KeyError("unforeseen")
        status, body = await talker.get("/metrics")
        assert (status, "unforeseen" in str(body)) == (500, False)
        assert [r.getMessage() for r in caplog.records if r.levelname == "ERROR"] == ["fault"]
        inside.counters = 0.0
        assert (await talker.get("/metrics"))[0] == 200


async def test_many_who_ask_cost_as_much_as_one(monkeypatch):
    monkeypatch.setattr(fresh, "FRESH_SECOND", 60.0)
    inside = Inside()
    async with serving(monkeypatch, inside) as talker:
        assert {status for status, _ in await asyncio.gather(*(talker.get("/metrics") for _ in range(30)))} == {200}
        assert inside.reads == 1


async def test_a_port_that_becomes_free_is_taken(monkeypatch, caplog):
    monkeypatch.setattr(server, "RETRY_SECOND", 0.05)
    listen_on, tries = server.listen_on, []

    def busy(address):
        tries.append(address)
        if len(tries) < 3:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        return listen_on(address)

    monkeypatch.setattr(server, "listen_on", busy)
    async with serving(monkeypatch) as talker:
        assert (await talker.get("/health"))[0] == 200
    assert [r.fields["why"] for r in caplog.records if r.getMessage() == "not listening"] == ["Address already in use"]


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
@pytest.mark.parametrize("listen", ["[::1]:0", "[::]:0", "localhost:0"])
def test_any_form_of_an_address_can_be_listened_on(listen):
    rule = Http(listen=listen, token=SECRET)
    with server.listen_on(rule.address) as listener:
        home = "::1" if "::" in listen else "127.0.0.1"
        socket.create_connection((home, listener.getsockname()[1])).close()


def test_a_certificate_that_cannot_be_used_is_told_with_its_files(tmp_path):
    (tmp_path / "c.pem").write_text("no certificate")
    for name in ("c.pem", "absent.pem"):
        rule = Http(certificate_file=tmp_path / name, key_file=tmp_path / "k.pem")
        with pytest.raises(ConfigError) as caught:
            server.load_certificate(rule)
        assert name in caught.value.where
        assert "key_file" in caught.value.mend
