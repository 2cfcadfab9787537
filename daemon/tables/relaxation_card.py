"""The CARD.md of what is learnt from charges and rests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from estimators.imodel.train import Found

CARD = """# A charge and a rest: capacity, now and later

**What** Capacity as a share of the nominal one, from one full charge at constant current and the rest after it.
`weights/capacity.safetensors` holds, for each kind of cell, for what was seen (`both`, `charge`, `rest`; `late`: a rest
and the part of a charge above 3.8 V, LSD 3.9 V) and for some numbers of cycles ahead, the mean of some members (support
vectors; boosted and extremely randomised trees): of a few such means the one that was nearest on cells left out. Where
four cells were seen to reach 80 % of the nominal capacity, as many cycles as are left to there are learnt likewise, as
a root.
`weights/imodel-*.safetensors` hold the mixture of experts, by whose name the folder goes. Made by
`bmsd train imodel --data DIR`, seed {seed}.

**Learnt from** `zhu2022-voltage-relaxation` (NCA, NCM, NCM+NCA 18650; J. Zhu et al., Nature Communications 13, 2261,
2022; data record 10.5281/zenodo.6379165, CC BY 4.0) and `imodel-lsd-relaxation` (second-life cells, data record
10.5281/zenodo.14859405, whose licence its mirror does not state: look it up before you pass the `lsd` weights on, or
train without that folder). Of the latter only capacities that were measured.

**Input** Q(V) on 50 voltages, 3.6 to 4.15 V (LSD: 3.8 to 4.1 V), as a share of the nominal capacity; rest voltages 2 to
28 minutes after the charge, every 2 (LSD: 90 points of a period that the source does not tell); temperature, charge and
discharge C-rate. All inputs are clipped to what 99.8 % of the training rows had.

**Output** Capacity with a deviation that left-out cells showed, wider in conditions whose cells were farther off.
`in_domain` is false more than 2.5 °C or a tenth of a C-rate from every trained condition, and where an input lies a
quarter of its range outside. Rows of another temperature or rate count as four times farther away than by their bare
numbers. The way from a resting cell to its fade under another use than its own was never seen: a planned use that
differs is out of domain.

**The mixture of experts is not iMODEL as published.** Its gate may choose (balance weighs 0.003 in place of 0.5); the
decoder runs forward in time only and gives fade that is never negative, counted from the present capacity; C-rates are
the real ones, charge is in shares of the nominal capacity, each set's curves lie at their true voltages, and what was
not seen is masked. What the gate is worth is measured: `bmsd evaluate imodel` also asks it with another row's features.

**Limits** LFP has no such charging window. Cells of a make that trained nothing are told wrong by several points, and
not all of them look strange: the service asks only where chemistry and size are known. NCM and NCM+NCA were learnt
from two cells each.

Root mean square error in points of the nominal capacity (of cycles `left`: in roots of a cycle), on cells left out of
the inner folds that chose:

| cells | seen | cycles ahead | members | error | cells | rows |
|---|---|---|---|---|---|---|
{rows}
"""


def written(found: Sequence[Found], seed: int) -> str:
    """Word what was learnt."""
    return CARD.format(seed=seed, rows="\n".join(map(_row, found)))


def _row(one: Found) -> str:
    members = " + ".join(one.members)
    about, error = ("left", one.rmse) if one.horizon is None else (one.horizon, 100 * one.rmse)
    return f"| {one.kind} | {one.variant} | {about} | {members} | {error:.2f} | {one.cells} | {one.rows} |"
