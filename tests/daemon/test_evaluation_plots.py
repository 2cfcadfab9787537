"""Pictures: what is drawn of the numbers."""

import re

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="no matplotlib: pip install 'bmsd[plots]'")

from daemon.evaluation_plots import POINTS, _thin, draw, inline, learnt, recovered, reliable, traced
from daemon.scores import recovery, reliability
from tests.daemon.traces import trace


def test_thinning_keeps_every_peak_and_the_order_of_time():
    x, y = np.arange(50_000.0), np.zeros(50_000)
    y[[7, 31_234, 49_999]] = 5.0, -3.0, 4.0
    thin_x, thin_y = _thin(x, y)
    assert {(7.0, 5.0), (31_234.0, -3.0), (49_999.0, 4.0)} <= set(zip(thin_x, thin_y, strict=True))
    assert len(thin_x) < 2 * POINTS
    assert (np.diff(thin_x) > 0).all()
    assert len(_thin(x[:100], y[:100])[0]) == 100


def test_a_file_is_drawn_with_its_truth_and_every_estimator(tmp_path):
    (path,) = draw([trace(np.ones(900), estimator=name) for name in ("ekf", "coulomb")], tmp_path / "new")
    assert path.name == "a.svg"
    assert {"ekf", "coulomb", "true"} <= set(re.findall(r">([a-z_]+)</text>", path.read_text(encoding="utf-8")))


def test_a_wrong_start_has_a_panel_of_its_own():
    right, wrong = trace(np.ones(900)), trace(np.full(900, 30.0), case="30 points wrong")
    assert len(traced([right], []).axes) == 3
    assert [title for axes in traced([right], [wrong]).axes if (title := axes.get_title(loc="left"))] == [
        right.case,
        wrong.case,
    ]


def test_a_run_without_a_label_is_drawn_without_error():
    assert [len(axes.lines) for axes in traced([trace(np.ones(900), truth=np.nan)], []).axes] == [2, 1, 1]


def test_a_picture_in_a_page_takes_its_colours_from_there_and_asks_for_nothing():
    svg = inline(reliable(reliability([trace(np.ones(900))])), 'a "quoted" <name>')
    assert 'aria-label="a &quot;quoted&quot; &lt;name&gt;"' in svg
    assert "var(--hue-" in svg
    assert "#0b7a55" not in svg
    assert not re.search(r"(?:src|href)=\"(?!#)|url\((?!#)|<image|<metadata", svg)


def test_starts_that_never_arrive_hold_the_curve_down():
    (axes,) = recovered(recovery([trace([0.0] * 300), trace([30.0] * 600)])).axes
    assert axes.lines[0].get_ydata()[-1] == 50.0


def test_a_learning_record_is_drawn_by_what_it_holds(tmp_path):
    stitches = [f"s{place}_{pair}" for place in (1, 2) for pair in ("11", "12", "21", "22")]
    path = tmp_path / "learning.csv"
    names = ["step", "soc_loss", "soh_loss", *stitches]
    path.write_text("\n".join([",".join(names), *(",".join(["1"] * len(names)) for _ in range(3))]), encoding="utf-8")
    loss, *places = learnt(path).axes
    assert [line.get_label() for line in loss.lines] == ["SOC", "SOH"]
    assert [axes.get_title(loc="left") for axes in places] == ["stitch 1", "stitch 2"]
    assert [len(axes.lines) for axes in places] == [4, 4]
    path.write_text("step,soc_loss\n0,1.0\n1,0.5\n", encoding="utf-8")
    assert len(learnt(path).axes) == 1
