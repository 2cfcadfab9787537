"""How fast are QoS 1 messages received and acknowledged in groups: our subscriber against aiomqtt.

    python benchmarks/mqtt_receive.py [--messages 30000] [--json]

A real mosquitto queues the messages for a persistent session that is away; then each contender drains them in
a process of its own, acknowledging each group after it was gathered. The publisher is not running meanwhile,
so what is measured is the receiver. The ratio is messages per second, ours over aiomqtt's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PAYLOAD = b'{"unix_time_second":1763700000.0,"voltage_volt":3.71,"current_ampere":-1.2,"temperature_celsius":24.6}'
GROUP_SECOND = 0.05


async def drain_ours(port: int, expected: int) -> tuple[float, float]:
    """Receive by daemon.ingest.Subscriber. Returns the wall and CPU time at which it began, imports done."""
    from daemon.config import Mqtt
    from daemon.ingest import Subscriber

    began = time.monotonic(), _cpu_second()
    subscriber = Subscriber(Mqtt(port=port, group_second=GROUP_SECOND))
    await subscriber.start()
    taken = 0
    async for group in subscriber.groups():
        subscriber.acknowledge(group)
        taken += len(group)
        if taken >= expected:
            break
    await subscriber.close()
    return began


async def drain_aiomqtt(port: int, expected: int) -> tuple[float, float]:
    """Receive by aiomqtt, its inner paho client switched to manual acknowledgement."""
    import aiomqtt

    started = time.monotonic(), _cpu_second()
    client = aiomqtt.Client("127.0.0.1", port, identifier="bmsd", clean_session=False)
    inner = client._client  # noqa: SLF001 - the way that aiomqtt's issue 345 documents
    inner.manual_ack_set(True)
    async with client:
        await client.subscribe("bms/telemetry/#", qos=1)
        group, began, taken = [], time.monotonic(), 0
        async for message in client.messages:
            group.append(message)
            taken += 1
            if time.monotonic() - began > GROUP_SECOND or len(group) >= 2_000 or taken >= expected:
                for done in group:
                    inner.ack(done.mid, done.qos)
                group, began = [], time.monotonic()
            if taken >= expected:
                break
    return started


CONTENDERS = {"ours": drain_ours, "aiomqtt": drain_aiomqtt}


def contend(name: str, port: int, expected: int) -> None:
    """Drain the queue in this process and print what it took."""
    began, cpu = asyncio.run(CONTENDERS[name](port, expected))
    wall, used = time.monotonic() - began, _cpu_second() - cpu
    print(json.dumps({"messages_per_second": expected / wall, "cpu_microsecond": used / expected * 1e6}))


def measure(name: str, messages: int) -> dict[str, float]:
    """Fill a fresh broker's queue, then let one contender drain it."""
    with tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        broker = _start_broker(Path(folder), port)
        try:
            _fill(port, messages)
            command = [sys.executable, __file__, "--contend", name, "--port", str(port), "--messages", str(messages)]
            done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)  # noqa: S603
            result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
            return result
        finally:
            broker.send_signal(signal.SIGTERM)
            broker.wait(10)


def _start_broker(folder: Path, port: int) -> subprocess.Popen[bytes]:
    program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        sys.exit("mosquitto is not installed: apt-get install mosquitto")
    lines = (f"listener {port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0", "max_inflight_messages 0")
    (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
    command = [program, "-c", str(folder / "mosquitto.conf")]
    broker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    while True:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return broker
        time.sleep(0.02)


def _fill(port: int, messages: int) -> None:
    """Make the session, leave, and publish everything to it."""
    import paho.mqtt.client as paho

    session = paho.Client(paho.CallbackAPIVersion.VERSION2, "bmsd", clean_session=False)
    session.on_subscribe = lambda client, *_: client.disconnect()
    session.connect("127.0.0.1", port)
    session.subscribe("bms/telemetry/#", qos=1)
    session.loop_forever()
    publisher = paho.Client(paho.CallbackAPIVersion.VERSION2, "publisher")
    publisher.max_inflight_messages_set(1_000)
    publisher.connect("127.0.0.1", port)
    publisher.loop_start()
    sent = [publisher.publish(f"bms/telemetry/p{k % 50}/c{k % 100}", PAYLOAD, qos=1) for k in range(messages)]
    for info in sent:
        info.wait_for_publish(60)
    publisher.disconnect()
    publisher.loop_stop()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _cpu_second() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure both, print a line each, the ratio and the machine."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=30_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--contend", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.contend:
        contend(args.contend, args.port, args.messages)
        return
    results = {name: measure(name, args.messages) for name in CONTENDERS}
    ratio = results["ours"]["messages_per_second"] / results["aiomqtt"]["messages_per_second"]
    load, python = os.getloadavg()[0], platform.python_version()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, Python {python}"
    if args.json:
        print(json.dumps({"contenders": results, "ratio": ratio, "machine": machine}))
        return
    for name, result in results.items():
        rate, cost = result["messages_per_second"], result["cpu_microsecond"]
        print(f"{name:<8} {rate:>9,.0f} messages/s {cost:>7.1f} us CPU each")
    print(f"ratio    {ratio:.2f} (ours / aiomqtt, messages/s)")
    print(f"machine  {machine}")


if __name__ == "__main__":
    main()
