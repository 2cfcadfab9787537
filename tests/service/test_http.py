"""The HTTP side of the real service: what it tells, whom it refuses, and that nobody holds it up."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import ssl
import time
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from daemon.http.metrics import COUNTER, ROWS
from daemon.http.server import CONNECTIONS_MAX
from tests.service.databases import make_victoria
from tests.service.programs import wait_for
from tests.service.running import ROOT, Ear, Running
from tests.service.secured import certify

pytestmark = pytest.mark.service
TOKEN = "0123456789abcdef-the-token"
DEPLOY = ROOT / "deploy" / "prometheus"


def port_of(service: Running) -> int:
    wait_for(lambda: service.says("listening"), "the service to listen")
    return service.says("listening")[-1]["port"]


def ask(
    port: int, path: str, method: str = "GET", source: str = "127.0.0.1", **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    """One request on a connection of its own, from an address of this machine."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, 10, (source, 0))) as connection:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())


def series(text: bytes) -> dict[tuple[str, ...], float]:
    """(name, values of its labels) -> value."""
    families = text_string_to_metric_families(text.decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def sample(second: float) -> dict:
    return {"unix_time_second": second, "voltage_volt": 3.6, "current_ampere": -1.0, "temperature_celsius": 25.0}


def feed(ear: Ear, cells: int, seconds: int = 3) -> None:
    """Have states of p0/c0, p0/c1, ... and one message that is rejected."""
    wait_for(lambda: ear.last("bms/status") == b"online", "the service")
    begin = int(time.time()) - seconds
    for k in range(seconds):
        names = [f"c{i}" for i in range(cells)]
        frame = {"unix_time_second": begin + k, "cell": names, "voltage_volt": [3.6] * cells, "current_ampere": -1.0}
        ear.publish("bms/telemetry/p0", frame)
    ear.publish("bms/telemetry/p0/c0", b"no JSON")


def unlike(told: dict, shown: dict[tuple[str, ...], float]) -> list[str]:
    """Fields that MQTT and HTTP tell differently."""
    found = []
    for row in ROWS:
        name, value = row.name + "_total" * (row.family is COUNTER), told[row.field]
        moves = row.field in ("up_second", "checkpoint_age_second")
        here = {key[1:]: v for key, v in shown.items() if key[0] == name}
        want = {(k,): v for k, v in value.items()} if row.label else {} if value is None else {(): value * row.scale}
        near = {key: pytest.approx(v, abs=5.0 if moves else 1e-9) for key, v in want.items()}
        if any(here.get(key) != v for key, v in near.items()) or any(here[key] for key in set(here) - set(want)):
            found.append(f"{name}: {value} is not {here}")
    return found


def test_metrics_over_http_are_those_over_mqtt(service, ear):
    service.start()
    port = port_of(service)
    feed(ear, cells=2)
    wait_for(lambda: (ear.of("bms/status/metrics") or [{}])[-1].get("delivered", {}).get("sqlite"), "states")
    seen: list[str] = []

    def alike() -> bool:
        seen[:] = unlike(ear.of("bms/status/metrics")[-1], series(ask(port, "/metrics")[1]))
        return not seen

    wait_for(alike, "both to tell the same")
    shown = series(ask(port, "/metrics")[1])
    assert seen == []
    assert shown["bmsd_samples_journaled_total",] == 6
    assert shown["bmsd_samples_rejected_total", "not-json"] == 1
    assert shown["bmsd_samples_rejected_total", "rate"] == 0
    assert shown["bmsd_connected", "telemetry"] == shown["bmsd_connected", "states"] == 1
    assert shown["bmsd_tick_age_seconds",] < 5


def test_states_over_http_are_those_over_mqtt(service, ear):
    service.start()
    port = port_of(service)
    assert ask(port, "/api/states")[1] == b"{}"
    feed(ear, cells=3)
    wait_for(lambda: len(ear.of("bms/state/p0/c2")) == 2, "states")
    wanted = {f"c{i}": ear.of(f"bms/state/p0/c{i}")[-1] for i in range(3)}
    wait_for(lambda: json.loads(ask(port, "/api/states")[1]) == {"p0": wanted}, "the same over HTTP")
    status, body, headers = ask(port, "/api/states/p0")
    assert (status, json.loads(body), headers["Content-Type"]) == (200, wanted, "application/json")
    for path, word in (("/api/states/p1", "pack"), ("/", "/metrics"), ("/api/states/p0/c0", "/health")):
        status, body, _ = ask(port, path)
        assert (status, word in json.loads(body)["error"]) == (404, True), path


ATTEMPTS = [
    ("GET", "/metrics", {}),
    ("GET", "/api/states", {"Authorization": ""}),
    ("GET", "/api/states/p0", {"Authorization": "Bearer"}),
    ("GET", "/api/states", {"Authorization": "Bearer 0123456789abcdef-the-tokem"}),
    ("GET", "/api/states", {"Authorization": "Bearer " + TOKEN[:-1]}),
    ("GET", "/api/states", {"Authorization": "Basic " + TOKEN}),
    ("GET", "/api/states", {"Authorization": TOKEN}),
    ("GET", "/api/states", {"Authorization": "Bearer " + "x" * 5_000}),
    ("GET", "/api/states?token=" + TOKEN, {}),
    ("GET", "/api/states?access_token=" + TOKEN, {"Cookie": "token=" + TOKEN}),
    ("GET", "//api/states", {}),
    ("GET", "/health/../api/states", {}),
    ("GET", "/nothing", {}),
    ("POST", "/api/states", {}),
    ("PUT", "/health", {}),
    ("DELETE", "/api/states/p0", {"Authorization": "Bearer x"}),
    ("OPTIONS", "*", {}),
]


def test_unauthorised_attempts_are_all_refused_and_each_is_logged(service, tmp_path):
    (tmp_path / "http_token").write_text(TOKEN + "\n")
    service.settings = {"service": {"state_directory": str(service.state), "log_level": "debug"}}
    service.start({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    port = port_of(service)
    for number, (method, path, headers) in enumerate(ATTEMPTS):
        status, body, answered = ask(port, path, method, source=f"127.0.1.{number + 1}", **headers)
        assert (status, answered["WWW-Authenticate"]) == (401, "Bearer"), (method, path)
        assert "Authorization" in json.loads(body)["error"]
    told = service.says("refused")
    assert [line["peer"] for line in told] == [f"127.0.1.{n + 1}" for n in range(len(ATTEMPTS))]
    assert {(line["level"], line["why"]) for line in told} == {("warning", "token")}
    ours = {"Authorization": "Bearer " + TOKEN}
    assert ask(port, "/api/states", **ours)[0] == ask(port, "/api/states", Authorization="bearer " + TOKEN)[0] == 200
    assert ask(port, "/health")[0] in (200, 503)
    assert [ask(port, "/api/states", method, **ours)[0] for method in ("POST", "PUT", "DELETE", "HEAD")] == [405] * 4
    for _ in range(50):  # of one peer: counted, and told once
        assert ask(port, "/metrics", source="127.0.2.1")[0] == 401
    assert len([line for line in service.says("refused") if line["peer"] == "127.0.2.1"]) == 1
    shown = series(ask(port, "/metrics", **ours)[1])
    assert shown["bmsd_http_refused_total", "token"] == len(ATTEMPTS) + 50
    assert shown["bmsd_http_refused_total", "method"] == 4
    assert service.stop() == 0
    assert TOKEN not in (tmp_path / "stdout").read_text()
    for place in (p for p in service.state.rglob("*") if p.is_file()):
        assert TOKEN.encode() not in place.read_bytes(), place


def test_a_page_whose_name_leads_here_reads_nothing(service):
    service.start()
    port = port_of(service)
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1.evil.example",
        "localhost.evil",
        "8.8.8.8",
        "[::2]",
        "[",
    ):
        for path in ("/api/states", "/metrics", "/health"):
            assert ask(port, path, Host=host)[0] in (400, 403), (host, path)
    assert service.says("refused")[0]["why"] == "host"
    for host in ("localhost", f"localhost:{port}", f"127.0.0.1:{port}", "[::1]:80", "127.8.8.8"):
        status, _, headers = ask(port, "/api/states", Host=host)
        assert status == 200, host
        assert "Access-Control-Allow-Origin" not in headers


def test_others_are_not_let_in_without_a_token(service):
    service.settings = {"http": {"listen": "0.0.0.0:0"}}
    service.start()
    assert service.process.wait(60) == 2
    said = (service.folder / "stdout").read_text()
    assert "lets other machines in, and there is no token" in said
    assert "config.yaml" in said
    assert not service.state.exists()


def test_clients_that_stall_hold_up_neither_states_nor_a_stop(service, ear):
    service.start()
    port = port_of(service)
    feed(ear, cells=400)
    wait_for(lambda: len(ask(port, "/api/states")[1]) > 50_000, "many states")
    before = memory_kb(service)
    stalled = []
    for number in range(2 * CONNECTIONS_MAX):
        sock = socket.create_connection(("127.0.0.1", port))
        stalled.append(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        sock.sendall((b"", b"GET /api/sta", b"GET /api/states HTTP/1.1\r\nHost: localhost\r\n\r\n")[number % 3])
    for _ in range(3):
        begun, seen = time.monotonic(), len(ear.of("bms/state/p0/c0"))
        ear.publish("bms/telemetry/p0/c0", sample(int(time.time()) + 5 + seen))
        wait_for(lambda seen=seen: len(ear.of("bms/state/p0/c0")) > seen, "a state")
        assert time.monotonic() - begun < 5
    assert memory_kb(service) - before < 20_000
    assert open_files(service) < 100 + CONNECTIONS_MAX
    begun = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - begun < 10
    for sock in stalled:
        sock.close()


def memory_kb(service: Running) -> int:
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def open_files(service: Running) -> int:
    return len(list(Path(f"/proc/{service.process.pid}/fd").iterdir()))


def test_health_follows_the_broker(tmp_path, absent_broker):
    service = Running(tmp_path, absent_broker.port)
    try:
        service.start()
        port = port_of(service)
        status, body, _ = ask(port, "/health")
        assert (status, json.loads(body)["status"]) == (503, "unwell")
        assert json.loads(body)["why"] == [
            f"no connection to the broker for {what}" for what in ("telemetry", "states")
        ]
        absent_broker.start()
        wait_for(lambda: ask(port, "/health")[:2] == (200, b'{"status":"well"}'), "health", 60.0)
        absent_broker.stop(signal.SIGKILL)
        wait_for(lambda: ask(port, "/health")[0] == 503, "the broker to be missed")
        assert series(ask(port, "/metrics")[1])["bmsd_connected", "telemetry"] == 0
    finally:
        service.end()


def test_a_port_that_is_taken_is_told_and_all_else_goes_on(service, ear):
    with socket.create_server(("127.0.0.1", 0)) as other:
        service.settings = {"http": {"listen": f"127.0.0.1:{other.getsockname()[1]}"}}
        service.start()
        wait_for(lambda: service.says("not listening"), "it to be told")
        (line,) = service.says("not listening")
        assert ("in use" in line["why"], "http.listen" in line["mend"]) == (True, True)
        feed(ear, cells=1)
        wait_for(lambda: ear.of("bms/state/p0/c0"), "a state")
        assert service.stop() == 0


def test_over_tls_a_client_with_our_authority_reads_and_plain_http_is_refused(service):
    certify(service.folder, "server", "127.0.0.1")
    files = {
        f"{what}_file": str(service.folder / "bmsd" / f"server.{end}")
        for what, end in (("certificate", "crt"), ("key", "key"))
    }
    service.settings = {"http": {"listen": "127.0.0.1:0", "token": TOKEN, **files}}
    service.start()
    port = port_of(service)
    trusted = ssl.create_default_context(cafile=service.folder / "bmsd" / "authority.crt")
    with closing(http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=trusted)) as connection:
        connection.request("GET", "/api/states", headers={"Authorization": "Bearer " + TOKEN})
        assert connection.getresponse().status == 200
    with pytest.raises((http.client.HTTPException, OSError)):
        ask(port, "/api/states", Authorization="Bearer " + TOKEN)
    wait_for(lambda: service.says("refused"), "the refusal")
    assert service.says("refused")[0]["why"] == "tls"
    assert service.stop() == 0
    assert TOKEN not in (service.folder / "stdout").read_text()


def test_every_metric_of_the_alerts_is_there(service, ear):
    service.settings = {"checkpoint": {"every_second": 0.2}}
    service.start()
    port = port_of(service)
    feed(ear, cells=1)

    def names() -> set[str]:
        return {key[0] for key in series(ask(port, "/metrics")[1])}

    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"][0]["rules"]
    wanted = {name for rule in rules for name in re.findall(r"\bbmsd_\w+", rule["expr"])}
    assert len(wanted) >= 6
    wait_for(lambda: wanted <= names(), f"each of {wanted}")


def test_a_scraper_takes_what_we_ship(service, ear, tmp_path):
    (tmp_path / "victoria").mkdir()
    service.start()
    port = port_of(service)
    feed(ear, cells=2)
    shipped = (DEPLOY / "prometheus.yml").read_text()
    assert shipped.count("127.0.0.1:9464") == 1
    settings = yaml.safe_load(shipped.replace("127.0.0.1:9464", f"127.0.0.1:{port}"))
    scrape = tmp_path / "scrape.yml"
    scrape.write_text(
        yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": settings["scrape_configs"]})
    )
    victoria = make_victoria(tmp_path / "victoria")
    program = victoria.program
    program.command += ["-promscrape.config", str(scrape), "-search.latencyOffset=1s"]
    program.start()
    try:

        def value() -> list[str]:
            path = "/api/v1/query?query=bmsd_samples_journaled_total"
            return [r["value"][1] for r in json.loads(ask(program.port, path)[1])["data"]["result"]]

        wait_for(lambda: value() == ["6"], "the scraped number", 60.0)
    finally:
        program.stop()
