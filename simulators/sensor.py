"""What stands between a cell and the one who reads it: noise, offset, gain, quantisation, dropouts, faults.

    sensor = Sensor(Sensing(voltage=Channel(noise=0.002)), cells, seed)
    readings = sensor.observe(readings)          # once a second; rows may be lost, come twice or late

MQTT and logs share it. A seed gives the same readings again, and asking for a fault leaves the noise alone.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

STUCK_SECOND = 60  # how long a stuck value lasts
CLOCK_SECOND = 30  # how long a clock stays wrong
CLOCK_BACK_SECOND, CLOCK_AHEAD_SECOND = -3_600.0, 2 * 86_400.0
ABSURD = (65.535, 3_276.7, -127.0)  # volt, ampere, degrees: registers full of ones, a thermometer unplugged


class Fault(enum.StrEnum):
    """What can be asked for; each comes to each cell at `Sensing.fault_rate`."""

    STUCK = "stuck"  # voltage, current and temperature stay as they were for a minute
    NAN = "nan"  # the voltage is not a number
    ABSURD = "absurd"  # one of the three shows what no cell can
    CLOCK = "clock"  # the time jumps an hour back or two days ahead, for half a minute
    DUPLICATE = "duplicate"  # the reading comes twice
    DISORDER = "disorder"  # the reading comes after the next one


@dataclass(frozen=True, slots=True)
class Channel:
    """One quantity: shown = true (1 + gain_error) + offset + noise, rounded to a multiple of `step`."""

    noise: float = 0.0  # standard deviation
    offset: float = 0.0
    gain_error: float = 0.0
    step: float = 0.0  # 0: not quantised


@dataclass(frozen=True, slots=True)
class Sensing:
    """All that a sensor does wrong; nothing, unless asked for."""

    voltage: Channel = Channel()
    current: Channel = Channel()
    temperature: Channel = Channel()
    dropout: float = 0.0  # share of readings that never arrive
    faults: tuple[Fault, ...] = ()
    fault_rate: float = 1e-3  # of each fault, per cell and second


@dataclass(frozen=True, slots=True)
class Readings:
    """Rows in the order in which they are sent, with the truth of their second beside them. Every array is [row]."""

    cell: NDArray[np.int64]  # number in the fleet
    unix_time_second: Float
    voltage_volt: Float
    current_ampere: Float  # positive on charge
    temperature_celsius: Float
    soc: Float  # true, of present capacity
    soh: Float  # true

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.cell)

    def take(self, rows: NDArray[np.int64] | Bool) -> Readings:
        """Select rows."""
        return Readings(*(getattr(self, f.name)[rows] for f in fields(self)))

    @staticmethod
    def join(parts: list[Readings]) -> Readings:
        """Put rows one after another."""
        return Readings(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Readings)))


class Sensor:
    """The sensors of a fleet: keeps what is stuck, whose clock is wrong and what is held back."""

    def __init__(self, sensing: Sensing, cells: int, seed: int) -> None:
        self._sensing = sensing
        self._noise = np.random.default_rng([seed, 3])
        self._chance = np.random.default_rng([seed, 4])
        self._stuck_second = np.zeros(cells, dtype=np.int64)
        self._stuck_at = np.full((3, cells), np.nan)
        self._clock_second = np.zeros(cells, dtype=np.int64)
        self._clock_error = np.zeros(cells)
        self._held: Readings | None = None

    def observe(self, truth: Readings) -> Readings:
        """Show one second of the fleet, one row per cell in order, as it arrives at the reader."""
        sensing, cells = self._sensing, len(truth)
        noise = self._noise.standard_normal((3, cells))
        lost = self._noise.random(cells) < sensing.dropout
        struck = dict(zip(Fault, self._chance.random((len(Fault), cells)) < sensing.fault_rate, strict=True))
        which = self._chance.random(cells)
        none = np.zeros(cells, dtype=np.bool_)
        struck = {fault: struck[fault] if fault in sensing.faults else none for fault in Fault}

        true = np.stack([truth.voltage_volt, truth.current_ampere, truth.temperature_celsius])
        channels = (sensing.voltage, sensing.current, sensing.temperature)
        shown = np.stack([_measure(*row) for row in zip(channels, true, noise, strict=True)])
        shown = self._stick(shown, struck[Fault.STUCK])
        shown[0, struck[Fault.NAN]] = np.nan
        quantity = (which * 3).astype(np.int64)
        absurd = np.flatnonzero(struck[Fault.ABSURD])
        shown[quantity[absurd], absurd] = np.array(ABSURD)[quantity[absurd]]
        time = truth.unix_time_second + self._misdate(struck[Fault.CLOCK], which)
        sent = replace(
            truth,
            unix_time_second=time,
            voltage_volt=shown[0],
            current_ampere=shown[1],
            temperature_celsius=shown[2],
        )
        return self._deliver(sent, lost, struck[Fault.DISORDER], struck[Fault.DUPLICATE])

    def _stick(self, shown: Float, struck: Bool) -> Float:
        self._stuck_second = np.where(struck, STUCK_SECOND, np.maximum(self._stuck_second - 1, 0))
        stuck = (self._stuck_second > 0) & ~np.isnan(self._stuck_at[0])
        self._stuck_at = np.where(stuck, self._stuck_at, shown)
        return self._stuck_at.copy()

    def _misdate(self, struck: Bool, which: Float) -> Float:
        jump = np.where(which < 0.5, CLOCK_BACK_SECOND, CLOCK_AHEAD_SECOND)
        self._clock_error = np.where(struck, jump, self._clock_error)
        self._clock_second = np.where(struck, CLOCK_SECOND, np.maximum(self._clock_second - 1, 0))
        return np.where(self._clock_second > 0, self._clock_error, 0.0)

    def _deliver(self, sent: Readings, lost: Bool, late: Bool, twice: Bool) -> Readings:
        """Drop, hold back to the next second, and send twice. What is held back when all ends is lost."""
        now = np.repeat(np.flatnonzero(~lost & ~late), 1 + twice[~lost & ~late])
        parts = [sent.take(now)] + ([self._held] if self._held else [])
        self._held = sent.take(~lost & late)
        return Readings.join(parts)


def _measure(channel: Channel, true: Float, noise: Float) -> Float:
    shown = true * (1.0 + channel.gain_error) + channel.offset + channel.noise * noise
    return np.round(shown / channel.step) * channel.step if channel.step else shown
