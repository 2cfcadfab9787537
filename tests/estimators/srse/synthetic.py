"""Charges of cells that do not exist: a line for the open-circuit voltage, a resistance, a charger with a limit."""

import numpy as np

from estimators.srse.features import Charge, charge

LIMIT_VOLT = 4.2
EMPTY_VOLT = 3.3


def recording(capacity_ah=1.8, celsius=24.0, ampere=1.5, ohm=0.1, begun_soc=0.0, period=10.0, end_ampere=0.03):
    """Give second, volt, ampere, celsius of a charge to the limit, with a minute of rest before and after it."""
    second, volt, current = [0.0], [EMPTY_VOLT], [0.0]
    taken, time = begun_soc * capacity_ah, 60.0
    while True:
        open_volt = EMPTY_VOLT + (LIMIT_VOLT - EMPTY_VOLT) * taken / capacity_ah
        now = min(ampere, (LIMIT_VOLT - open_volt) / ohm)
        if now < end_ampere:
            break
        second.append(time)
        volt.append(open_volt + now * ohm)
        current.append(now)
        taken += now * period / 3600.0
        time += period
    second += [time, time + 60.0]
    volt += [LIMIT_VOLT, LIMIT_VOLT - 0.01]
    current += [0.0, 0.0]
    return np.array(second), np.array(volt), np.array(current), np.full(len(second), celsius)


def full(nominal_ah=2.0, **what) -> Charge:
    return charge(*recording(**what), nominal_ah)
