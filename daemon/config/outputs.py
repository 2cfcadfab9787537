"""`publish:`, `sinks:`: what leaves, how often, and where it goes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from daemon.config.section import Section


class Publish(Section):
    """When a cell's state is said again."""

    soc_dead_band: float = Field(
        0.001, ge=0.0, le=0.5, description="SOC must move by more than this. Higher: fewer messages. 0: at any change."
    )
    soh_dead_band: float = Field(0.0005, ge=0.0, le=0.5, description="SOH must move by more than this.")
    max_age_second: float = Field(
        60.0, ge=1.0, le=86_400.0, description="Event time after which a state is said again though it did not move."
    )
    cell_topics: bool = Field(True, description="Publish a topic per cell; off: only the pack's dense frame.")
    frame_topics: bool = Field(True, description="Publish the whole pack as one dense frame.")
    pack_second: float = Field(1.0, ge=0.1, le=3_600.0, description="Wall time between pack summaries and frames.")
    metrics_second: float = Field(
        10.0, ge=0.5, le=3_600.0, description="Wall time between publications of the counters."
    )
    historical_second: float = Field(
        120.0, ge=1.0, le=86_400.0, description="A state older than this when it leaves is marked `historical`."
    )


class MqttSink(Section):
    """States, events and metrics to the broker of `mqtt:`."""

    enabled: bool = Field(True, description="Publish to MQTT.")


class SqliteSink(Section):
    """The embedded store: `states.sqlite` in the state directory."""

    enabled: bool = Field(True, description="Keep states and events in the embedded store.")
    keep_day: float = Field(30.0, gt=0.0, le=36_500.0, description="Rows that were stored longer ago are deleted.")


class InfluxSink(Section):
    """InfluxDB, or anything that takes its line protocol (VictoriaMetrics)."""

    enabled: bool = Field(False, description="Write to InfluxDB.")
    url: str = Field(
        "http://localhost:8086", pattern=r"^https?://[^@]+$", description="Address of the server, no password in it."
    )
    api: Literal["v2", "v1"] = Field(
        "v2", description="v2: /api/v2/write with org, bucket and token. v1: /write with a database."
    )
    org: str = Field("bmsd", description="Organisation (v2).")
    bucket: str = Field("bmsd", min_length=1, description="Bucket (v2) or database (v1).")
    username: str | None = Field(None, description="User name (v1).")
    token: SecretStr | None = Field(
        None,
        description="Token (v2) or password (v1). Better not here: BMSD_SINKS__INFLUX__TOKEN, "
        "BMSD_SINKS__INFLUX__TOKEN_FILE or the credential influx_token.",
    )
    timeout_second: float = Field(10.0, ge=0.5, le=300.0, description="Patience with one write.")


class Outbox(Section):
    """What waits on disk for a sink that cannot take it."""

    flush_second: float = Field(
        1.0, ge=0.1, le=60.0, description="Wall time between batches to a database. Higher: fewer, larger writes."
    )
    keep_byte: int = Field(
        1_073_741_824,
        ge=1_048_576,
        description="Bound on what waits for one sink; beyond it the oldest is dropped and counted.",
    )
    keep_day: float = Field(7.0, gt=0.0, le=3_650.0, description="What waited for longer is dropped and counted.")


class Sinks(Section):
    """Where states go."""

    mqtt: MqttSink = Field(default_factory=MqttSink, description="The broker.")
    sqlite: SqliteSink = Field(default_factory=SqliteSink, description="The embedded store.")
    influx: InfluxSink = Field(default_factory=InfluxSink, description="InfluxDB or VictoriaMetrics.")
    outbox: Outbox = Field(default_factory=Outbox, description="What waits for a sink.")
