"""Kills, restarts and outages over a stream of many cells, and what is left of it: python -m tests.service.chaos.

A sender publishes samples at QoS 1 to a real mosquitto while `bmsd run` is killed at random moments, the broker is
stopped (SIGSTOP) or restarted, InfluxDB is away, the network is cut or goes silent, and the disk is full. Afterwards
the journal is held against what was sent, states and events in SQLite and InfluxDB against those of a fleet that took
the same samples in one go, and the fleet's memory against that fleet's, bit for bit. Left out of the memory is what
tells when samples came, and in which company, not what they said: when a cell was heard, which pack's summary is due,
the counters.

The broker is stopped by SIGTERM: what it acknowledged and had not saved, a killed broker loses, and no subscriber can
mend that (docs/promises.md).
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import paho.mqtt.client as paho
import yaml
from paho.mqtt.enums import CallbackAPIVersion

from daemon import memory
from daemon.batch import Batch
from daemon.checkpoint import read as read_checkpoint
from daemon.config import Config
from daemon.fleet import Fleet
from daemon.journal import read as read_journal
from daemon.parcel import Parcel
from daemon.publish import Publisher
from tests.service.databases import Influx1, make_influx1
from tests.service.mosquitto import make_mosquitto
from tests.service.network import Network
from tests.service.programs import Program, wait_for
from tests.service.running import Running

CELLS = tuple(f"{pack}/c{k}" for pack in ("ekf0", "ekf1", "count0") for k in range(3))
BEGIN_SECOND = 1_763_700_000
PHASE_SECOND = 90
BATCH_SECOND = 100
LIVES = 0.8  # of the starts; the others may be killed before they are through
FULL_BYTES = 200_000  # beyond which no file of the service grows while its disk is full
ON_THE_WAY_MAX = 20  # as many as paho has in flight: none waits in its queue
UNEQUAL = ("/clock_offset", "/heard", "/now", "/changed", "/counters/")  # told by the clock, or by the company


class Stream:
    """Sample number k is second k // cells of cell k % cells; drawn as far as it is wanted, always the same."""

    def __init__(self, seed: int) -> None:
        self._noise = np.random.default_rng(seed)
        self._values = np.empty((0, 3))

    def sample(self, number: int) -> tuple[str, float, float, float, float]:
        while number >= len(self._values):
            self._values = np.concatenate([self._values, self._draw(4_096 * len(CELLS))])
        volt, ampere, celsius = self._values[number].tolist()
        second = number // len(CELLS)
        direction = (0.0, 1.0, 0.0, -1.0)[second // PHASE_SECOND % 4]  # rest, charge, rest, discharge
        return CELLS[number % len(CELLS)], BEGIN_SECOND + second + 0.25, volt, direction * ampere, celsius

    def _draw(self, count: int) -> np.ndarray:
        ranges = ((3.3, 4.1), (0.5, 3.0), (15.0, 35.0))
        return np.stack([np.round(self._noise.uniform(*r, count), 4) for r in ranges], axis=1)


class Sender(threading.Thread):
    """Publishes sample after sample, as fast as it is asked to, until told to stop.

    Always in order: after a lost connection paho sends what was on its way again, and would send new ones before it.
    """

    def __init__(self, port: int, stream: Stream, rate: float) -> None:
        super().__init__(name="sender")
        self.sent = self._settled = 0
        self._stream, self._rate, self._enough = stream, rate, threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "sender", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._in_order = True
        self._client.on_publish = lambda *_: self._settle()
        self._client.on_disconnect = lambda *_: self._lost()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def run(self) -> None:
        began = time.monotonic()
        while not self._enough.is_set():
            self._in_order |= self._settled == self.sent
            due = min(int((time.monotonic() - began) * self._rate), self._settled + ON_THE_WAY_MAX)
            while self._in_order and self.sent < due:
                cell, second, volt, ampere, celsius = self._stream.sample(self.sent)
                body = {"unix_time_second": second, "voltage_volt": volt, "current_ampere": ampere}
                if celsius > 20.0:  # else the pack's latest is taken
                    body["temperature_celsius"] = celsius
                self._client.publish(f"bms/telemetry/{cell}", json.dumps(body), 1)
                self.sent += 1
            self._enough.wait(0.01)

    def end(self) -> int:
        """Stop; returns how many samples the broker has acknowledged: all."""
        self._enough.set()
        self.join()
        wait_for(lambda: self._settled == self.sent, "the broker to take what was sent", 60.0)
        self._client.disconnect()
        self._client.loop_stop()
        return self.sent

    def _settle(self) -> None:
        self._settled += 1

    def _lost(self) -> None:
        self._in_order = False


@dataclass
class Chaos:
    """One trial in a folder of its own."""

    folder: Path
    seed: int
    rate: float = 300.0
    with_influx: bool = True
    counts: Counter[str] = field(default_factory=Counter)

    def run(self, kills: int, longest_second: float = 900.0) -> dict[str, int]:
        """Do so many kills, fewer where time is up; returns what was counted."""
        self._random, self._stream = random.Random(self.seed), Stream(self.seed)
        broker, influx = self._servers()
        network = Network(broker.port)
        service = Running(self.folder, network.port, self._settings(influx), ("-m", "daemon.cli"))
        service.configure(**service.settings)
        sender = Sender(broker.port, self._stream, self.rate)
        try:
            until = time.monotonic() + longest_second
            service.start()
            # before it has subscribed, the broker keeps nothing for it
            wait_for(lambda: _said(service, "connected") >= 2, "both connections", 60.0)
            sender.start()
            while self.counts["kills"] < kills and time.monotonic() < until:
                self._harm(service, broker, network, influx)
                self._pass(3.0)
                self.counts["kills"] += 1
                self.counts["ends of its own"] += _ended(service)  # it cannot start on a full disk
                service.stop(signal.SIGKILL)
                starts = _said(service, "started")
                service.start()
                if self._random.random() < LIVES:
                    begun = lambda n=starts: _said(service, "started") > n or _ended(service)  # noqa: E731
                    wait_for(begun, "the service to start", 60.0)
            sent = sender.end()
            self._settle(service, sent)
            self._compare(service, sent, influx)
        finally:
            sender._enough.set()
            service.end()
            network.close()
            for server in (broker, *((influx.program,) if influx else ())):
                server.stop()
        return dict(self.counts)

    def _servers(self) -> tuple[Program, Influx1 | None]:
        for name in ("mosquitto", "influx"):
            (self.folder / name).mkdir()
        broker = make_mosquitto(self.folder / "mosquitto")
        broker.start()
        influx = make_influx1(self.folder / "influx") if self.with_influx else None
        if influx:
            influx.program.start()
            influx.create("bmsd")
        return broker, influx

    def _settings(self, influx: Influx1 | None) -> dict[str, dict]:
        kinds = {"ekf*": "ekf", "count*": "coulomb"}
        packs = [{"pattern": p, "cell_type": "panasonic-18650pf", "estimator": name} for p, name in kinds.items()]
        address = {"url": f"http://127.0.0.1:{influx.program.port}", "api": "v1"} if influx else {}
        return {
            "mqtt": {"group_second": 0.05},
            "cells": {"packs": packs},
            "grid": {"max_hold_second": 3_600.0},  # nobody is stale: that is our clock's to say
            "health": {"enabled": False},
            "checkpoint": {"every_second": 0.5},
            "sinks": {"outbox": {"flush_second": 0.1}, "influx": {"enabled": influx is not None, **address}},
        }

    def _harm(self, service: Running, broker: Program, network: Network, influx: Influx1 | None) -> None:
        """Let one thing go wrong for a while, or nothing."""
        assert broker.process is not None
        assert service.process is not None
        match self._random.randrange(12):
            case 0:
                self.counts["broker restarts"] += 1
                broker.stop()
                self._pass(1.0)
                broker.start()
            case 1:
                self.counts["broker stops"] += 1
                broker.process.send_signal(signal.SIGSTOP)
                self._pass(2.0)
                broker.process.send_signal(signal.SIGCONT)
            case 2 if influx:
                self.counts["database outages"] += 1
                influx.program.stop()
                self._pass(2.0)
                influx.program.start()
            case 3:
                self.counts["network cuts"] += 1
                self._pass(2.0)
                network.cut()
            case 4:
                self.counts["network silences"] += 1
                network.hold()
                self._pass(2.0)
                network.release()
            case 5:
                self.counts["full disks"] += 1
                self._pass(2.0)
                for soft in (FULL_BYTES, resource.RLIM_INFINITY):
                    with suppress(ProcessLookupError):
                        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))
                    self._pass(2.0)

    def _pass(self, longest_second: float) -> None:
        time.sleep(self._random.uniform(0.0, longest_second))

    def _settle(self, service: Running, sent: int) -> None:
        """Wait until everything has arrived everywhere, and stop in due form."""
        journal, outbox = service.state / "journal.sqlite", service.state / "outbox.sqlite"
        if _ended(service):
            service.start()
        wait_for(lambda: _journaled(journal)[0] >= sent, "every sample in the journal", 120.0)
        assert service.stop() == 0
        before, waits = _said(service, "caught up"), "SELECT coalesce(sum(items), 0) FROM sink"
        service.start()
        wait_for(lambda: _said(service, "caught up") > before, "the journal's end", 120.0)
        wait_for(lambda: _ask(outbox, waits) == [(0,)], "every state delivered", 120.0)
        assert service.stop() == 0

    def _compare(self, service: Running, sent: int, influx: Influx1 | None) -> None:
        found, copies = _journaled(service.state / "journal.sqlite")
        self.counts["samples sent"], self.counts["samples twice"] = sent, copies
        self.counts["samples lost"], self.counts["samples invented"] = max(0, sent - found), max(0, found - sent)
        config = Config.model_validate(yaml.safe_load((service.folder / "config.yaml").read_text()))
        fleet, publisher, said = _undisturbed(config, self._stream, sent)
        rows = {
            (*name.split("/"), s.unix_time_second): (s.soc, s.soc_std, s.soh, s.soh_std, ",".join(s.flags))
            for name, s in said.states
        }
        query = "SELECT pack, cell, unix_time_second, soc, soc_std, soh, soh_std, flags FROM state"
        stored = {row[:3]: row[3:] for row in _ask(service.state / "states.sqlite", query)}
        self._hold_against("sqlite states", rows, stored)
        events = {(*name.split("/"), e.unix_time_second, e.kind, e.phase): e.begin_second for name, e in said.events}
        query = "SELECT pack, cell, unix_time_second, kind, phase, begin_second FROM event"
        kept = {row[:5]: row[5] for row in _ask(service.state / "states.sqlite", query)}
        self._hold_against("sqlite events", events, kept)
        if influx:
            self._hold_against("influx states", {key: value[0] for key, value in rows.items()}, influx.stored())
        _, after = read_checkpoint(service.state / "fleet.ckpt")
        unequal = _unequal(memory.take(fleet, publisher), after)
        self.counts["arrays unequal"] = len(unequal)
        if unequal:
            print("unequal:", ", ".join(unequal), file=sys.stderr)

    def _hold_against(self, what: str, wanted: dict, found: dict) -> None:
        self.counts[what] = len(wanted)
        self.counts[f"{what} lost"] = len(wanted.keys() - found.keys())
        self.counts[f"{what} invented"] = len(found.keys() - wanted.keys())
        self.counts[f"{what} unequal"] = sum(found[key] != wanted[key] for key in wanted.keys() & found.keys())


def _said(service: Running, event: str) -> int:
    return (service.folder / "stdout").read_text(errors="replace").count(f'"event": "{event}"')


def _ended(service: Running) -> bool:
    return service.process is None or service.process.poll() is not None


def _journaled(path: Path) -> tuple[int, int]:
    """Count the samples in a journal, and the copies among them."""
    seen: set[tuple[str, float]] = set()
    total = 0
    for block in read_journal(path):
        batch = block.batch
        seen.update(zip(np.array(batch.cells)[batch.cell].tolist(), batch.unix_time_second.tolist(), strict=True))
        total += len(batch)
    return len(seen), total - len(seen)


def _ask(path: Path, query: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as file:
        return file.execute(query).fetchall()


def _undisturbed(config: Config, stream: Stream, sent: int) -> tuple[Fleet, Publisher, Parcel]:
    """What a fleet says that took all samples in one go."""
    fleet, publisher, parcels = Fleet(config), Publisher(config), []
    step = BATCH_SECOND * len(CELLS)
    for begin in range(0, sent, step):
        samples = [stream.sample(number) for number in range(begin, min(begin + step, sent))]
        second, volt, ampere, celsius = np.array([sample[1:] for sample in samples]).T
        cell = np.arange(begin, begin + len(samples)) % len(CELLS)
        celsius = np.where(celsius > 20.0, celsius, np.nan)
        output = fleet.push(Batch(CELLS, cell.astype(np.int32), second, volt, ampere, celsius))
        parcels.append(publisher.take(output, fleet.names, fleet.labels, 0.0))
    return fleet, publisher, Parcel.join(parcels)


def _unequal(one: memory.Memory, other: memory.Memory) -> list[str]:
    """Name the arrays and facts that differ."""
    arrays = [n for n, a in one.arrays.items() if a.tobytes() != other.arrays[n].tobytes()]
    facts = [n for n, fact in one.facts.items() if memory._like(fact, other.facts[n]) != fact]
    return [name for name in arrays + facts if not any(part in name for part in UNEQUAL)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill bmsd often, and count what is lost: nothing.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--longest-second", type=float, default=900.0, help="of killing")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bmsd-chaos-"))
    print(f"seed {args.seed}; what is left of it, where something is wrong: {folder}", file=sys.stderr)
    counts = Chaos(folder, args.seed).run(args.kills, args.longest_second)
    for name, count in counts.items():
        print(f"{count:>9}  {name}")
    if any(harm(counts).values()):
        return 1
    shutil.rmtree(folder)
    return 0


def harm(counts: dict[str, int]) -> dict[str, int]:
    """Pick what must be zero."""
    return {name: n for name, n in counts.items() if name.endswith(("lost", "invented", "unequal"))}


if __name__ == "__main__":
    sys.exit(main())
