import pytest

from daemon.wire import Health, Scenario

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from daemon.health.pictures import _trajectories

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
