"""daemon/jitter.py: waits grow, stay below a minute, and differ."""

from daemon.jitter import full_jitter


def test_waits_double_up_to_a_minute_and_are_drawn_from_zero_on():
    for attempt, longest in ((0, 0.5), (1, 1.0), (5, 16.0), (7, 60.0), (10_000, 60.0)):
        waits = [full_jitter(attempt) for _ in range(2_000)]
        assert 0.0 <= min(waits) < 0.1 * longest
        assert 0.9 * longest < max(waits) <= longest
