"""Hostile files: configurations, facts of a cell and logs, changed as hostile payloads are."""

from __future__ import annotations

import random
from pathlib import Path

from estimators.cell_type import SHIPPED

ROOT = Path(__file__).parents[2]
TOKENS = (
    b"\t", b"\n", b": ", b"- ", b"[", b"{", b"&a ", b"*a", b"!!python/object:os.system ", b"!!binary ", b"? ", b"|\n",
    b"9" * 5_000, b"[" * 2_000, b"\x00", b"\xff", b"\xef\xbb\xbf", b".inf", b"~", b"off", b"1:30", b"2026-01-01",
    b"<<: *a", b"%", b",", b'"', b";", b"1e999", b"nan", b"\r", b"PAR1", b"\x1f\x8b", b"voltage_volt", b"Voltage / V",
)  # fmt: skip
LOG = b"test_time_second,voltage_volt,current_ampere,temperature_celsius\n" + b"".join(
    b"%d,3.%d,-1.0,25.0\n" % (k, 600 + k % 100) for k in range(40)
)
CONFIG = (ROOT / "config.yaml").read_bytes()
FACTS = (SHIPPED / "generic-nmc" / "cell.yaml").read_bytes()


def changed(rng: random.Random, body: bytes) -> bytes:
    """Change a file in one to six places."""
    for _ in range(rng.randrange(1, 7)):
        here = rng.randrange(len(body) + 1)
        there = min(len(body), here + int(rng.expovariate(0.1)))
        match rng.randrange(4):
            case 0:
                body = body[:here] + bytes((rng.randrange(256),)) + body[here + 1 :]
            case 1:
                body = body[:here] + body[there:]
            case 2:
                body = body[:here] if rng.random() < 0.3 else body[:there] + body[here:]
            case _:
                body = body[:here] + rng.choice(TOKENS) + body[there:]
    return body
