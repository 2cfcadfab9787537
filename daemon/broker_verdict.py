"""What doctor says of a broker: whether what `broker_proof` saw is enough for this fleet, and what mends it."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING

from daemon import broker_proof
from daemon.doctor import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.broker_proof import Proof
    from daemon.config import Config, Mqtt

AWAY_SECOND = 60  # an absence of the service that the broker should bridge: a restart of its machine
QUEUED_BYTES = 200  # of one cell's message in the broker's queue
QUEUE_BYTES = 268_435_456  # that it may have in any case: what deploy/mosquitto/bmsd.conf says
MANY_MESSAGES, FEW_MESSAGES = 1_200, 50  # more than the 1,000 that mosquitto queues as it comes


def judge(config: Config) -> Iterator[Finding]:
    """Try the broker of a configuration out, and say what to mend. Raises BrokerError."""
    away = config.cells.cells_max * AWAY_SECOND
    proof = broker_proof.prove(config.mqtt, MANY_MESSAGES if away >= MANY_MESSAGES else FEW_MESSAGES)
    where = f"{config.mqtt.host}:{config.mqtt.port}"
    version = f" ({proof.version})" if proof.version else ""
    yield Finding("ok", f"{where}{version}: a message there and back in {1_000 * proof.round_trip_second:.0f} ms")
    yield _queue_finding(proof, config)
    rate = proof.in_flight / (config.mqtt.group_second + proof.round_trip_second)
    if 0 < proof.in_flight < min(proof.sent, config.mqtt.unacknowledged_max) and rate < config.cells.cells_max:
        what = f"waits for us after {proof.in_flight} messages: at most {rate:,.0f} a second by mqtt.group_second"
        yield Finding("warn", what, "in mosquitto.conf: max_inflight_messages 0")
    if proof.dropped:
        what = f"has dropped {proof.dropped:,} messages, of whatever client, since it was started"
        yield Finding("warn", what, _queue_lines(config))
    yield from _strangers(config.mqtt, proof)


def _strangers(mqtt: Mqtt, proof: Proof) -> Iterator[Finding]:
    """Say who else may come in, and listen, where the broker is on another machine."""
    with suppress(ValueError):
        if mqtt.host == "localhost" or ip_address(mqtt.host).is_loopback:
            return
    if proof.lets_strangers_in:
        what = "lets everybody in: anyone can write telemetry, and read all that we say"
        yield Finding("warn", what, "allow_anonymous false and acl_file: see deploy/mosquitto/secure.conf")
    if mqtt.username is not None and not mqtt.tls.enabled:
        what = "our password goes through the network as it is"
        yield Finding("warn", what, "mqtt.tls.enabled: true, and mqtt.port 8883")


def _queue_lines(config: Config) -> str:
    """Write the lines with which the broker queues for an absence of ours."""
    needed = config.cells.cells_max * AWAY_SECOND * QUEUED_BYTES
    return f"in mosquitto.conf: max_queued_messages 0 and max_queued_bytes {max(QUEUE_BYTES, needed)}"


def _queue_finding(proof: Proof, config: Config) -> Finding:
    """Say what came of the messages that were sent while their subscriber was away."""
    came, sent = len(set(proof.came_back)), proof.sent
    if not came:
        what = f"keeps no session: of {sent:,} messages sent to a client that was away, none came back"
        return Finding("FAIL", what, "let it keep persistent sessions and queue QoS 1 messages for them")
    if proof.came_back != tuple(sorted(proof.came_back)):
        return Finding("FAIL", f"{came:,} of {sent:,} messages came back out of order", "use an MQTT 3.1.1 broker")
    if came < sent:
        cells = config.cells.cells_max
        lasts = f"{came / cells:.2g} s of {cells:,} cells (cells.cells_max)"
        what = f"queues {came:,} messages for a service that is away, {lasts}; drops the rest"
        return Finding("warn", what, _queue_lines(config))
    what = f"{sent:,} messages to a client that was away came back in order"
    unseen = "; whether they outlive the broker itself cannot be seen from here"
    return Finding("ok", what + unseen, "in mosquitto.conf: persistence true and autosave_interval 10")
