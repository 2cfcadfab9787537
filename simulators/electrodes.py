"""Two electrodes at rest: which share of their sites is filled between the voltage limits, new and aged."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.chemistry import Float
    from simulators.schedule import Bool

BISECTIONS = 50


class Electrodes(NamedTuple):
    """Both electrodes at rest. Capacities are of all sites, in Ah; stoichiometries x negative, y positive."""

    grid: Float  # [point] stoichiometries of the two curves
    volt: tuple[Float, Float]  # [point] against lithium, negative and positive
    limits_volt: tuple[float, float]
    sites_ah: tuple[Float, Float]  # [cell]
    lithium_ah: Float  # [cell] that cycles
    active: Float | float = 1.0  # [cell] material left

    def positive(self, negative: Float) -> Float:
        """Stoichiometry of the positive electrode where the negative one has `negative`."""
        return (self.lithium_ah - negative * self.sites_ah[0]) / self.sites_ah[1]

    def window(self) -> tuple[Float, Float]:
        """Stoichiometry [cell] of the negative electrode at the lower and at the upper voltage limit."""
        low = np.clip((self.lithium_ah - self.sites_ah[1]) / self.sites_ah[0], 0.0, 1.0)
        high = np.clip(self.lithium_ah / self.sites_ah[0], 0.0, 1.0)
        lower, upper = self.limits_volt
        return _bisect(lambda x: self._volt(x) < lower, low, high), _bisect(lambda x: self._volt(x) < upper, low, high)

    def capacity(self) -> Float:
        """Charge [cell] between the two limits, as an endlessly slow discharge gives it."""
        empty, full = self.window()
        return (full - empty) * self.sites_ah[0]

    def aged(self, soh: Float, share: Float) -> Electrodes:
        """Take lithium, and `share` of it of the active material, until `soh` of the capacity is left."""

        def after(loss: Float) -> Electrodes:
            left = 1.0 - share * loss
            negative, positive = self.sites_ah
            sites = (negative * left, positive * left)
            return self._replace(sites_ah=sites, lithium_ah=self.lithium_ah * (1.0 - loss), active=left)

        target = soh * self.capacity()
        none = np.zeros_like(share)
        return after(_bisect(lambda loss: after(loss).capacity() > target, none, none + 0.6))

    def _volt(self, negative: Float) -> Float:
        curves = zip((negative, self.positive(negative)), self.volt, strict=True)
        below, above = (np.interp(at, self.grid, curve) for at, curve in curves)
        return np.asarray(above - below)


def _bisect(right: Callable[[Float], Bool], low: Float, high: Float) -> Float:
    """Find where `right` stops to hold between two ends, [cell] each."""
    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        go = right(middle)
        low, high = np.where(go, middle, low), np.where(go, high, middle)
    return (low + high) / 2.0
