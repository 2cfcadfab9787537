"""The laws that every estimator obeys. A test class inherits them and gives the fixture `estimator`."""

import numpy as np
import pytest

from estimators.contract import Second, Start

FIELDS = ("soc", "soc_std", "soc_nominal_std", "soh", "soh_std", "out_of_domain", "warming_up")
SECONDS, ROWS, FLEET = 40, 16, 1000  # fewer rows than 16 are never stepped: see daemon/bank.py


def start(rows, seed=0):
    """Every third cell has no known SOC."""
    random = np.random.default_rng(seed)
    soc, soh = random.uniform(0.2, 1.0, rows), random.uniform(0.8, 1.0, rows)
    soc[::3] = np.nan
    return Start.told(soc, soh)


def drive(seconds, rows, seed=0):
    random = np.random.default_rng(seed)
    volt = 3.6 + 0.1 * random.standard_normal((seconds, rows))
    ampere = 1.5 * random.standard_normal((seconds, rows))
    celsius = 15.0 + 5.0 * random.standard_normal((seconds, rows))
    return [Second(*row) for row in zip(volt, ampere, celsius, strict=True)]


def pick(second, rows):
    return Second(second.voltage_volt[rows], second.current_ampere[rows], second.temperature_celsius[rows])


def run(estimator, state, seconds):
    estimates = []
    for second in seconds:
        state, estimate = estimator.step(state, second)
        estimates.append([getattr(estimate, name) for name in FIELDS])
    return state, estimates


def stacked(estimates):
    """[field][second, row]"""
    return [np.stack([e[field] for e in estimates]) for field in range(len(FIELDS))]


def assert_equal_bits(some, others):
    for a, b in zip(some, others, strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()


class EstimatorContract:
    @pytest.fixture
    def estimator(self):
        raise NotImplementedError

    def test_it_has_a_name_and_says_which_numbers_are_in_it(self, estimator):
        assert estimator.name
        assert estimator.weights_id == "-" or len(estimator.weights_id) == 8

    def test_every_array_of_the_state_has_a_row_for_each_cell(self, estimator):
        state = estimator.init(start(ROWS))
        after, estimate = estimator.step(state, drive(1, ROWS)[0])
        assert {len(a) for a in state.values()} == {ROWS}
        assert {n: (a.shape, a.dtype) for n, a in state.items()} == {n: (a.shape, a.dtype) for n, a in after.items()}
        assert all(getattr(estimate, name).shape == (ROWS,) for name in FIELDS)

    def test_a_step_leaves_its_arguments_alone(self, estimator):
        state, _ = run(estimator, estimator.init(start(ROWS)), drive(3, ROWS))
        second = drive(1, ROWS, seed=1)[0]
        before = [a.tobytes() for a in (*state.values(), second.voltage_volt, second.current_ampere)]
        estimator.step(state, second)
        assert [a.tobytes() for a in (*state.values(), second.voltage_volt, second.current_ampere)] == before

    def test_the_new_state_shares_no_memory_with_the_old(self, estimator):
        state = estimator.init(start(ROWS))
        after, estimate = estimator.step(state, drive(1, ROWS)[0])
        for old in state.values():
            assert not any(np.shares_memory(old, new) for new in after.values())
            assert not any(np.shares_memory(old, getattr(estimate, name)) for name in FIELDS)

    def test_the_same_steps_give_the_same_bits(self, estimator):
        once, twice = (run(estimator, estimator.init(start(ROWS)), drive(10, ROWS)) for _ in range(2))
        assert_equal_bits(once[0].values(), twice[0].values())
        assert_equal_bits(stacked(once[1]), stacked(twice[1]))

    def test_permuted_cells_give_permuted_output(self, estimator):
        order = np.random.default_rng(5).permutation(64)
        begin, seconds = start(64), drive(SECONDS, 64)
        _, plain = run(estimator, estimator.init(begin), seconds)
        permuted = estimator.init(Start.told(begin.soc[order], begin.soh[order]))
        _, shuffled = run(estimator, permuted, [pick(s, order) for s in seconds])
        assert_equal_bits([a[:, order] for a in stacked(plain)], stacked(shuffled))

    def test_one_cells_nan_leaves_its_neighbours_bits(self, estimator):
        begin, seconds = start(ROWS), drive(SECONDS, ROWS)
        _, clean = run(estimator, estimator.init(begin), seconds)
        spoilt = [Second(*(getattr(s, n).copy() for n in Second.__slots__)) for s in seconds]
        for second in spoilt[::2]:
            for name in Second.__slots__:
                getattr(second, name)[7] = np.nan
        _, other = run(estimator, estimator.init(begin), spoilt)
        keep = np.arange(ROWS) != 7
        assert_equal_bits([a[:, keep] for a in stacked(clean)], [a[:, keep] for a in stacked(other)])

    @pytest.mark.parametrize("cut", [1, 7, SECONDS - 1])
    def test_a_run_may_be_cut_anywhere(self, estimator, cut):
        begin, seconds = start(ROWS), drive(SECONDS, ROWS)
        _, whole = run(estimator, estimator.init(begin), seconds)
        state, head = run(estimator, estimator.init(begin), seconds[:cut])
        saved = {n: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape) for n, a in state.items()}
        _, tail = run(estimator, saved, seconds[cut:])
        assert_equal_bits(stacked(whole), stacked(head + tail))

    @pytest.mark.parametrize("slot", [0, 513, FLEET - 1])
    def test_a_cell_alone_and_among_a_thousand_gives_equal_bits(self, estimator, slot):
        begin, seconds = start(FLEET), drive(SECONDS, FLEET)
        fleet_state, fleet = run(estimator, estimator.init(begin), seconds)
        alone = np.full(ROWS, slot)  # padded with copies of itself
        state, own = run(
            estimator, estimator.init(Start.told(begin.soc[alone], begin.soh[alone])), [pick(s, alone) for s in seconds]
        )
        assert_equal_bits([a[:, slot] for a in stacked(fleet)], [a[:, 0] for a in stacked(own)])
        assert_equal_bits([a[slot] for a in fleet_state.values()], [a[0] for a in state.values()])

    def test_every_number_is_finite_and_every_deviation_positive(self, estimator):
        seconds = drive(SECONDS, ROWS)
        seconds[0] = Second(*(np.full(ROWS, np.nan) for _ in Second.__slots__))
        _, estimates = run(estimator, estimator.init(start(ROWS)), seconds)
        soc, soc_std, soc_nominal_std, soh, soh_std, *_ = stacked(estimates)
        assert all(np.isfinite(a).all() for a in (soc, soc_std, soc_nominal_std, soh, soh_std))
        assert all((std > 0).all() for std in (soc_std, soc_nominal_std, soh_std))

    def test_an_absurd_cell_stays_finite(self, estimator):
        absurd = Second(np.full(ROWS, 10.0), np.full(ROWS, -10_000.0), np.full(ROWS, 150.0))
        _, estimates = run(estimator, estimator.init(start(ROWS)), [absurd] * 20)
        assert all(np.isfinite(a).all() for a in stacked(estimates)[:5])
        assert stacked(estimates)[5].all()

    def test_a_known_soh_is_where_the_estimate_starts(self, estimator):
        begin = start(ROWS)
        _, estimates = run(estimator, estimator.init(begin), drive(1, ROWS))
        np.testing.assert_allclose(estimates[0][3], begin.soh, atol=0.2)
