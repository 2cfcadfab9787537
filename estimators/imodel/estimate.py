"""What is asked of a charge and a rest: capacity now, and in later cycles. Arrays in, arrays out.

known = load(WEIGHTS)["nca"]
now = capacity(known, events)                          # Ah, with its deviation
later = trajectory(known, events, np.arange(5, 151, 5))
left = cycles_left(known, events)                      # estimators/imodel/left.py
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator

from estimators.imodel.features import KINDS, VARIANTS, Events, Kind, Variant, inputs
from estimators.regression.regression import Answer, Regression
from estimators.regression.regression import load as load_regressions
from estimators.regression.regression import save as save_regressions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from estimators.contract import Bool, Float

WEIGHTS = Path(__file__).parent / "weights" / "capacity.safetensors"
NEAR = np.array([2.5, 0.1, 0.1])  # °C, and shares of a C-rate: nearer than this is the same condition
KNOTS = (10, 30, 60, 100, 150)  # cycles ahead for which a model was made; between them a smooth curve
LEAST_FADE = 0.25  # of the mean fade so far, at which capacity goes on to fall: no error where the truth is known


@dataclass(frozen=True, slots=True)
class Known:
    """What was learnt of one kind of cell: models that say capacity as a share of the nominal one, and cycles left."""

    kind: Kind
    conditions: Float  # [condition, 2 or 3] temperature (°C), C-rates: those that were trained
    now: Mapping[Variant, Regression]
    later: Mapping[Variant, Mapping[int, Regression]] = field(default_factory=dict)  # by cycles ahead
    spread: Mapping[str, Float] = field(default_factory=dict)  # "both/0" -> [condition] factors of the deviation
    left: Mapping[Variant, Regression] = field(default_factory=dict)  # roots of cycles left, see left.py


class Later(NamedTuple):
    """Capacities to come."""

    horizon: NDArray[np.int64]  # [ahead] cycles, ascending; 0: now
    mean_ah: Float  # [n, ahead]
    std_ah: Float  # [n, ahead]
    in_domain: Bool  # [n]


def capacity(known: Known, events: Events, variant: Variant | None = None) -> Answer:
    """Give each event's capacity (Ah) [n] with deviation; by the best variant that it allows, or by one."""
    return _in_ah(known, ask(known, shown(known, events, variant), known.now, 0))


def trajectory(
    known: Known,
    events: Events,
    horizon: Sequence[int] | NDArray[np.int64],
    planned: Float | None = None,
    variant: Variant | None = None,
) -> Later:
    """Give capacity `horizon` cycles ahead (Ah) [n, ahead], never rising; its deviation never falls.

    `planned` [n, 3]: temperature (°C), charge and discharge C-rate of the cycles to come, where they shall not be
    as now. No cell was seen to change its use, so the answer is then one of another domain.
    """
    ahead = np.asarray(horizon, dtype=np.int64)
    seen = shown(known, events, variant)
    at_knots = [_in_ah(known, ask(known, seen, known.now, 0))]
    told = [k for k in KNOTS if any(k in by_horizon for by_horizon in known.later.values())]
    for knot in told:
        models = {v: by_horizon[knot] for v, by_horizon in known.later.items() if knot in by_horizon}
        at_knots.append(_in_ah(known, ask(known, seen, models, knot, planned)))
    knots = np.array([0, *told])
    mean = _falling(knots, np.stack([a.mean for a in at_knots], axis=1))
    std = np.maximum.accumulate(np.stack([a.std for a in at_knots], axis=1), axis=1)
    smooth, spread = _between(knots, mean, ahead), _between(knots, std, ahead)
    return Later(ahead, smooth, spread, at_knots[0].in_domain & as_now(events, planned))


def _falling(knots: NDArray[np.int64], capacity: Float) -> Float:
    """Let capacities [n, knot] never rise, and go on falling by a share of their mean fade so far.

    Models of later knots were learnt from cells that lived so long: of one that will not they say too much.
    """
    falling = capacity.copy()
    for later in range(1, len(knots)):
        before = falling[:, later - 1]
        faded = falling[:, 0] - before
        slowest = LEAST_FADE * faded * (knots[later] - knots[later - 1]) / max(knots[later - 1], 1)
        falling[:, later] = np.minimum(capacity[:, later], before - slowest)
    return falling


def as_now(events: Events, planned: Float | None) -> Bool:
    """Tell of which events [n] the planned use [n, 3] is the present one."""
    same: Bool = np.ones(len(events), bool) if planned is None else np.all(_near(planned, events.use), axis=1)
    return same


def _between(knots: NDArray[np.int64], values: Float, ahead: NDArray[np.int64]) -> Float:
    """Draw smooth curves [n, ahead] through values [n, knot]; NaN beyond the last knot, and where one is NaN."""
    drawn = np.full((len(values), len(ahead)), np.nan)
    within = ahead <= knots[-1]
    rows = np.flatnonzero(np.all(np.isfinite(values), axis=1))
    if len(rows) and len(knots) > 1:
        drawn[np.ix_(rows, within)] = PchipInterpolator(knots, values[rows], axis=1)(ahead[within])
    elif len(rows):
        drawn[np.ix_(rows, within)] = values[rows]
    return drawn


def shown(known: Known, events: Events, variant: Variant | None) -> dict[Variant, Float]:
    """Give what each variant, or one, sees of the events."""
    return {v: inputs(events, known.kind, v) for v in ([variant] if variant else VARIANTS)}


def ask(
    known: Known,
    seen: Mapping[Variant, Float],
    models: Mapping[Variant, Regression],
    what: int | str,
    planned: Float | None = None,
) -> Answer:
    """Ask each event's best model, in the models' unit; NaN where there is none. `what` is a key of `spread`."""
    size = len(next(iter(seen.values())))
    answer = Answer(np.full(size, np.nan), np.full(size, np.nan), np.zeros(size, bool))
    used = known.kind.conditions
    open_rows = np.ones(size, bool)
    for name in (v for v in VARIANTS if v in models and v in seen):
        rows = np.flatnonzero(open_rows & np.all(np.isfinite(seen[name][:, used:]), axis=1))
        if not len(rows):
            continue
        open_rows[rows] = False
        x = seen[name][rows]
        if planned is not None:
            x[:, :used] = planned[rows, :used]
        x[:, :used], condition = settle(x[:, :used], known.conditions)
        near = condition >= 0
        said = models[name].predict(x)
        factor = known.spread.get(f"{name}/{what}", np.ones(len(known.conditions)))
        wider = np.where(near, factor[condition], factor.max())
        answer.mean[rows], answer.std[rows] = said.mean, said.std * wider
        answer.in_domain[rows] = said.in_domain & near
    return answer


def _in_ah(known: Known, share: Answer) -> Answer:
    nominal = known.kind.nominal_capacity_ah
    return Answer(share.mean * nominal, share.std * nominal, share.in_domain)


def settle(use: Float, conditions: Float) -> tuple[Float, NDArray[np.int64]]:
    """Put conditions [n, used] that are near a trained one onto it, and tell which it is [n]; -1: none."""
    same: Bool = np.all(_near(use[:, None, :], conditions[None]), axis=2)
    which = np.where(np.any(same, axis=1), same.argmax(axis=1), -1)
    return np.where((which >= 0)[:, None], conditions[which], use), which


def _near(use: Float, others: Float) -> Bool:
    """Tell [.., used] whether temperatures and rates are the same for a model."""
    room = NEAR[: use.shape[-1]] * np.where(np.arange(use.shape[-1]) == 0, 1.0, others)
    near: Bool = np.abs(use - others) <= room
    return near


def save(path: Path, known: Mapping[str, Known], about: Mapping[str, str]) -> None:
    """Keep what was learnt, in one safetensors file; `about` are words kept beside it."""
    models: dict[str, Regression] = {}
    for name, one in known.items():
        models |= {f"{name}/now/{v}": m for v, m in one.now.items()}
        models |= {f"{name}/later/{v}/{h}": m for v, hs in one.later.items() for h, m in hs.items()}
        models |= {f"{name}/left/{v}": m for v, m in one.left.items()}
    conditions = {name: one.conditions.tolist() for name, one in known.items()}
    spread = {name: {k: f.tolist() for k, f in one.spread.items()} for name, one in known.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_regressions(path, models, {**about, "conditions": json.dumps(conditions), "spread": json.dumps(spread)})


def load(path: Path = WEIGHTS) -> dict[str, Known]:
    """Read what was learnt, by kind of cell. Raises FileNotFoundError or ValueError, naming the file."""
    models, about = load_regressions(path)
    conditions, spread = json.loads(about["conditions"]), json.loads(about["spread"])
    return {
        name: Known(
            KINDS[name],
            np.array(conditions[name]),
            {v: models[key] for v in VARIANTS if (key := f"{name}/now/{v}") in models},
            {v: {h: models[key] for h in KNOTS if (key := f"{name}/later/{v}/{h}") in models} for v in VARIANTS},
            {key: np.array(factors) for key, factors in spread[name].items()},
            {v: models[key] for v in VARIANTS if (key := f"{name}/left/{v}") in models},
        )
        for name in conditions
    }
