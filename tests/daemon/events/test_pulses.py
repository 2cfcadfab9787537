import numpy as np
import pytest

from tests.daemon.events.watching import closed, events_of, evidence_of

TRAIN = [0.0] * 120 + ([-3.0] * 10 + [0.0] * 120 + [1.5] * 5 + [0.0] * 120) * 4


def volts(current):
    """Give a voltage that sinks by 30 milliohm, and relaxes."""
    slow = np.zeros(len(current))
    for k in range(1, len(current)):
        slow[k] = slow[k - 1] + (current[k - 1] - slow[k - 1]) / 20.0
    return 3.7 + 0.03 * np.array(current) + 0.02 * slow


def test_pulses_of_a_train_are_told_with_their_current():
    found = events_of(closed(TRAIN), "pulse")
    assert [e.detail["current_ampere"] for e in found] == [-3.0, 1.5] * 4
    assert [e.begin_second for e in found][:3] == [120, 250, 375]
    assert [e.detail["end_second"] - e.begin_second for e in found] == [10.0, 5.0] * 4


def test_a_train_is_evidence_every_second_of_its_pulses_recorded():
    current = TRAIN + [0.0] * 2000
    volt = volts(current)
    (seen,) = evidence_of(closed(current, volt=volt), "pulses")
    assert (seen.begin_second, seen.interrupted) == (120.0, False)
    pulses = seen.pulses
    second = (pulses.begin_second + pulses.second).astype(int)
    for begin in (120, 250, 375, 505):
        assert set(range(begin - 1, begin + 15)) <= set(second.tolist())
    np.testing.assert_allclose(pulses.voltage_volt, volt[second], atol=1e-6)
    steps = np.flatnonzero(np.diff(second) == 1)
    np.testing.assert_allclose(pulses.current_ampere[steps], np.array(current)[second[steps]], atol=1e-3)


@pytest.mark.parametrize(
    "current",
    [
        [0.0] * 120 + list(-6 * np.sin(np.arange(20) / 6.4)) + [0.0] * 60,  # pulls away and stops again
        [0.0] * 120 + [-3.0] * 70 + [0.0] * 60,  # too long
        [0.0] * 120 + [-3.0] * 5 + [2.0] * 5 + [0.0] * 60,  # there and back
        [0.0] * 120 + [-0.2] * 10 + [0.0] * 60,  # faint
        [0.0] * 120 + ([-3.0] * 5 + [0.0] * 5) * 10 + [0.0] * 60,  # no rest between
    ],
)
def test_what_only_looks_like_a_pulse_is_none(current):
    assert events_of(closed(current), "pulse") == []
    assert evidence_of(closed(current, resume_at=[len(current) - 1]), "pulses") == []


def test_what_was_no_pulse_leaves_no_trace_in_the_train():
    current = TRAIN[:390] + [0.0] * 60 + [-4.0] * 8 + [3.0] * 8 + [0.0] * 2000
    (seen,) = evidence_of(closed(current), "pulses")
    assert np.abs(seen.pulses.current_ampere).max() == pytest.approx(3.0, abs=1e-3)
    assert seen.pulses.current_ampere.min() == pytest.approx(-3.0, abs=1e-3)
