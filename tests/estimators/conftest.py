"""A made-up cell whose circuit is known, and what it shows when it is driven."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import yaml

from estimators.cell_type import CellType, Tables, save_tables, without_hysteresis
from estimators.circuit import Circuit

CAPACITY_AH = 2.0
REFERENCE_SOH = 0.95


class Shown(NamedTuple):
    """What a driven cell shows at the end of each second; every array is [second]."""

    voltage_volt: np.ndarray
    current_ampere: np.ndarray
    temperature_celsius: np.ndarray
    soc: np.ndarray  # of present capacity


def make_tables() -> Tables:
    soc = np.linspace(-0.1, 1.05, 47)
    celsius = np.arange(-10.0, 31.0, 10.0)
    cold = np.exp(-celsius / 20.0)
    low = np.exp(-np.maximum(soc, 0.0) / 0.1)
    ohm = (0.03 + 0.03 * low[:, None]) * (0.6 + 0.8 * cold)
    ocv = 3.0 + 0.6 * soc + 0.25 * np.tanh((soc - 0.05) / 0.08) + 0.3 * soc**3
    return Tables(
        soc=soc,
        temperature_celsius=celsius,
        ocv_volt=np.repeat(ocv[:, None], len(celsius), axis=1),
        ohmic_ohm=ohm,
        charge_transfer_volt=0.02 * np.ones_like(ohm) * cold,
        charge_transfer_ampere=np.array([0.2]),
        rc_ohm=np.stack([0.4 * ohm, 0.8 * ohm]),
        rc_second=np.array([10.0, 150.0]),
        reference_soh=np.array([REFERENCE_SOH]),
        residual_volt=np.full(len(celsius), 0.015),
        **without_hysteresis(ohm),
    )


def make_drive(seconds: int, seed: int = 0) -> np.ndarray:
    """Pulses of about C/2 discharge on average, some seconds of charge, some rest; ampere [second]."""
    random = np.random.default_rng(seed)
    level = random.choice([-3.0, -2.0, -1.0, 0.0, 0.8], size=seconds // 20 + 1) * CAPACITY_AH / 2.0
    return np.repeat(level, 20)[:seconds] + 0.05 * random.standard_normal(seconds)


def show(tables: Tables, current: np.ndarray, soc: float, soh: float, celsius: float = 20.0, seed: int = 1) -> Shown:
    """Drive the circuit; 2 mV of noise on its voltage."""
    circuit = Circuit(tables)
    states = soc + np.cumsum(current) / (3600.0 * CAPACITY_AH * soh)
    temperature = np.full(len(current), celsius)
    point = circuit.at(1.0 - (1.0 - states) * circuit.reference_soh, temperature)
    x = np.zeros((2, len(current)))
    for k in range(len(current)):
        before = x[:, k - 1] if k else np.zeros(2)
        x[:, k] = before - np.expm1(-1.0 / circuit.rc_second) * (current[k] - before)
    volt = point.ocv_volt + point.ohmic_ohm * current + point.rc_1_ohm * x[0] + point.rc_2_ohm * x[1]
    volt += point.charge_transfer_volt * np.arcsinh(current / circuit.charge_transfer_ampere)
    noise = 0.002 * np.random.default_rng(seed).standard_normal(len(current))
    return Shown(volt + noise, current, temperature, states)


@pytest.fixture(scope="session")
def tables() -> Tables:
    return make_tables()


@pytest.fixture(scope="session")
def cell_type(tmp_path_factory, tables) -> CellType:
    folder = tmp_path_factory.mktemp("made-up")
    facts = {
        "name": "made-up",
        "chemistry": "nca",
        "nominal_capacity_ah": CAPACITY_AH,
        "voltage_min_volt": 2.5,
        "voltage_max_volt": 4.2,
        "current_min_ampere": -10.0,
        "current_max_ampere": 5.0,
        "temperature_min_celsius": -10.0,
        "temperature_max_celsius": 45.0,
        "typical_soh": REFERENCE_SOH,
    }
    (folder / "cell.yaml").write_text(yaml.safe_dump(facts))
    save_tables(tables, folder / "tables.safetensors")
    return CellType.load(folder)
