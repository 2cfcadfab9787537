r"""The cross-stitch network: one shared LSTM, one LSTM tower per task, four 2x2 units that mix them.

Source: Yao, Neupert, Kowal, "Cross-Stitch Networks for Joint State of Charge and State of Health Online
Estimation of Lithium-Ion Batteries", Batteries 2024, 10, 171. 1,534,994 parameters.

    x (3) -> shared LSTM -> s (256) -> LSTM of SOC -> a1 -+- FC 256 -+- FC 128 -+- FC 64 -+- FC 1 -> SOC, each second
                                 \                        |stitch    |stitch    |stitch   |stitch
                                  -> LSTM of SOH -> b1 ---+- FC 256 -+- FC 128 -+- FC 64 -+- FC 1 -> SOH, each hour
                                     (h, c) from SOH_0

Our reading where the paper is silent. The SOH tower takes the shared vector of every 3600th second; in
between, its four feature vectors are held for the SOC tower. At the first second they are made from the
initial SOH alone. ReLU after the first three layers, none after the last; a stitch follows the activation.
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

UNITS = 256
LEVELS = (256, 128, 64, 1)  # outputs of the fully connected layers
FEATURES = (256, 256, 128, 64)  # widths at the four stitches
SOH_PERIOD_SECOND = 3600
SOH_CENTRE, SOH_SCALE = 0.9, 0.1  # SOH_0 enters as (SOH_0 - 0.9) / 0.1
LONGEST_MEMORY_SECOND = 3000.0

Hidden = tuple[Tensor, Tensor]  # h, c of an LSTM, each [1, cell, 256]
Held = tuple[Tensor, ...]  # features of the SOH tower at the four stitches, each [cell, width]


class Joint(NamedTuple):
    """Both heads computed together, level by level."""

    soc: Tensor  # [cell]
    soh: Tensor  # [cell]
    held: Held


class Network(nn.Module):
    """The network. Inputs are voltage, C-rate and temperature, scaled by `scale`."""

    shared: nn.LSTM
    soc_lstm: nn.LSTM
    soh_lstm: nn.LSTM
    soc_layers: nn.ModuleList
    soh_layers: nn.ModuleList
    low: Tensor  # training minimum of volt, C-rate, degree Celsius
    high: Tensor  # training maximum

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.LSTM(3, UNITS)
        self.soc_lstm = nn.LSTM(UNITS, UNITS)
        self.soh_lstm = nn.LSTM(UNITS, UNITS)
        widths = (UNITS, *LEVELS)
        self.soc_layers = nn.ModuleList(nn.Linear(i, o) for i, o in zip(widths, LEVELS, strict=False))
        self.soh_layers = nn.ModuleList(nn.Linear(i, o) for i, o in zip(widths, LEVELS, strict=False))
        self.stitches = nn.Parameter(torch.eye(2).repeat(len(FEATURES), 1, 1))  # [level, to, from]; 0 SOC, 1 SOH
        self.soh_to_hidden = nn.Linear(1, UNITS)
        self.soh_to_cell = nn.Linear(1, UNITS)
        self.register_buffer("low", torch.zeros(3))
        self.register_buffer("high", torch.ones(3))
        self._spread_initial_weights()

    def scale(self, raw: Tensor) -> Tensor:
        """Min-max to [0, 1] by the training range; clipped to [-0.1, 1.1]."""
        return ((raw - self.low) / (self.high - self.low)).clamp(-0.1, 1.1)

    @torch.no_grad()
    def keep_through_range(self, low: Tensor, high: Tensor) -> None:
        """Turn the first layer so that under another range of inputs it answers as it does under the present one."""
        weight, bias = self.shared.get_parameter("weight_ih_l0"), self.shared.get_parameter("bias_ih_l0")
        span = self.high - self.low
        bias.add_(weight @ ((low - self.low) / span))
        weight.mul_((high - low) / span)

    def initial_soh_hidden(self, soh: Tensor) -> Hidden:
        """Make the SOH tower's state [cell, 256] from the initial SOH [cell]."""
        centred = ((soh - SOH_CENTRE) / SOH_SCALE).unsqueeze(-1)
        return torch.tanh(self.soh_to_hidden(centred)), self.soh_to_cell(centred)

    def soh_step(self, shared: Tensor, hidden: Hidden) -> Hidden:
        """Advance the SOH tower's LSTM by its hour: `shared` and both states are [cell, 256]."""
        _, (h, c) = self.soh_lstm(shared.unsqueeze(0), (hidden[0].unsqueeze(0), hidden[1].unsqueeze(0)))
        return h.squeeze(0), c.squeeze(0)

    def joint(self, a: Tensor, b: Tensor) -> Joint:
        """Run both heads on the towers' outputs [cell, 256] of one second."""
        held = []
        for level, (soc_layer, soh_layer) in enumerate(
            zip(_linears(self.soc_layers), _linears(self.soh_layers), strict=True)
        ):
            held.append(b)
            (aa, ab), (ba, bb) = self.stitches[level]
            a, b = soc_layer(aa * a + ab * b), soh_layer(ba * a + bb * b)
            if level < len(FEATURES) - 1:
                a, b = torch.relu(a), torch.relu(b)
        return Joint(a.squeeze(-1), b.squeeze(-1), tuple(held))

    def soc(self, a: Tensor, held: Held) -> Tensor:
        """Run the SOC head on [..., cell, 256] while the SOH tower's features are held."""
        return self.soc_of(self.soc_features(a, held))

    def soc_features(self, a: Tensor, held: Held) -> Tensor:
        """Run it up to what its last layer takes: [..., cell, 64]."""
        for level, layer in enumerate(_linears(self.soc_layers)):
            a = self.stitches[level, 0, 0] * a + self.stitches[level, 0, 1] * held[level]
            if level < len(FEATURES) - 1:
                a = torch.relu(layer(a))
        return a

    def soc_of(self, features: Tensor) -> Tensor:
        """Run the last layer of the SOC head."""
        soc: Tensor = _linears(self.soc_layers)[-1](features)
        return soc.squeeze(-1)

    @torch.no_grad()
    def _spread_initial_weights(self) -> None:
        """Start where signals neither die nor saturate: the usual draw (+-1/16) leaves three inputs in [0, 1] unheard.

        Forget gates: time constants log-uniform from two seconds to an hour (after Tallec and Ollivier, 2018).
        """
        for lstm, spread in ((self.shared, 2.0), (self.soc_lstm, UNITS**-0.5)):
            parameters = dict(lstm.named_parameters())
            nn.init.normal_(parameters["weight_ih_l0"], std=spread)
            nn.init.orthogonal_(parameters["weight_hh_l0"])
            nn.init.zeros_(parameters["bias_hh_l0"])
            bias = nn.init.zeros_(parameters["bias_ih_l0"])
            if lstm is self.shared:
                bias.copy_(-0.5 * parameters["weight_ih_l0"].sum(dim=1))  # centre of [0, 1]
            seconds = torch.empty(UNITS).uniform_(math.log(2.0), math.log(LONGEST_MEMORY_SECOND)).exp()
            forget = torch.log(seconds - 1.0)
            bias[:UNITS] -= forget
            bias[UNITS : 2 * UNITS] += forget
        for layer in _linears(self.soc_layers) + _linears(self.soh_layers):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        for layers in (self.soc_layers, self.soh_layers):
            nn.init.constant_(_linears(layers)[-1].bias, 0.5)


def _linears(layers: nn.ModuleList) -> list[nn.Linear]:
    return cast("list[nn.Linear]", list(layers))
