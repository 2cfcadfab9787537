"""How the losses of the two tasks become one: the three ways of the paper.

empirical        L_SOC + w L_SOH
uncertainty      sum of L_k / (2 sigma_k^2) + log sigma_k, sigma learnt with the weights
                 (Kendall, Gal, Cipolla, "Multi-task learning using uncertainty to weigh losses", 2018)
dynamic_average  sum of lambda_k L_k, lambda_k = 2 exp(r_k / 2) / sum_i exp(r_i / 2), where r_k is the loss of
                 the last steps over that of the steps before (Liu, Johns, Davison, "End-to-end multi-task
                 learning with attention", 2019, K = T = 2; epochs there, blocks of steps here)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

Kind = Literal["empirical", "uncertainty", "dynamic_average"]
BLOCK_STEPS = 50
TASKS, TEMPERATURE = 2, 2.0


class Weighting(nn.Module):
    """One loss from two, with what has to be remembered for that."""

    log_sigma: nn.Parameter  # [task] SOC, SOH
    summed: Tensor  # [task, 2] sum of the losses of this block, and how many there were
    before: Tensor  # [2, task] mean losses of the last block and of the one before; 0: not yet

    def __init__(self, kind: Kind, soh_weight: float) -> None:
        super().__init__()
        self._kind, self._soh_weight = kind, soh_weight
        self.log_sigma = nn.Parameter(torch.zeros(TASKS), requires_grad=kind == "uncertainty")
        self.register_buffer("summed", torch.zeros(TASKS, 2))
        self.register_buffer("before", torch.zeros(2, TASKS))

    def forward(self, losses: dict[int, Tensor]) -> Tensor:
        """Sum the losses of the tasks (0 SOC, 1 SOH) that this window has."""
        if self._kind == "uncertainty":
            return _sum(0.5 * torch.exp(-2.0 * self.log_sigma[k]) * v + self.log_sigma[k] for k, v in losses.items())
        weight = torch.tensor([1.0, self._soh_weight])
        if self._kind == "dynamic_average":
            weight = self._dynamic(losses)
        return _sum(weight[k].to(v.device) * v for k, v in losses.items())

    @torch.no_grad()
    def _dynamic(self, losses: dict[int, Tensor]) -> Tensor:
        for task, loss in losses.items():
            self.summed[task] += torch.stack([loss, torch.ones_like(loss)])
        if self.summed[0, 1] >= BLOCK_STEPS and self.summed[:, 1].min() > 0:
            self.before[1] = self.before[0]
            self.before[0] = self.summed[:, 0] / self.summed[:, 1]
            self.summed.zero_()
        known = bool((self.before[1] > 0).all())
        rate = self.before[0] / self.before[1] if known else torch.ones_like(self.before[0])
        return TASKS * torch.softmax(rate / TEMPERATURE, dim=0)


def _sum(parts: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(parts)).sum()
