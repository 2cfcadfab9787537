"""Hostile messages by the million, and hostile files by the thousand: python -m tests.fuzz --payloads 1000000.

Nothing may raise but the errors that a person is told; every sample is taken or counted, and what is taken is in its
range; nothing takes long; memory stays where it was after the first tenth. What is taken goes on into a fleet.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from daemon.batch import Batch, BatchBuilder
from daemon.config import Cells, Config, Mqtt, PackRule, read_config
from daemon.errors import BmsdError
from daemon.fleet import Fleet
from daemon.ingest import Decoder
from daemon.log import read_log
from estimators.cell_type import CellType
from tests.fuzz.files import CONFIG, FACTS, LOG, changed
from tests.fuzz.payloads import message

GROUP = 2_000  # messages that go on together
RULES = [
    PackRule(pattern="timeless", cell_type="generic-nmc", estimator="coulomb", clock="server"),
    PackRule(pattern="p?", cell_type="generic-nmc", estimator="coulomb"),
]
CELLS = Cells(packs=RULES, unknown="adopt", default_type="generic-lfp", cells_max=64)
PAGE_BYTES = resource.getpagesize()


@dataclass
class Outcome:
    """What became of all of them."""

    messages: int = 0
    second: float = 0.0
    offered: int = 0
    accepted: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    slowest_ms: float = 0.0
    grown_bytes: int = 0  # resident, since the first tenth

    def lines(self) -> list[str]:
        counts = {
            "messages": self.messages,
            "samples offered": self.offered,
            "accepted": self.accepted,
            **self.rejected,
        }
        lines = [f"{count:9}  {name}" for name, count in counts.items()]
        lines += [f"{self.messages / self.second:9.0f}  messages a second", f"{self.slowest_ms:9.1f}  ms, the slowest"]
        return [*lines, f"{self.grown_bytes / 2**20:9.1f}  MiB grown since the first tenth"]


def messages(count: int, seed: int) -> Outcome:
    """Let so many messages through the decoder, and what it takes through a fleet. Raises AssertionError."""
    rng, outcome = random.Random(seed), Outcome(count)
    decoder, fleet = Decoder(Mqtt(), CELLS), Fleet(Config(cells=CELLS))
    began, settled, builder = time.monotonic(), 0, BatchBuilder()
    for number in range(1, count + 1):
        topic, payload = message(rng)
        start = time.perf_counter()
        decoder.take(topic, payload, 1.7637e9 + number / 100, builder)
        outcome.slowest_ms = max(outcome.slowest_ms, 1_000 * (time.perf_counter() - start))
        if number % GROUP == 0 or number == count:
            batch = builder.build()
            _sound(batch)
            fleet.push(batch)
            assert decoder.offered == decoder.accepted + decoder.rejected.total()
        if number == count // 10:
            settled = _resident()
    outcome.second, outcome.grown_bytes = time.monotonic() - began, _resident() - settled
    outcome.offered, outcome.accepted = decoder.offered, decoder.accepted
    outcome.rejected = {str(reason): times for reason, times in decoder.rejected.most_common()}
    assert len(fleet) <= CELLS.cells_max
    return outcome


def files(count: int, seed: int) -> Counter[str]:
    """Read so many hostile files of each kind; returns how many were taken all the same. Raises what they raise."""
    rng, taken = random.Random(seed), Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config, facts, log = (folder / file for file in ("config.yaml", "cell.yaml", "log.csv"))
        for _ in range(count):
            config.write_bytes(changed(rng, CONFIG))
            facts.write_bytes(changed(rng, FACTS))
            log.write_bytes(changed(rng, LOG))
            with suppress(BmsdError):
                read_config(config, {})
                taken["configurations"] += 1
            with suppress(ValueError):
                CellType.load(folder)
                taken["facts"] += 1
            with suppress(BmsdError):
                read_log(log)
                taken["logs"] += 1
    return taken


def _sound(batch: Batch) -> None:
    """See that nothing got in that may not."""
    assert np.isfinite(batch.unix_time_second).all()
    assert ((batch.voltage_volt >= 0.0) & (batch.voltage_volt <= 10.0)).all()
    assert (np.abs(batch.current_ampere) <= 10_000.0).all()
    celsius = batch.temperature_celsius
    assert (np.isnan(celsius) | ((celsius >= -60.0) & (celsius <= 150.0))).all()
    assert all(1 <= len(part) <= 64 for cell in batch.cells for part in cell.split("/"))


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def main() -> None:
    """Do it, and print the counts."""
    parser = argparse.ArgumentParser(description="Hostile messages and files: nothing breaks, leaks or stalls.")
    parser.add_argument("--payloads", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    args = parser.parse_args()
    print(f"seed {args.seed}")
    print("\n".join(messages(args.payloads, args.seed).lines()))
    taken = files(args.files, args.seed)
    for kind in ("configurations", "facts", "logs"):
        print(f"{args.files:9}  {kind}, {taken[kind]} of them taken")
