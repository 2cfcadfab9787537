"""Many cells at many times their pace for an hour, with faults in between: python -m tests.service.soak.

A process of its own publishes simulated cells to a real mosquitto; `bmsd run` with `ekf` and health checks takes them
and writes to SQLite and VictoriaMetrics. Meanwhile the broker is stopped or restarted, the database is away, the
network is cut or silent, and messages come that nobody can read. Nobody kills the service: the memory of one process
is watched, and its slope after the warm-up must stay under 1 MB an hour. At the end the books are held against what
was sent, sample by sample: nothing lost, nothing invented, both stores alike.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.journal import read as read_journal
from tests.fuzz import payloads
from tests.service.databases import Victoria, make_victoria
from tests.service.mosquitto import make_mosquitto
from tests.service.network import Network
from tests.service.programs import Program, wait_for
from tests.service.running import ROOT, Ear, Running
from tests.service.soaking import BEGIN_SECOND, PREFIX, number
from tests.service.undisturbed import harm

SLOPE_MAX = 1.0  # MB an hour
LOOK_SECOND = 10.0
SETTLE_SECOND = 3.0  # for the last block to go from the journal to the outbox
PATIENCE_SECOND = 600.0  # a busy machine takes long over what was left behind
HOSTILE = 100  # messages at a time
SINKS = ("mqtt", "sqlite", "influx")


@dataclass
class Look:
    """What the service weighs at one moment."""

    second: float  # since the start
    rss_mb: float
    pss_mb: float
    tick_p99_ms: float
    behind_second: float  # of event time, behind what is due


@dataclass
class Soak:
    """One trial in a folder of its own."""

    folder: Path
    cells: int = 200
    speed: float = 60.0
    second: float = 3_600.0
    fault_second: float = 30.0  # between two faults
    look_second: float = LOOK_SECOND
    seed: int = 1
    looks: list[Look] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    hostile: int = 0

    def run(self) -> dict[str, int]:
        """Let time pass; returns what was counted."""
        self._random = random.Random(self.seed)
        self._seconds = int(self.second * self.speed)
        self._seen = np.zeros((self.cells, self._seconds), dtype=np.bool_)
        self._read = self._copies = self._newest = 0
        for name in ("mosquitto", "database"):
            (self.folder / name).mkdir()
        broker, database = make_mosquitto(self.folder / "mosquitto"), make_victoria(self.folder / "database")
        broker.start()
        database.program.start()
        network = Network(broker.port)
        service = Running(self.folder, network.port, _settings(database), ("-m", "daemon.cli"))
        service.configure(**service.settings)
        ear, cells = Ear(broker.port, "bms/status/metrics"), None
        try:
            service.start()
            wait_for(lambda: len(service.says("connected")) >= 2, "both connections", PATIENCE_SECOND)
            self._began = time.monotonic()
            cells = self._publish(broker.port)
            self._pass_time(service, broker, database, network, ear, cells)
            assert cells.returncode == 0, "what publishes the cells has failed"
            return self._settle(service, database, ear)
        finally:
            if cells is not None and cells.poll() is None:
                cells.kill()
                cells.wait()
            ear.close()
            service.end()
            network.close()
            for server in (broker, database.program):
                server.stop()

    @property
    def _sent(self) -> Path:
        return self.folder / "sent.npy"

    def _publish(self, port: int) -> subprocess.Popen[bytes]:
        words = [port, self.cells, self._seconds, self.speed, self._sent]
        command = [sys.executable, "-m", "tests.service.soaking", *map(str, words)]
        with (self.folder / "cells").open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def _pass_time(
        self,
        service: Running,
        broker: Program,
        database: Victoria,
        network: Network,
        ear: Ear,
        cells: subprocess.Popen[bytes],
    ) -> None:
        """Look now and then, in a thread, and let something go wrong now and then, until all was published."""
        over = threading.Event()
        looking = threading.Thread(target=self._watch, args=(service, ear, over))
        looking.start()
        try:
            while cells.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    cells.wait(self._random.uniform(0.5, 1.5) * self.fault_second)
                    return
                self._harm(broker, database, network, ear)
        finally:
            over.set()
            looking.join()

    def _watch(self, service: Running, ear: Ear, over: threading.Event) -> None:
        while not over.wait(self.look_second):
            self._follow(service)
            assert service.process is not None
            now, metrics = time.monotonic() - self._began, _metrics(ear)
            due = min(now * self.speed, self._seconds)
            rss, pss = resident_mb(service.process.pid)
            self.looks.append(Look(now, rss, pss, metrics.get("tick_p99_ms", 0.0), due - self._newest))
            with (self.folder / "looks.jsonl").open("a") as file:
                file.write(json.dumps(self.looks[-1].__dict__) + "\n")

    def _follow(self, service: Running) -> None:
        """Note which samples have come to the journal since the last look."""
        for block in read_journal(service.state / "journal.sqlite", self._read):
            batch, self._read = block.batch, block.position.block
            cell = np.array([number(name, self.cells) for name in batch.cells])[batch.cell]
            second = (batch.unix_time_second - BEGIN_SECOND).astype(np.int64)
            new = np.unique(np.stack([cell, second]), axis=1)
            self._copies += len(batch) - int(np.count_nonzero(~self._seen[new[0], new[1]]))
            self._seen[new[0], new[1]] = True
            self._newest = max(self._newest, int(second.max()) + 1)

    def _harm(self, broker: Program, database: Victoria, network: Network, ear: Ear) -> None:
        """Let one thing go wrong for a while."""
        kind = self._random.choice(
            ("broker restarts", "broker stops", "database outages", "network cuts", "network silences", "bad messages")
        )
        self.faults[kind] = self.faults.get(kind, 0) + 1
        last = self._random.uniform(0.5, 3.0)
        match kind:
            case "broker restarts":
                with broker.away():
                    time.sleep(last)
            case "broker stops":
                with broker.frozen():
                    time.sleep(last)
            case "database outages":
                with database.program.away():
                    time.sleep(5.0 * last)
            case "network cuts":
                network.cut()
            case "network silences":
                with network.silent():
                    time.sleep(last)
            case "bad messages":
                for _ in range(HOSTILE):  # of a pack that is none of ours: not one of them can be taken
                    ear.publish("bms/telemetry/stranger/c0", payloads.payload(self._random), wait=False)
                self.hostile += HOSTILE

    def _settle(self, service: Running, database: Victoria, ear: Ear) -> dict[str, int]:
        """Wait until everything has arrived everywhere, and count."""
        sent = np.unpackbits(np.load(self._sent), axis=1, count=self._seconds).astype(np.bool_)
        with suppress(pytest.fail.Exception):  # the counts tell better what did not come
            wait_for(lambda: self._follow(service) or not np.any(sent & ~self._seen), "every sample", PATIENCE_SECOND)
            now = time.time()  # the journal is ahead of the tick, and that of the metrics
            wait_for(lambda: _is_still(_metrics(ear), now + SETTLE_SECOND), "every state delivered", PATIENCE_SECOND)
        metrics = _metrics(ear)
        stopped = service.stop(timeout_second=PATIENCE_SECOND)
        rows, stored, kept = stored_rows(service.state / "states.sqlite"), database.counts(), _kept(service)
        produced = {s: metrics["carried"][s] + metrics["published"] for s in SINKS}
        settled = {s: sum(metrics[k][s] for k in ("waiting", "delivered", "dropped", "refused")) for s in SINKS}
        rejected = sum(metrics["rejected"].values())
        return {
            **self.faults,
            "bad messages, all in all": self.hostile,
            "samples sent": int(sent.sum()),
            "samples journaled": metrics["journaled"],
            "samples twice": self._copies,
            "samples lost": int(np.count_nonzero(sent & ~self._seen)),
            "samples invented": int(np.count_nonzero(self._seen & ~sent)),
            "offered": metrics["offered"],
            "rejected": rejected,
            "shed": metrics["rejected"].get("shed", 0),
            "duplicate": metrics["duplicate"],
            "late": metrics["late"],
            "seconds estimated": metrics["rows"],
            "offered unequal": metrics["offered"] - metrics["journaled"] - rejected,
            "published": metrics["published"],
            **{f"delivered to {s}": metrics["delivered"][s] for s in SINKS},
            **{f"balance of {s} unequal": produced[s] - settled[s] for s in SINKS},
            "dropped, lost": sum(metrics["dropped"].values()),
            "refused, lost": sum(metrics["refused"].values()),
            "sqlite rows": kept,
            "sqlite rows unequal": metrics["published"] - kept,
            "sqlite states": sum(rows.values()),
            "influx states": sum(stored.values()),
            "influx states unequal": sum(rows.get(c, 0) != stored.get(c, 0) for c in rows.keys() | stored.keys()),
            "status at the end unequal": stopped,
        }

    def slope_mb_per_hour(self, warm_up_second: float) -> float:
        """Fit a line to the resident memory after the warm-up, by least squares; NaN where there are too few looks."""
        after = [(look.second / 3_600.0, look.rss_mb) for look in self.looks if look.second >= warm_up_second]
        return float(np.polyfit(*zip(*after, strict=True), 1)[0]) if len(after) > 2 else float("nan")


def _settings(database: Victoria) -> dict[str, dict]:
    packs = [{"pattern": f"{PREFIX}*", "cell_type": "panasonic-18650pf", "estimator": "ekf"}]
    address = {"url": f"http://127.0.0.1:{database.program.port}", "api": "v2"}
    return {
        "mqtt": {"group_second": 0.05},
        "cells": {"packs": packs},
        "grid": {"max_hold_second": 3_600.0},  # nobody is stale: that is our clock's to say
        "publish": {"soc_dead_band": 0.001, "metrics_second": 1.0, "pack_second": 1.0},
        "sinks": {"outbox": {"flush_second": 1.0}, "influx": {"enabled": True, **address}},
    }


def resident_mb(pid: int) -> tuple[float, float]:
    """Tell how much memory a process holds: resident, and its share of what is shared, in MB."""
    lines = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]]
    size = {words[0]: int(words[1]) * 1_024 / 1e6 for words in lines}
    return round(size["Rss:"], 3), round(size["Pss:"], 3)


def stored_rows(path: Path) -> dict[tuple[str, str], int]:
    """Count the states in the embedded store by pack and cell."""
    with closing(sqlite3.connect(path)) as file:
        rows = file.execute("SELECT pack, cell, count(*) FROM state GROUP BY pack, cell")
        return {(pack, cell): count for pack, cell, count in rows}


def _kept(service: Running) -> int:
    """Count all that the embedded store keeps: states, events and health reports."""
    with closing(sqlite3.connect(service.state / "states.sqlite")) as file:
        return sum(file.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("state", "event", "health"))


def _is_still(metrics: dict[str, Any], after_second: float) -> bool:
    """Tell whether nothing is on its way, as of a moment that is late enough."""
    late_enough = metrics.get("unix_time_second", 0.0) > after_second
    return late_enough and not metrics["unacknowledged"] and not sum(metrics["waiting"].values())


def _metrics(ear: Ear) -> dict[str, Any]:
    return json.loads(ear.last("bms/status/metrics") or b"{}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Run bmsd for long beside faults, and watch its memory and its books.")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--speed", type=float, default=60.0, help="times real time")
    parser.add_argument("--warm-up-minutes", type=float, default=10.0)
    parser.add_argument("--fault-second", type=float, default=30.0, help="mean time between two faults")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bmsd-soak-"))
    print(f"seed {args.seed}; what is left of it, where something is wrong: {folder}", file=sys.stderr)
    soak = Soak(folder, args.cells, args.speed, args.minutes * 60.0, args.fault_second, seed=args.seed)
    counts = soak.run()
    for name, count in counts.items():
        print(f"{count:>12}  {name}")
    slope = soak.slope_mb_per_hour(args.warm_up_minutes * 60.0)
    warm = next((look for look in soak.looks if look.second >= args.warm_up_minutes * 60.0), soak.looks[-1])
    table = {
        f"RSS at {warm.second / 60.0:.0f} min, MB": warm.rss_mb,
        f"RSS at {soak.looks[-1].second / 60.0:.0f} min, MB": soak.looks[-1].rss_mb,
        "RSS at most, MB": max(look.rss_mb for look in soak.looks),
        "PSS at the end, MB": soak.looks[-1].pss_mb,
        "slope of RSS, MB/h": slope,
        "tick p99 at the end, ms": soak.looks[-1].tick_p99_ms,
        "tick p99 at most, ms": max(look.tick_p99_ms for look in soak.looks),
        "event time behind at most, s": max(look.behind_second for look in soak.looks),
    }
    for name, value in table.items():
        print(f"{value:>12.2f}  {name}")
    if any(harm(counts).values()) or not slope < SLOPE_MAX:
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
