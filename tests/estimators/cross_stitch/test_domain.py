import numpy as np
import pytest

from estimators.cross_stitch import domain
from estimators.cross_stitch.windows import Run
from simulators.recording import simulate


def cells(chemistry, seed, count, seconds=9_000):
    shown = simulate(count, seconds, seed, chemistry=chemistry, nominal_capacity_ah=2.9)
    rows = (shown.voltage_volt, shown.current_ampere / np.float32(2.9), shown.temperature_celsius, shown.soc, shown.soh)
    return [Run(f"{chemistry}-{i}", *row) for i, row in enumerate(zip(*rows, strict=True))]


@pytest.fixture(scope="module")
def known():
    return domain.learn(cells("nca", 1, 96), cells("nca", 2, 24))


def far(known, run):
    """Whether each second is outside, as the streaming step follows it."""
    memory, flags = domain.begin(run.inputs()[:1]), []
    for raw in run.inputs()[::1, None]:
        memory, features = domain.step(memory, raw)
        flags.append(known.outside(features)[0])
    return np.array(flags)


def test_cells_of_the_same_kind_are_hardly_ever_outside(known):
    assert np.mean([far(known, run).mean() for run in cells("nca", 3, 6)]) < 0.05


def test_a_chemistry_that_trained_nothing_is_outside(known):
    share = [far(known, run).mean() for run in cells("lfp", 4, 6)]
    assert np.mean(share) > 0.25


def test_a_temperature_that_trained_nothing_is_outside(known):
    (run,) = cells("nca", 5, 1, 600)
    hot = Run("hot", run.voltage_volt, run.c_rate, run.temperature_celsius + 60.0, run.soc, run.soh)
    assert far(known, hot).all()


def test_a_cell_s_distance_does_not_depend_on_the_others(known):
    features = np.random.default_rng(0).normal(size=(256, 5)).astype(np.float32)
    assert known.distance(features)[:16].tobytes() == known.distance(features[:16]).tobytes()


def test_the_points_cover_the_training_runs(known):
    seen = np.concatenate(domain._of_run(cells("nca", 1, 96)[5], np.random.default_rng(0)))
    assert known.outside(seen[::50]).mean() < 0.005
