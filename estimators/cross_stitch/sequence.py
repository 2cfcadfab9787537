"""The network over whole sequences: the reference that the streaming step must equal, and a fast evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from estimators.cross_stitch.network import SOH_PERIOD_SECOND, Network

PRIMING_SECOND = 120  # a fresh cell sees its first sample so often before it counts: no transient from a zero state


class Hour(NamedTuple):
    """What the network says over an hour, or what is left of one."""

    soc: Tensor  # [second, cell]
    soh: Tensor  # [second, cell] of the last whole hour, before it the initial one
    features: Tensor  # [second, cell, 64] what the last layer of the SOC tower took


def run(network: Network, raw: Tensor, initial_soh: Tensor) -> tuple[Tensor, Tensor]:
    """Estimate SOC and SOH of every second, both [second, cell]; see `hours`."""
    parts = list(hours(network, raw, initial_soh))
    return torch.cat([p.soc for p in parts]), torch.cat([p.soh for p in parts])


@torch.no_grad()
def hours(network: Network, raw: Tensor, initial_soh: Tensor) -> Iterator[Hour]:
    """Estimate hour by hour; `raw` [second, cell, 3] in volt, C-rate, degree Celsius, `initial_soh` [cell]."""
    x = network.scale(raw)
    s, shared = network.shared(x[:1].expand(PRIMING_SECOND, -1, -1).contiguous())
    _, tower = network.soc_lstm(s)
    soh_state = network.initial_soh_hidden(initial_soh)
    held, soh = None, initial_soh
    for hour in torch.split(x, SOH_PERIOD_SECOND):
        s, shared = network.shared(hour, shared)
        a, tower = network.soc_lstm(s, tower)
        if held is None:
            held = network.joint(a[0], soh_state[0]).held
        features = network.soc_features(a, held)
        sohs = soh.repeat(len(hour), 1)
        if len(hour) == SOH_PERIOD_SECOND:
            soh_state = network.soh_step(s[-1], soh_state)
            last = network.joint(a[-1], soh_state[0])
            held, soh, sohs[-1] = last.held, last.soh, last.soh
            features[-1] = network.soc_features(a[-1], held)
        yield Hour(network.soc_of(features), sohs, features)
