"""A cell's numbers are its own: the same bits alone, among a thousand others, in another slot, however batched."""

import numpy as np
import pytest
import torch

from daemon.batch import Batch
from daemon.config import Cells, Config, PackRule
from daemon.fleet import Fleet
from daemon.rows import Rows
from estimators.cell_type import Tables, save_tables
from estimators.cross_stitch import weights
from estimators.cross_stitch.network import Network
from tests.daemon.counting import write_cell_type

SECONDS = 50
COLUMNS = ("second", "soc", "soc_std", "soh", "soh_std", "flags", "estimator")


@pytest.fixture(scope="module")
def cell_type(tmp_path_factory):
    """Make a cell type with everything that an estimator may want; the network knows nothing yet."""
    folder = tmp_path_factory.mktemp("whole")
    write_cell_type(folder)
    soc, celsius = np.linspace(0, 1, 11), np.array([0.0, 25.0])
    flat = np.ones((len(soc), len(celsius)))
    ocv = (3.0 + 1.0 * soc + 0.05 * np.sin(9 * soc))[:, None] * flat
    save_tables(
        Tables(
            soc,
            celsius,
            ocv,
            0.02 * flat,
            0.01 * flat,
            np.array([0.5]),
            np.stack([0.01 * flat, 0.02 * flat]),
            np.array([10.0, 300.0]),
            np.array([0.95]),
            np.array([0.01, 0.01]),
            0.01 * flat,
            np.array([30.0]),
        ),
        folder / "tables.safetensors",
    )
    torch.manual_seed(0)
    network = Network()
    network.low.copy_(torch.tensor([2.5, -3.0, -20.0]))
    network.high.copy_(torch.tensor([4.3, 3.0, 60.0]))
    weights.save(weights.Weights(network, 0.95, celsius, np.array([0.02, 0.01]), 0.03), folder)
    return str(folder)


@pytest.fixture(params=["coulomb", "ekf", "cross_stitch"])
def make(request, cell_type):
    """Make fleets of one estimator; some of the others have another one."""
    rules = [
        PackRule(pattern="other", cell_type=cell_type, estimator="coulomb", initial_soh=0.8),
        PackRule(pattern="*", cell_type=cell_type, estimator=request.param),
    ]
    return lambda: Fleet(Config(cells=Cells(packs=rules)), {"p/known": 0.7})


def drive(seed, samples=SECONDS):
    """Draw samples (time, volt, ampere, celsius) at uneven times, some of them missing a temperature."""
    rng = np.random.default_rng(seed)
    time = 1.7e9 + np.cumsum(rng.choice([0.4, 1.0, 2.5], samples))
    celsius = np.where(rng.random(samples) < 0.1, np.nan, rng.uniform(10, 30, samples))
    celsius[0] = 20.0
    return np.stack([time, rng.uniform(3.2, 4.1, samples), rng.uniform(-5, 2, samples), celsius])


def batch(*parts):
    """Make a batch of (cell, samples), one cell after the other."""
    names = tuple(dict.fromkeys(name for name, _ in parts))
    cell = np.concatenate([np.full(s.shape[1], names.index(name), np.int32) for name, s in parts])
    return Batch(names, cell, *np.concatenate([s for _, s in parts], axis=1))


def bits(fleet, outputs, cell):
    rows = Rows.join([o.rows for o in outputs])
    mine = rows.cell == fleet.names.index(cell)
    return {name: getattr(rows, name)[mine].tobytes() for name in COLUMNS}, int(mine.sum())


@pytest.mark.parametrize(
    ("make", "cell"),
    [
        ("coulomb", "p/known"),
        ("coulomb", "p/unknown"),
        ("ekf", "p/known"),
        ("ekf", "p/unknown"),
        ("cross_stitch", "p/unknown"),  # it does not use what is known
    ],
    indirect=["make"],
)
def test_alone_among_a_thousand_and_in_another_slot_give_equal_bits(make, cell):
    mine = drive(0)
    alone = make()
    outputs = [alone.push(batch((cell, mine[:, i : i + 1]))) for i in range(SECONDS)]
    expected, rows = bits(alone, [*outputs, alone.flush()], cell)
    assert rows >= SECONDS

    crowd = make()
    others = [f"{'other' if i % 7 == 0 else f'q{i % 50}'}/c{i}" for i in range(1000)]
    rng = np.random.default_rng(1)
    drives = {name: drive(i + 10) for i, name in enumerate(others)}
    outputs = [crowd.push(batch(*((name, drives[name][:, :1]) for name in others)))]
    at = 0
    for width in (1, 2, 17, 1, 9, SECONDS):  # alone in the batch, or behind by some samples
        some = rng.choice(others, rng.integers(1, 1000), replace=False)
        parts = [(name, drives[name][:, at + 1 : at + 2]) for name in some]
        parts.insert(int(rng.integers(len(parts))), (cell, mine[:, at : at + width]))
        outputs.append(crowd.push(batch(*parts)))
        at += width
    assert crowd.names.index(cell) != alone.names.index(cell)
    outputs.append(crowd.flush())
    assert bits(crowd, outputs, cell) == (expected, rows)


def test_one_cells_nonsense_leaves_its_neighbours_bits_alone(make):
    mine, calm, wild = drive(0), drive(1), drive(1)
    wild[1:, 10:] = np.array([[9.9], [-9000.0], [149.0]])
    seen = []
    for neighbour in (calm, wild):
        fleet = make()
        outputs = [
            fleet.push(batch(("p/a", mine[:, i : i + 1]), ("q/b", neighbour[:, i : i + 1]))) for i in range(SECONDS)
        ]
        seen.append((bits(fleet, outputs, "p/a"), bits(fleet, outputs, "q/b")))
    assert seen[0][0] == seen[1][0]
    assert seen[0][1] != seen[1][1]
