"""Kills, restarts and outages over a stream of many cells, and what is left of it: python -m tests.service.chaos.

A sender publishes samples at QoS 1 to a real mosquitto while `bmsd run` is killed at random moments, the broker is
stopped (SIGSTOP) or restarted, InfluxDB is away, answers 503 or late and refuses one line in BAD_ONE_IN, the network
is cut or goes silent, and the disk is full. Afterwards the journal is held against what was sent, states, events and
health reports in SQLite, and states in InfluxDB, against those of a fleet that took the same samples in one go, what
was set aside against what InfluxDB refused, and the fleet's memory against that fleet's, bit for bit. Left out of the
memory is what tells when samples came, and in which company, not what they said: when a cell was heard, which pack's
summary is due, the counters.

The broker is stopped by SIGTERM: what it acknowledged and had not saved, a killed broker loses, and no subscriber can
mend that (docs/promises.md).
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.service import disks
from tests.service.databases import Influx1, make_influx1
from tests.service.faulty import Faulty, one_in
from tests.service.mosquitto import make_mosquitto
from tests.service.network import Network
from tests.service.programs import Program, wait_for
from tests.service.running import Running
from tests.service.streams import Cycling, Sender, Stream
from tests.service.undisturbed import Comparison, ask, harm, journaled

LIVES = 0.8  # of the starts; the others may be killed before they are through
DISK_BYTES = 268_435_456  # of the state directory, where we may mount it
FULL_BYTES = 200_000  # elsewhere: beyond which no file of the service grows while its disk is full
BAD_ONE_IN = 500  # lines are refused by the database
LATE_SECOND = 5.0  # that a slow database takes for an answer
DEADLINE_SECOND = 120.0  # of a health check: on a busy machine, none is to be given up
PATIENCE_SECOND = 600.0  # a busy machine takes long over what the last kills left to do
FULL_SAID = "cannot write: database or disk is full"


@dataclass
class Chaos:
    """One trial in a folder of its own."""

    folder: Path
    seed: int
    with_influx: bool = True
    estimator: str = "ekf"
    checks: bool = False
    counts: Counter[str] = field(default_factory=Counter)

    def run(self, kills: int, longest_second: float = 900.0) -> dict[str, int]:
        """Do so many kills, fewer where time is up; returns what was counted."""
        with disks.small_disk(self.folder / "state", DISK_BYTES) as self._small:
            return self._run(kills, longest_second)

    def _run(self, kills: int, longest_second: float) -> dict[str, int]:
        self._random, self._stream = random.Random(self.seed), (Cycling if self.checks else Stream)(self.seed)
        broker, influx = self._servers()
        network = Network(broker.port)
        self._faulty = Faulty(influx.program.port if influx else 0, one_in(BAD_ONE_IN))
        service = Running(self.folder, network.port, self._settings(influx), ("-m", "daemon.cli"))
        service.configure(**service.settings)
        sender = Sender(broker.port, self._stream)
        try:
            until = time.monotonic() + longest_second
            service.start()
            # before it has subscribed, the broker keeps nothing for it
            wait_for(lambda: _said(service, "connected") >= 2, "both connections", PATIENCE_SECOND)
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
                    wait_for(begun, "the service to start", PATIENCE_SECOND)
            sent = sender.end()
            self.counts["full disks, said"] = (service.folder / "stdout").read_text(errors="replace").count(FULL_SAID)
            self._settle(service, sent)
            said = {f"answers of the database: {status}": n for status, n in sorted(self._faulty.answers.items())}
            return {**dict(sorted(self.counts.items())), **said, **self._compare(service, sent, influx)}
        finally:
            sender.give_up()
            service.end()
            network.close()
            self._faulty.close()
            for server in (broker, *((influx.program,) if influx else ())):
                server.stop()

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
        kinds = {"model*": self.estimator, "count*": "coulomb"}
        packs = [{"pattern": p, "cell_type": "panasonic-18650pf", "estimator": name} for p, name in kinds.items()]
        address = {"url": f"http://127.0.0.1:{self._faulty.port}", "api": "v1"} if influx else {}
        return {
            "mqtt": {"group_second": 0.05},
            "cells": {"packs": packs},
            "grid": {"max_hold_second": 3_600.0},  # nobody is stale: that is our clock's to say
            "health": {"enabled": self.checks, "deadline_second": DEADLINE_SECOND},
            "checkpoint": {"every_second": 0.5},
            "sinks": {"outbox": {"flush_second": 0.1}, "influx": {"enabled": influx is not None, **address}},
        }

    def _harm(self, service: Running, broker: Program, network: Network, influx: Influx1 | None) -> None:
        """Let one thing go wrong for a while, or nothing."""
        match self._random.randrange(14):
            case 0:
                self.counts["broker restarts"] += 1
                with broker.away():
                    self._pass(1.0)
            case 1:
                self.counts["broker stops"] += 1
                with broker.frozen():
                    self._pass(2.0)
            case 2 if influx:
                self.counts["database outages"] += 1
                with influx.program.away():
                    self._pass(2.0)
            case 3:
                self.counts["network cuts"] += 1
                self._pass(2.0)
                network.cut()
            case 4:
                self.counts["network silences"] += 1
                with network.silent():
                    self._pass(2.0)
            case 5:
                self.counts["full disks"] += 1
                self._pass(2.0)
                self._fill_disk(service)
            case 6 if influx:
                self.counts["database answers 503"] += 1
                self._faulty.away = True
                self._pass(2.0)
                self._faulty.away = False
            case 7 if influx:
                self.counts["database slow"] += 1
                self._faulty.late_second = LATE_SECOND
                self._pass(2.0)
                self._faulty.late_second = 0.0

    def _fill_disk(self, service: Running) -> None:
        assert service.process is not None
        if self._small:
            disks.fill(service.state)
            self._pass(4.0)
            disks.empty(service.state)
            return
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
        wait_for(lambda: journaled(journal)[0] >= sent, "every sample in the journal", PATIENCE_SECOND)
        assert service.stop(timeout_second=PATIENCE_SECOND) == 0
        before, waits = _said(service, "caught up"), "SELECT coalesce(sum(items), 0) FROM sink"
        service.start()
        wait_for(lambda: _said(service, "caught up") > before, "the journal's end", PATIENCE_SECOND)
        wait_for(lambda: ask(outbox, waits) == [(0,)], "every state delivered", PATIENCE_SECOND)
        assert service.stop(timeout_second=PATIENCE_SECOND) == 0

    def _compare(self, service: Running, sent: int, influx: Influx1 | None) -> dict[str, int]:
        comparison = Comparison(service.folder, self._stream, sent)
        comparison.samples()
        comparison.store()
        if self.checks:
            comparison.reports()
        if influx:
            comparison.database(influx, self._faulty)
        comparison.memory()
        return comparison.counts


def _said(service: Running, event: str) -> int:
    return (service.folder / "stdout").read_text(errors="replace").count(f'"event": "{event}"')


def _ended(service: Running) -> bool:
    return service.process is None or service.process.poll() is not None


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill bmsd often, and count what is lost: nothing.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--longest-second", type=float, default=900.0, help="of killing")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--estimator", default="ekf", help="of six of the nine cells; the others are counted")
    parser.add_argument("--checks", action="store_true", help="run health checks; the cells are then simulated ones")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bmsd-chaos-"))
    print(f"seed {args.seed}; what is left of it, where something is wrong: {folder}", file=sys.stderr)
    chaos = Chaos(folder, args.seed, estimator=args.estimator, checks=args.checks)
    counts = chaos.run(args.kills, args.longest_second)
    for name, count in counts.items():
        print(f"{count:>9}  {name}")
    if any(harm(counts).values()):
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
