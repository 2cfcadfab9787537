"""Traces, trust, recovery and learning as pictures: SVG files, or SVG that takes the colours of the page around it."""

from __future__ import annotations

import html
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import polars
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from daemon.evaluate import Trace
from daemon.models import MODELS
from daemon.scores import LEVELS, Recovery, Reliability
from estimators.regression.regression import NINETY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Float = NDArray[np.float64]
INK, FAINT = "#1b1f24", "#c4c9d0"
HUES = ("#8a4f9e", "#0b7a55", "#c65102", "#0a6cb8")  # of the estimators, in the order of MODELS
OF_THE_PAGE = {INK: "var(--ink)", FAINT: "var(--faint)"} | {hue: f"var(--hue-{i})" for i, hue in enumerate(HUES)}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: small, and read aloud
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "path.simplify_threshold": 0.4,
} | dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK)
LONG_SECOND = 36_000.0  # from here on time is told in hours
POINTS = 400  # along a curve: more cannot be seen
SOONEST_MINUTE, LATEST_MINUTE = 1.0 / 60.0, 30.0
LEAST_POINT, FAR_POINT = 0.5, 10.0  # the error axis reaches at least so far; after a wrong start at most so far


def hue(estimator: str) -> str:
    """Give each estimator its colour, the same in every picture."""
    return HUES[list(MODELS).index(estimator) % len(HUES)]  # type: ignore[arg-type]


@mpl.rc_context(STYLE)
def draw(traces: list[Trace], folder: Path) -> list[Path]:
    """Write `<file>.svg` for every run."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in dict.fromkeys(t.run.name for t in traces):
        paths.append(folder / f"{name}.svg")
        traced([t for t in traces if t.run.name == name], []).savefig(paths[-1])
    return paths


@mpl.rc_context(STYLE)
def traced(right: list[Trace], wrong: list[Trace]) -> Figure:
    """One run: SOC and the truth, its error, the error after a wrong start if there is any, SOH.

    The first estimator has its 90 % band.
    """
    shown = [right, wrong] if wrong else [right]
    figure, (soc, *errors, soh) = _figure(5.6, (2.2, *[1.0] * len(shown), 0.8))
    for trace in reversed(right):  # the first one on top
        for axes, mean, std in ((soc, trace.soc, trace.soc_std), (soh, trace.soh, trace.soh_std)):
            _curve(axes, trace, 100.0 * mean)
            if trace is right[0]:
                _band(axes, trace, 100.0 * mean, 100.0 * std)
    soc.plot(*_thin(_clock(right[0]), right[0].truth * 100.0), color=INK, lw=1.0, ls="--", label="true")
    means = np.concatenate([100.0 * trace.soc for trace in right])
    soc.set(ylabel="SOC / %", ylim=(max(means.min() - 8.0, -2.0), min(means.max() + 8.0, 102.0)))
    soc.legend(*map(reversed, soc.get_legend_handles_labels()))
    for axes, traces in zip(errors, shown, strict=True):
        far = LEAST_POINT
        for trace in reversed(traces):
            if trace.run.labelled:
                _curve(axes, trace, trace.error)
                far = max(far, 1.1 * float(np.nanmax(np.abs(trace.error))))
        if traces is wrong:
            far = min(far, FAR_POINT)
        axes.axhline(0.0, color=INK, lw=0.6)
        axes.set(ylabel="error / points", ylim=(-far, far))
        axes.set_title(traces[0].case)
    if np.isfinite(right[0].run.soh):
        soh.axhline(100.0 * right[0].run.soh, color=INK, lw=1.0, ls="--")
    soh.set(xlabel="time / h" if _is_long(right[0]) else "time / min", ylabel="SOH / %")
    return figure


@mpl.rc_context(STYLE)
def reliable(found: list[Reliability]) -> Figure:
    """Hold nominal against actual share, a square for each case: above the diagonal too careful, below too sure."""
    cases = list(dict.fromkeys(r.case for r in found))
    rows = (len(cases) + 1) // 2
    figure = Figure(figsize=(6.0, 2.9 * rows), layout="constrained")
    squares = np.atleast_1d(figure.subplots(rows, min(2, len(cases)), sharex=True, sharey=True)).ravel()
    for axes, case in zip(squares, cases, strict=False):
        axes.plot((0.0, 100.0), (0.0, 100.0), color=INK, lw=0.8, ls="--")
        for one in reversed([r for r in found if r.case == case]):
            share = 100.0 * np.array([LEVELS, one.inside])
            axes.plot(*share, color=hue(one.estimator), lw=1.2, marker="o", ms=3.0, label=one.estimator, clip_on=False)
        axes.set(title=case, aspect="equal", xlim=(0, 100), ylim=(0, 100))
    squares[0].legend(*map(reversed, squares[0].get_legend_handles_labels()))
    figure.supxlabel("central interval, nominal / %", fontsize=9.0)
    figure.supylabel("seconds inside / %", fontsize=9.0)
    return figure


@mpl.rc_context(STYLE)
def recovered(found: list[Recovery]) -> Figure:
    """Show how many starts had arrived after how many minutes, at all temperatures."""
    figure, (axes,) = _figure(3.2, (1.0,))
    for one in reversed([r for r in found if r.ambient_temperature_celsius is None]):
        minute = np.array([m for m in one.minutes if np.isfinite(m)])
        share = 100.0 * np.arange(1, len(minute) + 1) / len(one.minutes)
        steps = np.r_[SOONEST_MINUTE, np.maximum(minute, SOONEST_MINUTE), LATEST_MINUTE]
        height = np.r_[0.0, share, share[-1] if len(share) else 0.0]
        axes.step(steps, height, where="post", color=hue(one.estimator), lw=1.4, label=one.estimator)
    for level in (50.0, 90.0):
        axes.axhline(level, color=INK, lw=0.6, ls=":")
    axes.set(xscale="log", xlim=(SOONEST_MINUTE, LATEST_MINUTE), ylim=(-2, 102))
    axes.set_xticks((0.02, 0.1, 0.3, 1, 3, 10, 30), ("1 s", "6 s", "20 s", "1 min", "3", "10", "30"))
    axes.set_xticks((), minor=True)
    axes.set(xlabel="time since switched on", ylabel="starts under 3 points / %")
    axes.legend(*map(reversed, axes.get_legend_handles_labels()))
    return figure


@mpl.rc_context(STYLE)
def learnt(path: Path) -> Figure:
    """Draw what a training wrote down: its losses, and every stitch, four to a place.

    Columns: step, any that end in `_loss`, and stitches `s{place}_{to}{from}` (`stitch...` too).
    """
    table = polars.read_csv(path)
    losses = [n for n in table.columns if n.endswith("_loss")]
    stitches = [n for n in table.columns if n.startswith("s") and n != "step" and n not in losses]
    places = list(dict.fromkeys(n.rpartition("_")[0] for n in stitches))
    figure, (above, *below) = _figure(2.2 + 1.1 * len(places), (1.6, *[1.0] * len(places)))
    step = table["step"].to_numpy()
    for colour, name in zip(reversed(HUES), losses, strict=False):
        above.plot(step, table[name].to_numpy(), color=colour, lw=1.0, label=name.removesuffix("_loss").upper())
    above.set(title="loss", yscale="log")
    above.yaxis.set_minor_formatter(NullFormatter())
    above.legend()
    for axes, place in zip(below, places, strict=True):
        for colour, name in zip(reversed(HUES), [n for n in stitches if n.rpartition("_")[0] == place], strict=False):
            axes.plot(step, table[name].to_numpy(), color=colour, lw=1.2, label=name.rpartition("_")[2])
        axes.set_title(f"stitch {re.sub(r'[^0-9]', '', place)}")
    if below:
        below[0].legend(ncols=4, loc="center right")
    (below or [above])[-1].set_xlabel("step")
    return figure


@mpl.rc_context(STYLE)
def inline(figure: Figure, says: str) -> str:
    """Turn a figure into SVG for a page, whose style names the colours; `says` is read aloud in its place."""
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True)
    svg = re.sub(r"<metadata>.*?</metadata>", "", text.getvalue(), flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # would be there once for each figure
    svg = re.sub(r' d="[^"]*"', lambda d: re.sub(r"(\.\d)\d+", r"\1", d[0]).replace(" \n", " "), svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    svg = re.sub("|".join(OF_THE_PAGE), lambda colour: OF_THE_PAGE[colour[0]], svg)
    head, _, body = svg[svg.index("<svg") :].partition(">")
    size = head[head.index("viewBox") :].split('"')[1]
    return f'<svg viewBox="{size}" role="img" aria-label="{html.escape(says)}">{body}'


def _figure(height_inch: float, ratios: tuple[float, ...]) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(6.0, height_inch), layout="constrained")
    return figure, list(figure.subplots(len(ratios), 1, sharex=True, height_ratios=ratios, squeeze=False)[:, 0])


def _curve(axes: Axes, trace: Trace, values: Float) -> None:
    axes.plot(*_thin(_clock(trace), values), color=hue(trace.estimator), lw=1.0, label=trace.estimator)


def _band(axes: Axes, trace: Trace, mean: Float, std: Float) -> None:
    some = np.unique(np.linspace(0, len(mean) - 1, POINTS // 2).astype(int))
    low, high = (mean[some] + sign * NINETY * std[some] for sign in (-1.0, 1.0))
    axes.fill_between(_clock(trace)[some], low, high, color=hue(trace.estimator), alpha=0.2, lw=0, zorder=1.0)


def _is_long(trace: Trace) -> bool:
    return bool(trace.test_time_second[-1] > LONG_SECOND)


def _clock(trace: Trace) -> Float:
    return trace.test_time_second / (3600.0 if _is_long(trace) else 60.0)


def _thin(x: Float, y: Float) -> tuple[Float, Float]:
    """Keep the lowest and the highest point of each stretch, so that no peak is lost."""
    width = -(-2 * len(x) // POINTS)
    if width <= 2:
        return x, y
    whole = len(x) // width * width
    stretches = np.nan_to_num(y[:whole].reshape(-1, width), nan=0.0)
    ends = np.sort([stretches.argmin(axis=1), stretches.argmax(axis=1)], axis=0).T
    keep = np.unique(np.r_[(np.arange(0, whole, width)[:, None] + ends).ravel(), np.arange(whole, len(x))])
    return x[keep], y[keep]
