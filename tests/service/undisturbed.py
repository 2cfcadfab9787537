"""What a fleet says that took all samples in one go, and how what a harried service left behind differs from it."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from daemon import memory
from daemon.batch import Batch
from daemon.checkpoint import read as read_checkpoint
from daemon.config import Config
from daemon.fleet import Fleet
from daemon.health.checks import examiner
from daemon.journal import read as read_journal
from daemon.parcel import Parcel
from daemon.publish import Publisher
from tests.service.databases import Influx1
from tests.service.faulty import WHY, Faulty
from tests.service.streams import CELLS, Stream

BATCH_SAMPLES = 100 * len(CELLS)
UNEQUAL = ("/clock_offset", "/heard", "/now", "/changed", "/counters/")  # told by the clock, or by the company
STATES = "SELECT pack, cell, unix_time_second, soc, soc_std, soh, soh_std, flags FROM state"
EVENTS = "SELECT pack, cell, unix_time_second, kind, phase, begin_second, detail FROM event"
REPORTS = """
SELECT pack, cell, unix_time_second, check_name, model, trigger_kind, begin_second, refused, soh, soh_std FROM health
"""


@dataclass(frozen=True)
class Undisturbed:
    """A fleet after all samples, and all that it said."""

    fleet: Fleet
    publisher: Publisher
    said: Parcel

    @property
    def states(self) -> dict[tuple, tuple]:
        """By pack, cell and time."""
        return {
            (*name.split("/"), s.unix_time_second): (s.soc, s.soc_std, s.soh, s.soh_std, ",".join(s.flags))
            for name, s in self.said.states
        }

    @property
    def events(self) -> dict[tuple, tuple]:
        """By pack, cell, time, kind and phase."""
        return {
            (*name.split("/"), e.unix_time_second, e.kind, e.phase): (e.begin_second, e.detail)
            for name, e in self.said.events
        }

    @property
    def reports(self) -> dict[tuple, tuple]:
        """By pack, cell, time and check."""
        return {
            (*name.split("/"), h.unix_time_second, h.check): (
                *(h.model, h.trigger, h.begin_second, h.refused),
                *(h.values.get("soh"), h.std.get("soh")),
            )
            for name, h in self.said.health
        }


def undisturbed(config: Config, stream: Stream, sent: int) -> Undisturbed:
    """Let a fleet take all samples in one go."""
    checks = examiner(config.health)
    fleet, publisher, parcels = Fleet(config, examiner=checks), Publisher(config), []
    for begin in range(0, sent, BATCH_SAMPLES):
        samples = [stream.sample(number) for number in range(begin, min(begin + BATCH_SAMPLES, sent))]
        second, volt, ampere, celsius = np.array([sample[1:] for sample in samples]).T
        cell = np.arange(begin, begin + len(samples)) % len(CELLS)
        celsius = np.where(celsius > 20.0, celsius, np.nan)
        output = fleet.push(Batch(CELLS, cell.astype(np.int32), second, volt, ampere, celsius))
        parcels.append(publisher.take(output, fleet.names, fleet.labels, 0.0))
    parcels.append(publisher.take(fleet.catch_up(), fleet.names, fleet.labels, 0.0))
    if checks is not None:
        checks.close()
    return Undisturbed(fleet, publisher, Parcel.join(parcels))


class Comparison:
    """Counts, of each thing, what is lost, invented and unequal."""

    def __init__(self, folder: Path, stream: Stream, sent: int) -> None:
        """`folder` is the service's, with its config.yaml and its state."""
        self.counts: Counter[str] = Counter()
        self._state, self._sent = folder / "state", sent
        config = Config.model_validate(yaml.safe_load((folder / "config.yaml").read_text()))
        self._wanted = undisturbed(config, stream, sent)

    def samples(self) -> None:
        """Hold the journal against what was sent."""
        found, copies = journaled(self._state / "journal.sqlite")
        self.counts["samples sent"], self.counts["samples twice"] = self._sent, copies
        self.counts["samples lost"] = max(0, self._sent - found)
        self.counts["samples invented"] = max(0, found - self._sent)

    def store(self) -> None:
        """Hold the embedded store against what the fleet said."""
        kept = self._state / "states.sqlite"
        self._hold("sqlite states", self._wanted.states, {row[:3]: row[3:] for row in ask(kept, STATES)})
        events = {row[:5]: (row[5], json.loads(row[6])) for row in ask(kept, EVENTS)}
        self._hold("sqlite events", self._wanted.events, events)

    def reports(self) -> None:
        """Hold the health reports in it against what the checks said."""
        reports = self._wanted.reports
        found = {row[:4]: row[4:] for row in ask(self._state / "states.sqlite", REPORTS)}
        self._hold("health reports", reports, found)
        self.counts["health reports with a SOH"] = sum(report[-1] is not None for report in reports.values())

    def database(self, influx: Influx1, faulty: Faulty) -> None:
        """Hold a database against what the fleet said: what it refused is set aside with its reason, all else there."""
        aside = ask(self._state / "outbox.sqlite", "SELECT item, why FROM refused WHERE sink = 'influx'")
        keys = {_key(line) for line, _ in aside}
        wanted = {key: value[0] for key, value in self._wanted.states.items() if key not in keys}
        self._hold("influx states", wanted, influx.stored())
        found = {line: why == f"400 {WHY}" for line, why in aside}
        self._hold("points set aside", dict.fromkeys(faulty.bad, True), found)
        self.counts["points set aside twice, unequal"] = len(aside) - len(found)

    def memory(self) -> None:
        """Hold the newest checkpoint against the fleet."""
        _, after = read_checkpoint(self._state / "fleet.ckpt")
        unequal = _unequal(memory.take(self._wanted.fleet, self._wanted.publisher), after)
        self.counts["arrays unequal"] = len(unequal)
        if unequal:
            print("unequal:", ", ".join(unequal), file=sys.stderr)

    def _hold(self, what: str, wanted: dict, found: dict) -> None:
        self.counts[what] = len(wanted)
        self.counts[f"{what} lost"] = len(wanted.keys() - found.keys())
        self.counts[f"{what} invented"] = len(found.keys() - wanted.keys())
        self.counts[f"{what} unequal"] = sum(found[key] != wanted[key] for key in wanted.keys() & found.keys())


def journaled(path: Path) -> tuple[int, int]:
    """Count the samples in a journal, and the copies among them."""
    seen: set[tuple[str, float]] = set()
    total = 0
    for block in read_journal(path):
        batch = block.batch
        seen.update(zip(np.array(batch.cells)[batch.cell].tolist(), batch.unix_time_second.tolist(), strict=True))
        total += len(batch)
    return len(seen), total - len(seen)


def ask(path: Path, query: str) -> list[tuple]:
    """Ask a file of the state directory."""
    with closing(sqlite3.connect(path)) as file:
        return file.execute(query).fetchall()


def _key(line: str) -> tuple[str, str, float] | None:
    """Tell pack, cell and time of a state's line; None for an event or a report."""
    tags, *_, stamp = line.split(" ")
    name, pack, cell, *_ = tags.split(",")
    return (pack.removeprefix("pack="), cell.removeprefix("cell="), int(stamp) / 1_000) if name == "bmsd" else None


def _unequal(one: memory.Memory, other: memory.Memory) -> list[str]:
    """Name the arrays and facts that differ."""
    arrays = [n for n, a in one.arrays.items() if a.tobytes() != other.arrays[n].tobytes()]
    facts = [n for n, fact in one.facts.items() if memory._like(fact, other.facts[n]) != fact]
    return [name for name in arrays + facts if not any(part in name for part in UNEQUAL)]


def harm(counts: dict[str, int]) -> dict[str, int]:
    """Pick what must be zero."""
    return {name: n for name, n in counts.items() if name.endswith(("lost", "invented", "unequal"))}
