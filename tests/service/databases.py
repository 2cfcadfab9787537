"""Real time-series servers on free loopback ports: VictoriaMetrics (API v2) and InfluxDB 1.6 (API v1)."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tests.service.programs import Program, free_port, needs


def ask(port: int, path: str, query: dict[str, str], post: bool = False) -> list[dict]:
    """Ask a server; answers the JSON lines or the one JSON document that it gives."""
    url = f"http://127.0.0.1:{port}{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(urllib.request.Request(url, method="POST" if post else "GET"), timeout=10) as answer:
        return [json.loads(line) for line in answer.read().decode().splitlines() if line]


@dataclass
class Victoria:
    """VictoriaMetrics."""

    program: Program
    api: str = "v2"

    def stored(self) -> dict[tuple[str, str, float], float]:
        """SOC by pack, cell and second."""
        ask(self.program.port, "/internal/force_flush", {})
        rows = {}
        for series in ask(self.program.port, "/api/v1/export", {"match[]": "bmsd_soc"}):
            name = series["metric"]
            for value, stamp in zip(series["values"], series["timestamps"], strict=True):
                rows[name["pack"], name["cell"], stamp / 1_000] = value
        return rows

    def counts(self) -> dict[tuple[str, str], int]:
        """Count the states by pack and cell; a point that was written twice is one."""
        ask(self.program.port, "/internal/force_flush", {})
        query = {"query": "sum by (pack, cell) (count_over_time(bmsd_soc[10y]))", "time": str(time.time())}
        series = ask(self.program.port, "/api/v1/query", query)[0]["data"]["result"]
        return {(one["metric"]["pack"], one["metric"]["cell"]): int(one["value"][1]) for one in series}


@dataclass
class Influx1:
    """InfluxDB 1.6."""

    program: Program
    api: str = "v1"

    def create(self, database: str) -> None:
        ask(self.program.port, "/query", {"q": f"CREATE DATABASE {database}"}, post=True)

    def stored(self) -> dict[tuple[str, str, float], float]:
        """SOC by pack, cell and second."""
        query = {"db": "bmsd", "q": "SELECT soc, pack, cell FROM bmsd", "epoch": "ms"}
        series = ask(self.program.port, "/query", query)[0]["results"][0].get("series", [])
        return {(pack, cell, stamp / 1_000): soc for one in series for stamp, soc, pack, cell in one["values"]}


def make_victoria(folder: Path) -> Victoria:
    """Prepare a server; it is not started yet."""
    program, port = needs("victoria-metrics", "victoria-metrics"), free_port()
    options = [f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={folder}/data", "-retentionPeriod=100y"]
    options += ["-dedup.minScrapeInterval=1ms"]  # of one time and series, the last written counts
    return Victoria(Program([program, *options], port, folder))


def make_influx1(folder: Path) -> Influx1:
    """Prepare a server; it is not started yet."""
    program, port, rpc = needs("influxd", "influxdb"), free_port(), free_port()
    (folder / "influxdb.conf").write_text(
        f'reporting-disabled = true\nbind-address = "127.0.0.1:{rpc}"\n'
        f'[meta]\ndir = "{folder}/meta"\n[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\n'
        f'[http]\nbind-address = "127.0.0.1:{port}"\n'
    )
    return Influx1(Program([program, "run", "-config", str(folder / "influxdb.conf")], port, folder))
