"""Hostile topics and payloads: sound messages, changed a few times each in the ways in which messages go wrong."""

from __future__ import annotations

import json
import random

GOOD = {"unix_time_second": 1.7637e9, "voltage_volt": 3.7, "current_ampere": -1.5, "temperature_celsius": 25.0}
FRAME = {**GOOD, "cell": ["c0", "c1", "c2"], "voltage_volt": [3.1, 3.2, 3.3], "temperature_celsius": [20.0, None, 21]}
SOUND = tuple(json.dumps(body).encode() for body in (GOOD, FRAME, {**FRAME, "current_ampere": [1, 2, 3]}, {}))
SOUND_TOPICS = ("p0", "p0/c0", "p0/c1", "p1/c0", "p1", "timeless/c0")
TOPICS = ("p0/cells", "", "/", "p0/", "p0/c0/x", "..", "p0/\u2603", "$SYS")
TOKENS = (
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-0", b"1e-400",
    b"99999999999999999999", b"0x10", b"\x00", b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"\xef\xbb\xbf", b"'",
    b'"cell"', b'"voltage_volt"', b'"current_ampere"', b'"unix_time_second"', b'"__proto__"', b'"c0"', b"[[[[[[[[",
    b"[" * 3_000, b'{"a":' * 1_500, b"9" * 6_000, b'"' + b"x" * 3_000 + b'"', b"[1,2,3]", b"{}", b"3.7", b"-60.0001",
)  # fmt: skip
CHANGES_MOST = 4


def message(rng: random.Random) -> tuple[str, bytes]:
    """Draw a topic and a payload."""
    prefix = "bms/telemetry/" if rng.random() < 0.95 else rng.choice(("", "bms/", "bms/telemetry", "x/telemetry/"))
    topic = prefix + rng.choice(SOUND_TOPICS if rng.random() < 0.8 else TOPICS)
    if rng.random() < 0.05:
        topic += "".join(chr(rng.randrange(1, 0xD800)) for _ in range(rng.randrange(80)))
    elif rng.random() < 0.1:
        topic = f"bms/telemetry/p{rng.randrange(300)}/c{rng.randrange(20)}"
    return topic, payload(rng)


def payload(rng: random.Random) -> bytes:
    """Draw a payload."""
    if rng.random() < 0.05:
        return rng.randbytes(rng.randrange(400))
    body = rng.choice(SOUND)
    for _ in range(rng.randrange(CHANGES_MOST + 1)):
        body = _change(rng, body)
    return body


def _change(rng: random.Random, body: bytes) -> bytes:
    here = rng.randrange(len(body) + 1)
    there = min(len(body), here + int(rng.expovariate(0.1)))
    match rng.randrange(6):
        case 0:  # a letter is another
            return body[:here] + bytes((rng.randrange(256),)) + body[here + 1 :]
        case 1:  # a part is missing
            return body[:here] + body[there:]
        case 2:  # it is cut off
            return body[:here]
        case 3:  # a part is something else
            return body[:here] + rng.choice(TOKENS) + body[there:]
        case 4:  # a part stands twice
            return body[:there] + body[here:]
        case _:  # a number is another
            number = repr(rng.uniform(-1, 1) * 10.0 ** rng.randrange(-5, 20)).encode()
            first = next((k for k in range(here, len(body)) if body[k : k + 1].isdigit()), len(body))
            last = next((k for k in range(first, len(body)) if body[k : k + 1] not in b"0123456789."), len(body))
            return body[:first] + number + body[last:]
