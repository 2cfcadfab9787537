"""The network over whole sequences: the reference that the streaming step must equal, and a fast evaluation."""

from __future__ import annotations

import torch
from torch import Tensor

from estimators.cross_stitch.network import SOH_PERIOD_SECOND, Network

PRIMING_SECOND = 120  # a fresh cell sees its first sample so often before it counts: no transient from a zero state


@torch.no_grad()
def run(network: Network, raw: Tensor, initial_soh: Tensor) -> tuple[Tensor, Tensor]:
    """Estimate SOC and SOH of every second.

    `raw` [second, cell, 3] in volt, C-rate, degree Celsius; `initial_soh` [cell]. Gives SOC and SOH, both
    [second, cell]; SOH is that of the last whole hour, before it the initial one.
    """
    x = network.scale(raw)
    s, shared = network.shared(x[:1].expand(PRIMING_SECOND, -1, -1).contiguous())
    _, tower = network.soc_lstm(s)
    soh_state = network.initial_soh_hidden(initial_soh)
    held, soh = None, initial_soh
    soc_parts, soh_parts = [], []
    for hour in torch.split(x, SOH_PERIOD_SECOND):
        s, shared = network.shared(hour, shared)
        a, tower = network.soc_lstm(s, tower)
        if held is None:
            held = network.joint(a[0], soh_state[0]).held
        soc = network.soc(a, held)
        sohs = soh.repeat(len(hour), 1)
        if len(hour) == SOH_PERIOD_SECOND:
            soh_state = network.soh_step(s[-1], soh_state)
            last = network.joint(a[-1], soh_state[0])
            held, soh, soc[-1], sohs[-1] = last.held, last.soh, last.soc, last.soh
        soc_parts.append(soc)
        soh_parts.append(sohs)
    return torch.cat(soc_parts), torch.cat(soh_parts)
