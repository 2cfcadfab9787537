"""States, events and health reports to InfluxDB, or to anything that takes its line protocol, one batch a flush.

    bmsd,pack=p0,cell=c1,estimator=ekf-1a2b3c4d soc=0.61,...,flags="stale" 1763700000000
    bmsd_event,pack=p0,cell=c1,kind=rest,phase=begin begin_second=1763699000.0,... 1763700000000
    bmsd_health,pack=p0,cell=c1,check=imodel soh=0.93,soh_std=0.01,...,model="svr-1a2b3c4d" 1763700000000

Numbers are always floats: one integer once, and the server refuses the whole point ever after. The time is
that of the event, so a point sent twice overwrites itself. Both APIs take the same lines through the same
client: v2 at /api/v2/write, v1 (InfluxDB 1.x) at /write. A 4xx means that a point is bad: the batch is halved
until the bad one is alone and can be set aside. But 401, 403 and 404 mean that our settings are: those wait.
"""

from __future__ import annotations

import asyncio
import base64
import math
from typing import TYPE_CHECKING

from daemon.errors import SinkError
from daemon.sinks.contract import Refused

if TYPE_CHECKING:
    from influxdb_client.client.influxdb_client import InfluxDBClient

    from daemon.config import InfluxSink as Rule
    from daemon.parcel import Parcel
    from daemon.wire import Event, Health, State

BAD_POINT = {400, 413, 422}
SETTINGS = {
    401: "the server does not know us: set sinks.influx.token",
    403: "the server does not let us write: set sinks.influx.token, org and bucket",
    404: "no such place: set sinks.influx.api (v1 for InfluxDB 1.x), org and bucket; v1 needs CREATE DATABASE",
}


class InfluxSink:
    """A server of time series as a sink."""

    name = "influx"
    batch_items = 5_000  # what InfluxDB's manual advises for one write

    def __init__(self, rule: Rule, gather_second: float) -> None:
        """Prepare; nothing is connected yet."""
        self.gather_second = gather_second
        self._rule = rule
        self._client: InfluxDBClient | None = None

    async def open(self) -> None:
        """Make the client; the server need not be there."""
        self._client = await asyncio.to_thread(_make_client, self._rule)

    async def ready(self) -> bool:
        """Ask the server whether it is there: by ping, since health() lies on compatible servers."""
        assert self._client is not None
        return bool(await asyncio.to_thread(self._client.ping))

    async def deliver(self, parcel: Parcel) -> list[Refused]:
        """Write a batch; what the server refuses alone comes back with its reason. Raises SinkError."""
        lines = [_state_line(*one) for one in parcel.states] + [_event_line(*one) for one in parcel.events]
        lines += [_health_line(*one) for one in parcel.health]
        return await asyncio.to_thread(self._write, lines)

    async def close(self) -> None:
        """Let the connections go."""
        if self._client is not None:
            await asyncio.to_thread(self._client.close)

    def _write(self, lines: list[str]) -> list[Refused]:
        if not lines:
            return []
        status, why = self._post("\n".join(lines).encode())
        if status < 300:
            return []
        if status not in BAD_POINT:
            raise SinkError(f"{status} {why}", where=self._rule.url, mend=SETTINGS.get(status, "it is tried again"))
        if len(lines) == 1:
            return [Refused(lines[0], f"{status} {why}")]
        middle = len(lines) // 2
        return self._write(lines[:middle]) + self._write(lines[middle:])

    def _post(self, body: bytes) -> tuple[int, str]:
        """Send lines by the client's own HTTP layer. Returns the status and the server's word. Raises SinkError."""
        from influxdb_client.rest import ApiException
        from urllib3.exceptions import HTTPError

        assert self._client is not None
        rule = self._rule
        place = {"org": rule.org, "bucket": rule.bucket} if rule.api == "v2" else {"db": rule.bucket}
        try:
            self._client.api_client.call_api(  # type: ignore[no-untyped-call]
                "/api/v2/write" if rule.api == "v2" else "/write",
                "POST",
                query_params=[*place.items(), ("precision", "ms")],
                header_params={"Content-Type": "text/plain; charset=utf-8", **_authorization(rule)},
                body=body,
            )
        except ApiException as err:
            return int(err.status or 0), _short(err.body or err.reason)
        except (HTTPError, OSError) as err:
            raise SinkError(f"cannot be reached: {_short(err)}", where=rule.url) from err
        return 204, ""


def _make_client(rule: Rule) -> InfluxDBClient:
    from influxdb_client.client.influxdb_client import InfluxDBClient

    token = rule.token.get_secret_value() if rule.token and rule.api == "v2" else ""
    timeout = int(rule.timeout_second * 1_000)
    return InfluxDBClient(rule.url, token=token, org=rule.org, timeout=timeout, enable_gzip=True)


def _authorization(rule: Rule) -> dict[str, str]:
    """Make the header of v1; v2's token is the client's own business."""
    if rule.api == "v2" or rule.username is None:
        return {}
    password = rule.token.get_secret_value() if rule.token else ""
    return {"Authorization": "Basic " + base64.b64encode(f"{rule.username}:{password}".encode()).decode()}


def _state_line(name: str, state: State) -> str:
    pack, cell = name.split("/", 1)
    numbers = {"soc": state.soc, "soc_std": state.soc_std, "soh": state.soh, "soh_std": state.soh_std}
    tags = f"pack={_tag(pack)},cell={_tag(cell)},estimator={_tag(state.estimator)}"
    flags = _text(",".join(state.flags))
    return f"bmsd,{tags} {_floats(numbers)},flags={flags} {_milliseconds(state.unix_time_second)}"


def _event_line(name: str, event: Event) -> str:
    pack, cell = name.split("/", 1)
    tags = f"pack={_tag(pack)},cell={_tag(cell)},kind={_tag(event.kind)},phase={_tag(event.phase)}"
    numbers = {k: float(v) for k, v in event.detail.items() if not isinstance(v, str) and math.isfinite(v)}
    fields = [_floats({"begin_second": event.begin_second, **numbers})]
    fields += [f"{_tag(k)}={_text(v)}" for k, v in event.detail.items() if isinstance(v, str)]
    return f"bmsd_event,{tags} {','.join(fields)} {_milliseconds(event.unix_time_second)}"


def _health_line(name: str, health: Health) -> str:
    pack, cell = name.split("/", 1)
    tags = f"pack={_tag(pack)},cell={_tag(cell)},check={_tag(health.check)}"
    numbers = health.values | {f"{key}_std": value for key, value in health.std.items()}
    finite = {key: value for key, value in numbers.items() if math.isfinite(value)}
    texts = {"model": health.model, "trigger": health.trigger, "refused": health.refused or ""}
    fields = _floats({"begin_second": health.begin_second, "in_domain": float(health.in_domain), **finite})
    words = ",".join(f"{key}={_text(value)}" for key, value in texts.items())
    return f"bmsd_health,{tags} {fields},{words} {_milliseconds(health.unix_time_second)}"


def _floats(numbers: dict[str, float]) -> str:
    return ",".join(f"{_tag(name)}={float(value)!r}" for name, value in numbers.items())


def _milliseconds(second: float) -> int:
    return round(second * 1_000)


def _tag(text: str) -> str:
    return text.replace(",", r"\,").replace("=", r"\=").replace(" ", r"\ ")


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _short(what: object) -> str:
    return " ".join(str(what).split())[:200]
