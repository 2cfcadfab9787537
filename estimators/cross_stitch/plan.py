"""In which order the parts of the network are trained.

end_to_end     everything from the first step on
towers_first   the paper's better plan: the stitches stay at identity for `plan_first_share` of the steps
shared_trunk   they stay there throughout: one trunk, two heads, the ablation that the paper leaves out
soc_alone, soh_alone
               one task's loss alone. A pair of such networks, each with a shared LSTM of its own, is the paper's
               single-task reference; the other task of such a network is as it was drawn
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["end_to_end", "towers_first", "shared_trunk", "soc_alone", "soh_alone"]
FIRST_SHARE = 1341 / 4500  # of the paper's steps
SOC, SOH = 0, 1


class Plan(NamedTuple):
    """What a plan does."""

    stitches_stay: bool  # at identity: for the first share of the steps,
    throughout: bool = False  # or for all of them
    tasks: tuple[int, ...] = (SOC, SOH)


PLANS: dict[Kind, Plan] = {
    "end_to_end": Plan(stitches_stay=False),
    "towers_first": Plan(stitches_stay=True),
    "shared_trunk": Plan(stitches_stay=True, throughout=True),
    "soc_alone": Plan(stitches_stay=True, throughout=True, tasks=(SOC,)),
    "soh_alone": Plan(stitches_stay=True, throughout=True, tasks=(SOH,)),
}


def stitches_learn(kind: Kind, step: int, steps: int, first_share: float) -> bool:
    """Tell whether the stitches are trained in this step.

    >>> [stitches_learn("towers_first", step, 10, 0.3) for step in (0, 2, 3)]
    [False, False, True]
    """
    plan = PLANS[kind]
    return not plan.stitches_stay or (not plan.throughout and step >= first_share * steps)
