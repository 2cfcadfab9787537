from importlib.util import find_spec

import numpy as np
import pytest

from simulators.nine_step import (
    ENDS,
    NOMINAL_AH,
    RATES_C,
    REST_SECOND,
    Log,
    Modes,
    charge,
    circuit,
    cutoffs,
    draw,
    modes,
    particles,
    unrelated_modes,
)

CYCLES = np.array([0.0, 500.0, 1000.0])
LOT = draw(3, 0)


def lived(temperature: float) -> Log:
    new = cutoffs(circuit(LOT, modes(LOT, temperature, CYCLES[:1]), temperature))
    return charge(circuit(LOT, modes(LOT, temperature, CYCLES), temperature), np.repeat(new, len(CYCLES), axis=0))


@pytest.fixture(scope="module")
def log() -> Log:
    return lived(45.0)


def test_a_new_cell_takes_the_planned_charge_in_nine_steps_and_rests(log):
    seconds = [int((log.step[:, 0] == k).sum()) for k in range(9)]
    planned = np.diff([0.0, *ENDS]) * 3600.0 / np.array(RATES_C)
    np.testing.assert_allclose(seconds, planned, atol=2)
    assert log.c_rate[:, 0].sum() / 3600.0 == pytest.approx(ENDS[-1], abs=2e-3)
    assert (log.step[-REST_SECOND:] == 9).all()
    assert not log.c_rate[-REST_SECOND:].any()


def test_capacity_falls_with_cycles_and_faster_in_the_warm(log):
    warm, cold = (one.capacity_ah.reshape(3, 3) for one in (log, lived(25.0)))
    assert (np.diff(warm) < 0).all()
    assert (warm[:, -1] < cold[:, -1]).all()
    assert warm[0, 0] == pytest.approx(ENDS[-1] * NOMINAL_AH, abs=0.02)


@pytest.mark.parametrize("mode", range(4))
def test_each_mode_alone_takes_capacity(mode):
    lost = [np.zeros((1, 2)) for _ in range(4)]
    lost[mode][0, 1] = (0.2, 0.15, 0.25, 2.0)[mode]
    one = draw(1, 3)
    new = cutoffs(circuit(one, Modes(*(m[:, :1] for m in lost)), 25.0))
    log = charge(circuit(one, Modes(*lost), 25.0), np.repeat(new, 2, axis=0))
    assert log.capacity_ah[1] < log.capacity_ah[0] - 0.01


def test_resistance_takes_no_slow_capacity_and_lithium_does():
    zero, some = np.zeros((1, 1)), np.full((1, 1), 0.2)
    new, resistive, poor = (
        circuit(draw(1, 3), aged, 25.0).slow_capacity_ah[0]
        for aged in (Modes(*[zero] * 4), Modes(zero, zero, zero, some), Modes(some, zero, zero, zero))
    )
    assert resistive == pytest.approx(new)
    assert poor < 0.9 * new


def test_a_seed_gives_the_same_cells_again_and_unrelated_modes_are_unrelated():
    np.testing.assert_array_equal(draw(5, 4).speed, draw(5, 4).speed)
    assert not np.array_equal(draw(5, 4).speed, draw(5, 5).speed)
    drawn = np.array(unrelated_modes(draw(400, 0), 1))[:, :, 1]
    assert np.abs(np.corrcoef(drawn) - np.eye(4)).max() < 0.2


def test_a_charge_that_never_ends_is_told():
    new = circuit(LOT, modes(LOT, 25.0, CYCLES[:1]), 25.0)
    with pytest.raises(ValueError, match=r"step 1 .* does not end"):
        charge(new._replace(advance=lambda s, c: (s, np.full(3, 3.0))), np.full((3, 9), 9.0))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("pybamm") is None, reason="PyBaMM is not installed")
def test_cells_of_the_other_physics_say_what_they_have_lost():
    soh, share, resistance = np.array([1.0, 0.85]), np.array([0.5, 0.5]), np.array([1.0, 1.5])
    rows, lost = particles(soh, share, resistance, 35.0)
    assert lost.lithium[0] == pytest.approx(0.0, abs=1e-6)
    assert lost.negative[1] == pytest.approx(lost.lithium[1] / 2)
    assert lost.resistance[1] > 0.5
    new = particles(soh[:1], share[:1], resistance[:1], 35.0)[0]
    log = charge(rows, np.repeat(cutoffs(new), 2, axis=0))
    assert log.capacity_ah[1] < log.capacity_ah[0] - 0.1
