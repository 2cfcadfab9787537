"""What health checks are worth in the service: SOH of cells whose SOH is guessed, with the checks and without.

    python benchmarks/studies/checks_in_service.py --cells 8 --days 2
    python benchmarks/studies/checks_in_service.py --nasa $BMSD_DATA/nasa-pcoe-aging

Simulated NCA cells of SOH 0.75 to 1 go through the fleet twice, second by second; the published SOH is compared with
the truth at the end, and how long a turn of the fleet takes. NASA's cells are replayed as one log each, charge after
discharge, by counting alone: what checks say of a full charge is compared with the capacity of the discharge after it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import polars
import yaml
from numpy.typing import NDArray

from daemon.batch import Batch
from daemon.config import Cells, Config, HealthChecks, PackRule
from daemon.fleet import Fleet
from daemon.health.checks import examiner
from daemon.rows import Output
from daemon.tables.nasa import read
from daemon.wire import Health
from estimators.regression.regression import NINETY
from simulators.recording import Recording, simulate

TOGETHER = 3600  # seconds that one of two fleets is driven before the other
NASA = {
    "name": "nasa",
    "chemistry": "nca",
    "nominal_capacity_ah": 2.0,
    "voltage_min_volt": 2.0,
    "voltage_max_volt": 4.2,
    "current_min_ampere": -5.0,
    "current_max_ampere": 2.0,
    "temperature_min_celsius": 0.0,
    "temperature_max_celsius": 50.0,
    "estimator": "coulomb",
}


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=8)
    parser.add_argument("--days", type=float, default=2.0)
    parser.add_argument("--estimator", default="ekf")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--nasa", type=Path, metavar="DIR")
    parser.add_argument("--operations", type=int, default=10_000, help="of each of NASA's cells, the first")
    args = parser.parse_args()
    if args.nasa:
        replay_nasa(args.nasa, args.operations)
    else:
        simulated(args.cells, int(args.days * 86_400), args.estimator, args.seed)


def simulated(cells: int, seconds: int, estimator: str, seed: int) -> None:
    """Print SOH errors and the time of a turn, without checks and with them."""
    random = np.random.default_rng(seed)
    recording = simulate(
        cells,
        seconds,
        seed,
        chemistry="nca",
        initial_soh=random.uniform(0.75, 1.0, cells),
        ambient_temperature_celsius=random.uniform(10.0, 35.0, cells),
        depth_of_discharge=(0.75, 0.80, 0.95),
    )
    print(f"{cells} cells, {seconds / 86_400:.1f} days, {estimator}, SOH guessed; errors of SOH in points")
    packs = Cells(packs=[PackRule(pattern="*", cell_type="generic-nca", estimator=estimator)])
    rounds = [Round(recording, Config(cells=packs, health=HealthChecks(enabled=on))) for on in (False, True)]
    for begin in range(0, seconds, TOGETHER):
        for one in rounds:  # in turns, so that whatever else the machine does slows both
            one.drive(range(begin, min(begin + TOGETHER, seconds)))
    for one in rounds:
        one.tell()


class Round:
    """A fleet with its checks or without, and what is noted of it."""

    def __init__(self, recording: Recording, config: Config) -> None:
        self.recording = recording
        self.checks = examiner(config.health)
        self.fleet = Fleet(config, examiner=self.checks)
        cells = len(recording.soh)
        self.names, self.numbers = tuple(f"p/c{k}" for k in range(cells)), np.arange(cells, dtype=np.int32)
        self.turns: list[float] = []
        self.error: list[NDArray[np.float64]] = []
        self.held: list[NDArray[np.bool_]] = []
        self.health: list[tuple[str, Health]] = []

    def drive(self, seconds: range) -> None:
        """Push a part of the simulation, second by second."""
        recording = self.recording
        for second in seconds:
            columns = (recording.voltage_volt, recording.current_ampere, recording.temperature_celsius)
            shown = (column[:, second].astype(np.float64) for column in columns)
            batch = Batch(self.names, self.numbers, np.full(len(self.names), float(second)), *shown)
            began = time.perf_counter()
            output = self.fleet.push(batch)
            self.turns.append(1e3 * (time.perf_counter() - began))
            self.health += output.health
            if len(output.rows) and second % 600 == 0:
                error = 100.0 * (output.rows.soh - recording.soh[output.rows.cell, second])
                self.error.append(error)
                self.held.append(np.abs(error) <= 100.0 * NINETY * output.rows.soh_std)

    def tell(self) -> None:
        """Print what was noted."""
        last = self.error[-1]
        turns = self.turns[len(self.turns) // 2 :]  # before, weights are loaded, which takes seconds
        print(
            f"checks {'on ' if self.checks else 'off'}  RMSE at the end {_rms(last):.2f}, worst"
            f" {np.abs(last).max():.2f}; 90 % intervals hold {100 * np.mean(self.held):.0f} %; turn p50"
            f" {np.median(turns):.2f} ms, p99 {np.quantile(turns, 0.99):.2f} ms"
        )
        if self.checks is not None:
            self.checks.close()
            _reports(self.health, self.recording)


def _reports(health: list[tuple[str, Health]], recording: Recording) -> None:
    told = [(int(name.partition("c")[2]), h) for name, h in health if "soh" in h.values]
    off = [100.0 * (h.values["soh"] - recording.soh[cell, int(h.unix_time_second)]) for cell, h in told]
    counts = Counter(f"{h.check}: {h.refused or h.soh_effect}" for _, h in health)
    print(f"  {len(told)} SOHs found, RMSE {_rms(np.array(off)):.2f}; {dict(counts)}")


def _rms(error: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(error**2)))


def replay_nasa(folder: Path, operations: int) -> None:
    """Print how many full charges were answered, and the error of what was said."""
    cases = read(folder).cases
    with tempfile.TemporaryDirectory() as place:
        kind = Path(place) / "nasa"
        kind.mkdir()
        (kind / "cell.yaml").write_text(yaml.safe_dump(NASA))
        for path in sorted(folder.glob("*_timeseries.csv*")):
            cell = path.name.partition("_")[0]
            truth = {case.operation: case.capacity_ah for case in cases if case.cell == cell}
            rows = polars.read_csv(path).filter(polars.col("operation").rank("dense") <= operations)
            print(cell, _replayed(rows, str(kind), truth), flush=True)


def _replayed(frame: polars.DataFrame, kind: str, truth: dict[int, float]) -> str:
    """Replay one cell; `truth` is of the full charges, by operation.

    Operations are a second apart: over a gap the last current is held, and would be counted.
    """
    config = Config(cells=Cells(packs=[PackRule(pattern="*", cell_type=kind, max_hold_second=120.0)]))
    checks = examiner(config.health)
    fleet, outputs, ends = Fleet(config, examiner=checks), [], {}
    now = 0.0
    for (operation,), part in frame.group_by("operation", maintain_order=True):
        second = part["test_time_second"].to_numpy() + now
        columns = [part[name].to_numpy() for name in ("voltage_volt", "current_ampere", "temperature_celsius")]
        outputs.append(fleet.push(Batch(("p/c",), np.zeros(len(part), np.int32), second, *columns)))
        ends[operation] = (now, now := float(second[-1]) + 1.0)
    outputs.append(fleet.flush())
    assert checks is not None
    checks.close()
    reports = [h for _, h in Output.join(outputs).health if h.check == "srse"]
    seen = {operation: span for operation, span in ends.items() if operation in truth}
    of = {o: [h for h in reports if begin <= h.begin_second < end] for o, (begin, end) in seen.items()}
    told = {o: [h for h in some if h.values] for o, some in of.items()}
    nominal_ah = NASA["nominal_capacity_ah"]
    error = np.array([100.0 * (h.values["soh"] - truth[o] / nominal_ah) for o, some in told.items() for h in some])
    known = error[np.isfinite(error)]
    reasons = dict(Counter(h.refused for o, some in of.items() if not told[o] for h in some))
    rmse = f"RMSE {np.sqrt(np.mean(known**2)):.2f} points on {len(known)}" if len(known) else "nothing said"
    return f"{sum(map(bool, told.values()))} of {len(seen)} full charges answered, {rmse}; of the others {reasons}"


if __name__ == "__main__":
    main()
