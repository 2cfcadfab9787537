"""A small Kalman filter over the SOH that a network or a filter says each hour: slow, nearly monotone, honest.

    state = init(start_soh, start_std)
    state = step(state, said, said_std, efc, elapsed_second, which)        # once an hour; any number of sources
    soh, soh_std = accepted(state)

Each cell has these states: SOH s, fade r per equivalent full cycle (EFC: twice the nominal capacity moved, either
way), and the error b of each source, in units of its standard deviation.

    s' = s - r efc         r' = r, never below 0       b' = b exp(-elapsed / ERROR_MEMORY)
    said = s + share * said_std * b + white noise

The error keeps its sign for days (a network that is off this morning is off this evening), so a hundred hours of it
are worth little more than one: b takes that up, and no average of many words claims to be sure. A single outlier is
clipped (Huber 1964), and an hour moves s by no more than the cell can have aged plus a share of what is not
known: so s nearly falls, and rises only while it is still unsure. Where gain is held back, the covariance is that
of the gain used (Joseph's form).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from estimators.contract import Bool, Float, State

START_STD = 0.05  # of a SOH that is only supposed
FADE, FADE_STD = 2e-4, 2.5e-4  # per EFC, before anything is seen: 80 % after 1,000 cycles, 400 or never
FADE_DRIFT = 2e-5  # of that, per square root of EFC: knees
WANDER_PER_EFC, WANDER_PER_DAY = 1e-4, 1e-4  # of SOH beside it, per square root: calendar ageing, recovery
MOST_PER_EFC, MOST_PER_DAY = 1e-3, 3e-4  # how far a cell can truly fall
CATCH_UP = 0.25  # of a standard deviation, more than that, in one step
ERROR_MEMORY_SECOND = 5 * 86_400.0
ERROR_SHARE, WHITE_SHARE = 0.866, 0.5  # of the standard deviation that is said: squares add up to 1
OUTLIER = 2.5  # standard deviations of the innovation
TINY = 1e-12
DAY_SECOND = 86_400.0


def init(soh: Float, std: Float | float = START_STD, sources: int = 1) -> State:
    """Make the state of cells whose SOH [cell] is supposed to be so, give or take `std`."""
    mean = np.zeros((len(soh), 2 + sources))
    mean[:, 0], mean[:, 1] = soh, FADE
    variance = np.ones_like(mean)
    variance[:, 0], variance[:, 1] = np.square(std), FADE_STD**2
    return {"soh_mean": mean, "soh_covariance": variance[:, :, None] * np.eye(2 + sources)}


def accepted(state: State) -> tuple[Float, Float]:
    """SOH and its standard deviation, both [cell]."""
    return state["soh_mean"][:, 0].copy(), np.sqrt(state["soh_covariance"][:, 0, 0])


def step(state: State, said: Float, said_std: Float, efc: Float, elapsed_second: Float, which: Bool) -> State:
    """Take what the sources said, [cell, source], of the cells in `which`.

    `efc` and `elapsed_second` [cell] have passed since the last step. What is not finite was not said.
    """
    new = _moved(state, efc, elapsed_second)
    fall = MOST_PER_EFC * efc + MOST_PER_DAY * elapsed_second / DAY_SECOND
    for source, (soh, std) in enumerate(zip(said.T, said_std.T, strict=True)):
        heard = np.isfinite(soh) & np.isfinite(std)
        told = _heard(new, source, np.where(heard, soh, 1.0), np.where(heard, std, 1.0), fall)
        new = _chosen(new, told, heard)
    return _chosen(state, new, which)


def _heard(state: State, source: int, soh: Float, std: Float, fall: Float) -> State:
    """Take one source's word, of every cell."""
    white = np.square(WHITE_SHARE * std)
    by = np.zeros_like(state["soh_mean"])
    by[:, 0], by[:, 2 + source] = 1.0, ERROR_SHARE * std
    surprise, gain, spread = _gain(state, by, soh, white)
    move = gain[:, 0] * surprise
    room = CATCH_UP * accepted(state)[1] + np.where(move < 0.0, fall, 0.0)
    held = np.minimum(OUTLIER * spread / (np.abs(surprise) + TINY), room / (np.abs(move) + TINY))
    return _updated(state, by, gain * np.minimum(held, 1.0)[:, None], surprise, white)


def calibrate(state: State, soh: Float, std: Float, which: Bool) -> State:
    """Take the SOH of a capacity test or a health check, all [cell]; what is said from now on is held against it."""
    by = np.zeros_like(state["soh_mean"])
    by[:, 0] = 1.0
    surprise, gain, _ = _gain(state, by, soh, np.square(std))
    new = _updated(state, by, gain, surprise, np.square(std))
    variance = new["soh_covariance"]
    variance[:, 0, 0] = _not_surer(state["soh_covariance"][:, 0, 0], variance[:, 0, 0], std)
    return _chosen(state, new, which)


def weighed(soh: Float, std: Float, said: Float, said_std: Float) -> tuple[Float, Float]:
    """Weigh a SOH and the one that a check says by their variances: SOH and standard deviation, all [cell]."""
    before, white = np.square(std), np.square(said_std)
    gain = before / (before + white)
    return soh + gain * (said - soh), np.sqrt(_not_surer(before, gain * white, said_std))


def _not_surer(before: Float, after: Float, said_std: Float) -> Float:
    """Keep a variance from falling below that of a check's word: it errs alike each time, however often it speaks."""
    return np.asarray(np.minimum(before, np.maximum(after, np.square(said_std))))


def _moved(state: State, efc: Float, elapsed_second: Float) -> State:
    """Let the time pass in which nothing was said."""
    day = elapsed_second / DAY_SECOND
    kept = np.exp(-elapsed_second / ERROR_MEMORY_SECOND)
    states = state["soh_mean"].shape[1]
    move = np.where(np.arange(states)[:, None] < 2, 1.0, kept[:, None, None]) * np.eye(states)
    move[:, 0, 1] = -efc
    covariance = move @ state["soh_covariance"] @ move.transpose(0, 2, 1)
    covariance[:, 0, 0] += WANDER_PER_EFC**2 * efc + WANDER_PER_DAY**2 * day
    covariance[:, 1, 1] += FADE_DRIFT**2 * efc
    for source in range(2, states):
        covariance[:, source, source] += 1.0 - kept**2
    return {"soh_mean": (move @ state["soh_mean"][:, :, None])[:, :, 0], "soh_covariance": covariance}


def _gain(state: State, by: Float, said: Float, noise: Float) -> tuple[Float, Float, Float]:
    """How far `said` is from what was expected, the Kalman gain [cell, state], and the expected spread."""
    toward = (state["soh_covariance"] @ by[:, :, None])[:, :, 0]
    variance = (toward * by).sum(axis=1) + noise
    return said - (state["soh_mean"] * by).sum(axis=1), toward / variance[:, None], np.sqrt(variance)


def _updated(state: State, by: Float, gain: Float, surprise: Float, noise: Float) -> State:
    mean = state["soh_mean"] + gain * surprise[:, None]
    mean[:, 1] = np.clip(mean[:, 1], 0.0, MOST_PER_EFC)
    left = np.eye(gain.shape[1]) - gain[:, :, None] * by[:, None, :]
    taken = gain[:, :, None] * gain[:, None, :] * noise[:, None, None]
    covariance = left @ state["soh_covariance"] @ left.transpose(0, 2, 1) + taken
    return {"soh_mean": mean, "soh_covariance": covariance}


def _chosen(old: State, new: State, which: Bool) -> State:
    return {name: np.where(which.reshape(-1, *[1] * (new[name].ndim - 1)), new[name], old[name]) for name in new}
