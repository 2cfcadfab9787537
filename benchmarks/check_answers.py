"""How fast health checks' models answer, one charge at a time and a thousand together.

    python benchmarks/check_answers.py [--json]

Peer: the same answer by scikit-learn, one support vector machine and one boosting of the size that `imodel` asks for a
capacity, measured in the same run. The ratio is the peer's time over ours; models that the peer has none of have none.
"""

from __future__ import annotations

import argparse
import json
import platform
import timeit
from typing import TYPE_CHECKING

import numpy as np

from estimators.imodel.estimate import capacity, load, trajectory
from estimators.imodel.features import Events, inputs
from estimators.imodel.left import cycles_left
from estimators.multitask.estimate import load as load_multitask

if TYPE_CHECKING:
    from collections.abc import Callable

    from estimators.contract import Float

ROUNDS = 5  # per figure
TOGETHER = 1000
AHEAD = np.arange(5, 151, 5)


def best_ms(work: Callable[[], object]) -> float:
    """Give the best time of one call, of some rounds of calls."""
    timer = timeit.Timer(work)
    calls, _ = timer.autorange()
    return 1e3 * min(timer.repeat(ROUNDS, calls)) / calls


def made_up(count: int) -> Events:
    """Charges and rests of NCA cells that are more or less worn."""
    share = np.linspace(0.75, 0.95, count)[:, None]
    rest = 4.19 - 0.01 * (1.5 - share) * np.log1p(np.arange(1.0, 15.0))
    charge = 0.9 * 3.5 * share * np.linspace(0.0, 1.0, 50)
    return Events(charge, rest, np.full(count, 25.0), np.full(count, 0.5), np.full(count, 1.0))


def peer(events: Events, x: Float) -> Callable[[Float], object]:
    """Fit scikit-learn's models on rows like those asked."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.svm import SVR

    y = events.charge_ah[:, -1] / 3.5 + 0.01 * np.random.default_rng(0).standard_normal(len(x))
    models = (
        SVR(C=3.0, epsilon=0.01).fit(x, y),
        HistGradientBoostingRegressor(max_iter=120, max_leaf_nodes=8).fit(x, y),
    )
    return lambda asked: [model.predict(asked) for model in models]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    known, charge_ends = load()["nca"], load_multitask()
    many = made_up(TOGETHER)
    x = inputs(many, known.kind, "both")
    theirs = peer(many, x)
    ends = np.full((TOGETHER, 16), 0.5)
    print(f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}")
    for count in (1, TOGETHER):
        some, seen = many.pick(np.arange(TOGETHER) < count), x[:count]
        work: dict[str, Callable[[], object]] = {
            "imodel, capacity now": lambda some=some: capacity(known, some),
            "imodel, 30 later capacities": lambda some=some: trajectory(known, some, AHEAD),
            "imodel, cycles left": lambda some=some: cycles_left(known, some),
            "multitask, three targets": lambda count=count: charge_ends.ask("tju_nca", ends[:count]),
        }
        beside = best_ms(lambda seen=seen: theirs(seen)) / count
        for name, one in work.items():
            each = best_ms(one) / count
            row = {"model": name, "together": count, "ms_each": each, "peer_over_ours": beside / each}
            print(json.dumps(row) if args.json else f"{name:30s} {count:5d}  {each:8.3f} ms each  {beside / each:6.2f}")


if __name__ == "__main__":
    main()
