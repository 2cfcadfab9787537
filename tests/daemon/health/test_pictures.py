from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from daemon import models
from daemon.config import Config
from daemon.fleet import Fleet
from daemon.health.seen import Rest, Seen
from daemon.log import Log
from daemon.models import Model
from daemon.replay import Recording, Settings, configure, straight
from daemon.wire import Health, Scenario
from tests.daemon.counting import Counting, write_cell_type

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from daemon.health.pictures import REST_SECOND, _panels, _rests, _trajectories, draw

AHEAD = {"horizon_cycle": [0.0, 50.0], "capacity_ah": [3.0, 2.9], "capacity_ah_std": [0.1, 0.2]}


def test_each_planned_use_is_drawn_and_what_no_cell_was_seen_to_do_is_dashed():
    scenarios = {"as_now": Scenario(25.0, 0.5, 1.0, {}, AHEAD)}
    scenarios["as_configured"] = Scenario(40.0, 0.5, 1.0, {}, AHEAD, in_domain=False)
    older, newer = (Health(at, "imodel", "m", "rest", 0.0, {}, {}, {}, AHEAD, scenarios) for at in (1.0, 2.0))
    early = Health(3.0, "early_life", "m", "capacity", 0.0, trajectories=AHEAD)
    axes = Figure().subplots()
    _trajectories(axes, [older, newer, early])
    drawn = {line.get_label(): line.get_linestyle() for line in axes.lines}
    assert drawn == {"imodel, as_now": "-", "imodel, as_configured": "--", "early_life": "-"}
    assert len(axes.lines) == 3


PHASES = ((1.5, 300), (0.0, 400), (-1.5, 300), (0.0, 200), (1.5, 300), (0.0, 5_000))  # A, s


@pytest.fixture
def seen(tmp_path, monkeypatch):
    """Charge, rest, discharge, rest, charge, rest; nobody checks anything."""
    monkeypatch.setitem(models.MODELS, "coulomb", Model(Counting))
    current = np.concatenate([np.full(length, ampere) for ampere, length in PHASES])
    same = np.ones(len(current))
    log = Log(Path("cell.csv"), np.arange(len(current), dtype=float), 3.7 + 0.1 * current, current, 25.0 * same, [])
    return watched(log, write_cell_type(tmp_path / "counted"))


def watched(log, cell_type):
    recording = Recording(log, "log0/cell", 1_000)
    seen = Seen(recording)
    fleet = Fleet(configure(Config(), [recording], Settings(str(cell_type))))
    straight(fleet, [seen], float("inf"), lambda _more: None)
    return seen


def test_every_rest_that_was_over_is_seen_though_no_check_said_anything(seen):
    assert seen.health == []
    assert seen.rests == [
        Rest(1_300.0, 1_700.0, "charge"), Rest(2_000.0, 2_200.0, "discharge"), Rest(2_500.0, 7_500.0, "charge")
    ]  # fmt: skip
    assert seen.over == Counter(rest=3, charge=2)


def test_a_rest_is_drawn_to_its_end_and_no_further_than_checks_look(seen):
    axes = Figure().subplots()
    _rests(axes, seen, seen.rests, "rests")
    ends = [float(line.get_xdata()[-1]) for line in axes.lines]
    assert ends == [399 / 60, 199 / 60, (REST_SECOND - 1) / 60]
    assert all(np.ptp(line.get_ydata()) == 0.0 for line in axes.lines)  # none of the discharge that follows


def test_a_panel_without_anything_to_show_is_left_out(seen):
    assert len(_panels(seen)) == 3  # rests after charges, the others, SOH
    seen.rests = seen.rests[:1]
    assert len(_panels(seen)) == 2
    seen.health = [Health(7.0, "imodel", "m", "rest", 0.0, trajectories=AHEAD | {"expert_weight": [0.5, 0.5]})]
    assert len(_panels(seen)) == 4


def test_two_logs_of_one_name_are_two_pictures(seen, tmp_path):
    drawn = draw([seen, seen], tmp_path)
    assert [path.name for path in drawn] == ["cell.health.png", "cell~2.health.png"]
    assert all(path.stat().st_size > 5_000 for path in drawn)
