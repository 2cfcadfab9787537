"""Gradient reversal (Ganin and Lempitsky, ICML 2015): what a judge learns from, its contestant unlearns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import torch

if TYPE_CHECKING:
    from torch import Tensor


def reverse(features: Tensor, strength: float) -> Tensor:
    """Leave features as they are and turn their gradient round."""
    return cast("Tensor", _Reversal.apply(features, strength))  # type: ignore[no-untyped-call]


def ramp(progress: float) -> float:
    """How strong the reversal is as training goes from 0 to 1."""
    return 2.0 / (1.0 + math.exp(-10.0 * progress)) - 1.0


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, strength: float) -> Tensor:  # noqa: ANN401 (torch's own)
        ctx.strength = strength
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        return -ctx.strength * gradient, None
