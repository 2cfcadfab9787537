from dataclasses import fields, replace

import numpy as np

from estimators.cross_stitch.windows import Faults, Run, Stream

NO_FAULTS = Faults(**{f.name: 0.0 for f in fields(Faults)})


def a_run(seconds=1_000, name="a"):
    ramp = np.linspace(1.0, 0.0, seconds, dtype=np.float32)
    flat = np.ones(seconds, np.float32)
    return Run(name, 3.0 + ramp, -0.5 * flat, 25.0 * flat, ramp, 0.9 * flat)


def settled(runs, **settings):
    """A stream whose first walks, which are cut, are over."""
    stream = Stream(runs, **settings)
    stream._left[:] = 0
    stream._first = False
    return stream


def test_the_first_walks_are_cut_so_that_hours_do_not_all_end_at_once():
    stream = Stream([a_run(40_000)], rows=16, seconds=200, seed=1, inside=0.0, faults=NO_FAULTS)
    began = np.array([stream.next().fresh for _ in range(19)])
    assert began[0].all()
    assert (began[1:].sum(axis=0) == 1).all()
    assert began[1:].any(axis=1).sum() > 8


def test_a_row_walks_on_through_its_run_without_a_hole():
    stream = settled([a_run()], rows=2, seconds=100, seed=1, inside=0.0, faults=NO_FAULTS)
    windows = [stream.next() for _ in range(10)]
    assert np.array_equal(np.concatenate([w.soc[:, 0] for w in windows]), a_run().soc)
    assert [bool(w.fresh[0]) for w in windows] == [True] + [False] * 9


def test_seconds_beyond_the_end_of_a_run_are_masked_and_the_row_starts_anew():
    stream = settled([a_run(250)], rows=1, seconds=100, seed=1, inside=0.0, faults=NO_FAULTS)
    windows = [stream.next() for _ in range(4)]
    assert [w.mask.sum() for w in windows] == [100, 100, 50, 100]
    assert windows[3].fresh[0]


def test_the_same_seed_gives_the_same_windows():
    one, two = (Stream([a_run()], rows=3, seconds=50, seed=5, inside=0.7, faults=Faults()) for _ in range(2))
    for _ in range(5):
        assert np.array_equal(one.next().raw, two.next().raw)


def test_faults_are_drawn_once_a_start_and_leave_the_truth_alone():
    faults = replace(NO_FAULTS, c_rate_offset=0.1, soh=0.05)
    window = Stream([a_run()], rows=4, seconds=100, seed=2, inside=0.0, faults=faults).next()
    offset = window.raw[:, :, 1] + 0.5
    assert np.ptp(offset, axis=0).max() < 1e-6
    assert np.std(offset[0]) > 0.01
    assert np.array_equal(window.soc[:, 0], a_run().soc[:100])
    assert (window.initial_soh != 0.9).all()
