"""Seconds made of a few numbers, and a watch over them."""

import os
from pathlib import Path

import numpy as np
import pytest

from daemon import grid
from daemon.events import Bounds, Watch
from daemon.grid import Closed, Resume
from daemon.slots import grow
from estimators.check import Facts, Standing

CAPACITY_AH = 3.0
FACTS = Facts("cell", "nmc", CAPACITY_AH, 2.5, 4.2)


def closed(current, start=0, resume_at=(), slot=0, volt=3.7, celsius=25.0, held=()):
    n = len(current)
    resume = np.zeros(n, np.int8)
    resume[list(resume_at)] = Resume.KEPT
    silent = np.zeros(n, bool)
    silent[list(held)] = True
    return Closed(
        np.full(n, slot),
        start + np.arange(n),
        np.broadcast_to(np.asarray(volt, float), (n,)).copy(),
        np.array(current, float),
        np.full(n, celsius),
        np.zeros(n, np.uint32),
        resume,
        silent,
        np.arange(n),
    )


def join(*parts):
    """Lay the seconds of several cells beside one another."""
    return Closed(*(np.stack([getattr(p, n) for p in parts], 1).ravel() for n in Closed.__slots__))


def watch(slots=1):
    seeing = Watch()
    for state in seeing.states:
        grow(state, slots)
    one = np.ones(slots)
    return seeing, Bounds(0.02 * CAPACITY_AH * one, CAPACITY_AH * one, 3.8 * one, 4.1 * one, 2.5 * one, 4.2 * one)


def see(seconds, flush=False):
    """Show seconds of one cell; what was seen."""
    seeing, bounds = watch(int(seconds.slot.max()) + 1)
    return (seeing.flush if flush else seeing.see)(seconds, bounds)


def events_of(seconds, *kinds, flush=False):
    return [t.event for t in see(seconds, flush).told if not kinds or t.event.kind in kinds]


def evidence_of(seconds, *triggers, flush=False):
    phases = see(seconds, flush).phases
    return [p.evidence(FACTS, Standing()) for p in phases if not triggers or p.trigger in triggers]


def on_grid(time, volt, ampere, celsius, max_hold_second=120.0):
    """Lay a log on the grid, as the fleet does."""
    n, one = len(time), np.ones(len(time))
    state = grid.GridState()
    grow(state, 1)
    samples = grid.Samples(
        np.zeros(n, np.intp),
        np.asarray(time, float),
        np.asarray(volt, float),
        np.asarray(ampere, float),
        np.asarray(celsius, float),
        one < 0,
        one < 0,
        one < 0,
        max_hold_second * one,
        0.02 * CAPACITY_AH * one,
    )
    closed, _ = grid.push(state, samples)
    last = grid.flush(state, np.zeros(1, bool))
    return Closed(*(np.concatenate([getattr(closed, name), getattr(last, name)]) for name in Closed.__slots__))


def data(name):
    """Find a file of the data sets, or skip the test."""
    path = Path(os.environ.get("BMSD_DATA", Path(__file__).parents[4] / "shared" / "data")) / name
    if not path.is_file():
        pytest.skip(f"no data set at {path}")
    return path
