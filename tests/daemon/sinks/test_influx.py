"""daemon/sinks/influx.py: what the lines look like, and what becomes of a point that the server refuses."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr

from daemon.config import InfluxSink as Rule
from daemon.errors import SinkError
from daemon.parcel import Parcel
from daemon.sinks.influx import InfluxSink
from daemon.wire import Event, Health, State
from tests.service.databases import ask, make_influx1, make_victoria


class Server:
    """A server that answers as a test wants, and remembers what it took."""

    def __init__(self) -> None:
        self.answer = lambda lines: (204, "")
        self.lines: list[str] = []
        self.asked: list[tuple[str, str | None]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                lines = body.decode().splitlines()
                server.asked.append((self.path, self.headers.get("Authorization")))
                status, why = server.answer(lines)
                if status == 204:
                    server.lines += lines
                self.send_response(status)
                self.send_header("Content-Length", str(len(why)))
                self.end_headers()
                self.wfile.write(why.encode())

            def log_message(self, *args): ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


def parcel(*cells: str) -> Parcel:
    return Parcel(
        [(f"p0/{c}", State(1_763_700_000.0, 0.5, 0.0, 1.0, 0.25, "ekf-1", ["stale", "clock"])) for c in cells]
    )


async def deliver(rule: Rule, what: Parcel):
    sink = InfluxSink(rule, 0.0)
    await sink.open()
    try:
        return await sink.deliver(what)
    finally:
        await sink.close()


async def test_numbers_are_floats_flags_one_string_and_the_time_is_the_events(server):
    detail = {"c_rate": 1, "why": 'a "b" c', "bad": float("nan")}
    health = Health(1_763_700_001.0, "rest", "svr-1", "rest", 5.0, {"soh": 1, "rul_cycle": float("nan")}, {"soh": 0.5})
    event = Event(1_763_700_000.25, "rest", "end", 1_763_699_000.0, detail)
    what = Parcel(parcel("c0").states, [("p0/c0", event)], [("p0/c0", health)])
    assert await deliver(Rule(url=server.url), what) == []
    tags, event = "pack=p0,cell=c0", "kind=rest,phase=end"
    assert server.lines == [
        f'bmsd,{tags},estimator=ekf-1 soc=0.5,soc_std=0.0,soh=1.0,soh_std=0.25,flags="stale,clock" 1763700000000',
        f'bmsd_event,{tags},{event} begin_second=1763699000.0,c_rate=1.0,why="a \\"b\\" c" 1763700000250',
        (
            f"bmsd_health,{tags},check=rest begin_second=5.0,in_domain=1.0,soh=1.0,soh_std=0.5,"
            'model="svr-1",trigger="rest",refused="" 1763700001000'
        ),
    ]


async def test_each_api_is_asked_at_its_own_address_with_its_own_secret(server):
    await deliver(Rule(url=server.url, org="o", bucket="b", token=SecretStr("t")), parcel("c0"))
    await deliver(Rule(url=server.url, api="v1", bucket="d", username="u", token=SecretStr("p")), parcel("c0"))
    await deliver(Rule(url=server.url, api="v1", bucket="d"), parcel("c0"))
    assert server.asked == [
        ("/api/v2/write?org=o&bucket=b&precision=ms", "Token t"),
        ("/write?db=d&precision=ms", "Basic dTpw"),
        ("/write?db=d&precision=ms", None),
    ]


async def test_a_bad_point_is_set_aside_with_its_reason_and_the_rest_goes_on(server):
    server.answer = lambda lines: (400, "field type conflict") if any("cell=c3," in x for x in lines) else (204, "")
    refused = await deliver(Rule(url=server.url), parcel(*(f"c{k}" for k in range(10))))
    assert [(r.why, "cell=c3," in r.item) for r in refused] == [("400 field type conflict", True)]
    assert sorted(line.split(",")[2] for line in server.lines) == [f"cell=c{k}" for k in range(10) if k != 3]


async def test_a_batch_that_is_too_large_is_parted(server):
    server.answer = lambda lines: (413, "too large") if len(lines) > 3 else (204, "")
    assert await deliver(Rule(url=server.url), parcel(*(f"c{k}" for k in range(10)))) == []
    assert len(server.lines) == 10


MENDS = [(401, "sinks.influx.token"), (404, "v1 needs CREATE DATABASE"), (429, ""), (503, "")]


@pytest.mark.parametrize(("status", "mend"), MENDS)
async def test_what_settings_or_time_mend_is_tried_again(server, status, mend):
    server.answer = lambda lines: (status, "no")
    with pytest.raises(SinkError, match=str(status)) as caught:
        await deliver(Rule(url=server.url), parcel("c0"))
    assert caught.value.retry
    assert mend in caught.value.mend


async def test_a_server_that_is_away_is_said_without_its_query(server):
    server.close()
    with pytest.raises(SinkError, match="cannot be reached") as caught:
        await deliver(Rule(url=server.url, token=SecretStr("hunter2"), timeout_second=1.0), parcel("c0"))
    assert "hunter2" not in str(caught.value)
    server.close = lambda: None


async def test_a_server_that_does_not_answer_is_given_up_in_time(server):
    let_go = threading.Event()
    server.answer = lambda lines: (let_go.wait(20), (204, ""))[1]
    with pytest.raises(SinkError, match="cannot be reached"):
        await deliver(Rule(url=server.url, timeout_second=0.5), parcel("c0"))
    let_go.set()


@pytest.mark.service
async def test_ping_tells_whether_a_server_is_there(tmp_path):
    victoria = make_victoria(tmp_path)
    sink = InfluxSink(Rule(url=f"http://127.0.0.1:{victoria.program.port}", timeout_second=1.0), 0.0)
    await sink.open()
    assert not await sink.ready()
    victoria.program.start()
    assert await sink.ready()
    await sink.close()
    victoria.program.stop()


@pytest.mark.service
async def test_influxdb_refuses_a_point_of_another_type_and_takes_its_neighbours(tmp_path):
    influx = make_influx1(tmp_path)
    influx.program.start()
    try:
        influx.create("bmsd")
        rule = Rule(url=f"http://127.0.0.1:{influx.program.port}", api="v1")
        first = [("p0/c0", Event(1_763_700_000.0, "rest", "end", 1.0, {"why": 1.0}))]
        assert await deliver(rule, Parcel(events=first)) == []
        clash = [
            ("p0/c0", Event(1_763_700_001.0 + k, "rest", "end", 1.0, {"why": "text"} if k == 2 else {}))
            for k in range(5)
        ]
        refused = await deliver(rule, Parcel(events=clash))
        assert len(refused) == 1
        assert "field type conflict" in refused[0].why
        found = ask(influx.program.port, "/query", {"db": "bmsd", "q": "SELECT count(begin_second) FROM bmsd_event"})
        assert found[0]["results"][0]["series"][0]["values"][0][1] == 5
    finally:
        influx.program.stop()
