"""The same led by coverage, where atheris is installed: python -m tests.fuzz.guided -runs=1000000.

Options are libFuzzer's. It ends at the first input that raises what it may not, and keeps it as crash-*.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["daemon", "msgspec", "yaml"]):
    from daemon.batch import BatchBuilder
    from daemon.config import Mqtt
    from daemon.config.read import _check
    from daemon.config.tree import parse_yaml
    from daemon.ingest import Decoder
    from tests.fuzz.run import CELLS

DECODER = Decoder(Mqtt(), CELLS)


def one(data: bytes) -> None:
    """Take the first byte for what is tried, the second for where the topic ends."""
    kind, cut, rest = data[:1], data[1:2], data[2:]
    if kind < b"\xc0":
        end = min(len(rest), cut[0] if cut else 0)
        topic = rest[:end].decode("utf-8", "replace")
        builder = BatchBuilder()
        for name in (f"bms/telemetry/{topic}", "bms/telemetry/p0", "bms/telemetry/p0/c0"):
            DECODER.take(name, rest[end:], 1.7e9, builder)
        assert DECODER.offered == DECODER.accepted + DECODER.rejected.total()
    else:
        tree = parse_yaml(rest.decode("utf-8", "replace"), "config.yaml")
        _check(tree)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
