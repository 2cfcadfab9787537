"""A judge who tells targets apart by their gradients, for the network to unlearn: the published co-estimation's idea.

There the judge saw gradients of heads that were cut off from the network, so nothing was ever unlearnt. Here it sees
what each target's loss asks of the shared features, row by row, and its reversed gradient reaches encoder and heads
(after Sinha et al., Gradient Adversarial Training of Neural Networks, 2018).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, silu

from estimators.reversal import reverse

STRENGTH = 0.157  # of the reversed gradient, as published


class Judge(nn.Module):
    """Directions of gradients [member, row, unit] to which target they are of."""

    def __init__(self, members: int, units: int, targets: int) -> None:
        super().__init__()
        hidden = units // 2
        self.w1 = nn.Parameter(torch.randn(members, units, hidden) / units**0.5)
        self.b1 = nn.Parameter(torch.zeros(members, 1, hidden))
        self.w2 = nn.Parameter(torch.randn(members, hidden, targets) / hidden**0.5)
        self.b2 = nn.Parameter(torch.zeros(members, 1, targets))

    def forward(self, asked: Tensor) -> Tensor:
        """Give logits [member, row, target]."""
        return torch.baddbmm(self.b2, silu(torch.baddbmm(self.b1, asked, self.w1)), self.w2)


def unlearnt(judge: Judge, shared: Tensor, losses: Tensor, known: Tensor, strength: float) -> Tensor:
    """Give the judge's loss, whose gradient is turned round where it leaves the judge.

    Of shared features [member, row, unit] and losses [member, target] that came of them; rows whose target is not
    `known` [member, row, target] ask for nothing, and are not judged.
    """
    total = torch.zeros(())
    for target in range(losses.shape[1]):
        (asked,) = torch.autograd.grad(losses[:, target].sum(), shared, create_graph=True)
        direction = asked / asked.norm(dim=2, keepdim=True).clamp(min=1e-12)
        said = judge(reverse(direction, strength))[known[..., target]]
        if len(said):
            total = total + cross_entropy(said, torch.full((len(said),), target))
    return total
