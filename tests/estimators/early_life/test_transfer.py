import numpy as np
import pytest

from estimators.early_life import plain
from estimators.early_life.estimate import estimate, family, save
from estimators.early_life.transfer import agree, arrhenius_shares, extended, foresee, join, lost, pool, steady

CYCLES = np.arange(1000)


def life(speed, seed=0, cycles=1000, first_ah=1.1):
    """A cell that fades by `speed` in a thousand cycles and recovers a little at every hundredth."""
    n = np.arange(cycles)
    recovery = 0.01 * np.exp(-(n % 100) / 30.0) * (n >= 100)
    noise = np.random.default_rng(seed).normal(0, 3e-4, cycles)
    return first_ah * (1.0 - speed * (n / 1000.0) ** 1.2 + recovery) + noise


def sources(cells=4):
    rng = np.random.default_rng(1)
    cold = [life(0.16 * np.exp(0.06 * rng.standard_normal()), i) for i in range(cells)]
    hot = [life(0.36 * np.exp(0.06 * rng.standard_normal()), i, 900) for i in range(cells)]
    return [pool(cold, 25.0), pool(hot, 55.0)]


def test_a_cell_between_two_sources_is_foreseen_within_a_percent_and_inside_its_band():
    truth = life(0.24, 7)
    found = foresee(truth[:200], 42.0, sources(), 1000)
    error = np.abs(found.mean_ah - truth[200:])
    assert np.mean(error / truth[200:]) < 0.01
    assert np.mean(error < 1.645 * found.std_ah) > 0.9
    assert found.in_domain


def test_the_known_cycles_correct_what_temperature_alone_would_say():
    slow, fast = (foresee(life(speed, 7)[:200], 40.0, sources(), 1000) for speed in (0.18, 0.34))
    assert slow.mean_ah[-1] - fast.mean_ah[-1] > 0.08
    assert slow.share.sum() < fast.share.sum()


def test_a_band_widens_with_cycles_and_with_fewer_known():
    cell = life(0.24, 7)
    of_200, of_100 = (foresee(cell[:known], 42.0, sources(), 1000).std_ah for known in (200, 100))
    assert of_200[-1] > 2 * of_200[0]
    assert of_100[-1] > 1.5 * of_200[-1]


def test_a_cell_far_from_the_sources_is_out_of_domain():
    assert not foresee(life(0.1)[:200], 5.0, sources(), 1000).in_domain
    assert not foresee(life(2.0)[:200], 40.0, sources(), 1000).in_domain


def test_shares_are_those_of_arrhenius_between_sources_and_one_at_a_source():
    np.testing.assert_allclose(arrhenius_shares(25.0, (25.0, 55.0)), [1.0, 0.0])
    between = arrhenius_shares(40.0, (25.0, 55.0))
    assert between.sum() == pytest.approx(1.0)
    assert between[0] > 0.45  # 1/T lies nearer to the colder one than T does
    beyond = arrhenius_shares(65.0, (25.0, 55.0))
    assert beyond[0] == 0.0
    assert beyond[1] > 1.0


def test_one_wild_cycle_changes_nothing():
    cell = life(0.24, 7)
    wild = cell.copy()
    wild[150] -= 0.05
    a, b = (foresee(c[:200], 42.0, sources(), 1000).mean_ah for c in (cell, wild))
    assert np.abs(a - b).max() < 1e-3
    assert np.abs(steady(wild)[150] - cell[150]) < 2e-3


def test_a_short_record_is_no_part_of_a_source_and_a_source_goes_on_by_its_last_line():
    source = pool([life(0.2), life(0.2, 1), life(0.9, 2, 300)], 25.0)
    assert (source.cells, len(source.loss)) == (2, 1000)
    straight = extended(lost(1.0 - 1e-4 * np.arange(500)), 800)
    np.testing.assert_allclose(np.diff(straight[400:]), 1e-4, rtol=1e-2)


def test_sources_join_by_their_cells_if_they_agree():
    few, many = pool([life(0.16, 1)], 25.0), pool([life(0.18, i) for i in range(3)], 25.0)
    both = join(few, many)
    assert both.cells == 4
    assert few.loss[-1] < both.loss[-1] < many.loss[-1]
    assert both.loss[-1] - few.loss[-1] > many.loss[-1] - both.loss[-1]
    assert agree(few, many)
    assert not agree(few, pool([life(0.6)], 25.0))


def test_too_little_to_go_by_is_refused():
    with pytest.raises(ValueError, match="49 cycles"):
        foresee(life(0.2)[:49], 40.0, sources(), 1000)
    report = estimate(life(0.2)[:49], 40.0, sources())
    assert report.refused == "history_too_short"
    assert estimate(life(0.2)[:200], 40.0, ()).refused == "unknown_configuration"


def test_a_report_bridges_cycles_that_nobody_measured():
    holes = life(0.24, 7)[:200]
    whole = estimate(holes, 42.0, sources())
    holes = holes.copy()
    holes[::3] = np.nan
    report = estimate(holes, 42.0, sources())
    assert report.quality["measured"] == pytest.approx(2 / 3, abs=0.01)
    assert len(report.trajectories["capacity_ah"]) == report.values["horizon"] == 800
    np.testing.assert_allclose(report.trajectories["capacity_ah"], whole.trajectories["capacity_ah"], rtol=5e-3)


def test_a_family_that_is_kept_says_the_same(tmp_path):
    made = sources()
    save(made, tmp_path)
    cell = life(0.24, 7)[:200]
    a, b = (foresee(cell, 42.0, s, 1000).mean_ah for s in (made, family(tmp_path)))
    np.testing.assert_allclose(a, b, rtol=1e-5)
    (tmp_path / "family.safetensors").write_bytes(b"no weights")
    family.cache_clear()
    with pytest.raises(ValueError, match=r"family\.safetensors"):
        family(tmp_path)


def test_the_family_that_comes_with_the_package_fades_faster_where_it_is_warm():
    cold, hot = family()
    assert (cold.temperature_celsius, hot.temperature_celsius) == (25.0, 55.0)
    assert hot.loss[800] > 1.3 * cold.loss[800]


@pytest.mark.parametrize("method", [plain.hold, plain.line, plain.warped, plain.factors, plain.process])
def test_a_plain_way_foresees_every_later_cycle_and_holding_is_the_worst(method):
    truth = life(0.24, 7)
    said, held = (ask(truth[:200], 42.0, sources(), 1000) for ask in (method, plain.hold))
    assert said.mean_ah.shape == said.std_ah.shape == (800,)
    assert np.all(said.std_ah > 0)
    assert np.abs(said.mean_ah - truth[200:]).mean() <= np.abs(held.mean_ah - truth[200:]).mean()
