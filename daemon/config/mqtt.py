"""`mqtt:` the broker that telemetry comes from and states go to."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, model_validator

from daemon.config.section import Section


class Tls(Section):
    """Encryption to the broker."""

    enabled: bool = Field(False, description="Speak TLS to the broker.")
    ca_file: Path | None = Field(None, description="Certificate authority to trust; empty: those of the system.")
    certificate_file: Path | None = Field(None, description="Our own certificate, where the broker asks for one.")
    key_file: Path | None = Field(None, description="Key of our own certificate.")

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Tls:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together")
        return self


class Mqtt(Section):
    """The broker that telemetry comes from and states go to."""

    host: str = Field("localhost", min_length=1, description="Host name or address of the broker.")
    port: int = Field(1883, ge=1, le=65_535, description="Port of the broker; 8883 is usual with TLS.")
    username: str | None = Field(None, description="User name, where the broker asks for one.")
    password: SecretStr | None = Field(
        None,
        description="Better not here: BMSD_MQTT__PASSWORD, BMSD_MQTT__PASSWORD_FILE or the credential mqtt_password.",
    )
    tls: Tls = Field(default_factory=Tls, description="Encryption to the broker.")
    client_id: str = Field(
        "bmsd",
        pattern=r"^[A-Za-z0-9_.-]{1,60}$",
        description="Names our persistent session; two services on one broker need two names.",
    )
    prefix: str = Field(
        "bms", pattern=r"^[A-Za-z0-9_.-]{1,64}(/[A-Za-z0-9_.-]{1,64})*$", description="First part of every topic."
    )
    keepalive_second: int = Field(
        30, ge=5, le=3_600, description="How soon a dead connection is noticed. Higher: later, with less traffic."
    )
    unacknowledged_max: int = Field(
        2_000,
        ge=1,
        le=60_000,
        description="Messages held before acknowledgement. Higher: more per commit, more redelivered after a crash.",
    )
    unacknowledged_max_byte: int = Field(
        67_108_864,
        ge=1_048_576,
        le=4_294_967_296,
        description="Bound on their payload, since frames may be large. Higher: longer bursts, more memory.",
    )
    group_second: float = Field(
        0.05,
        ge=0.0,
        le=5.0,
        description="How long messages are gathered for one journal commit. Higher: fewer disk syncs, later states.",
    )
    payload_max_byte: int = Field(262_144, ge=256, le=16_777_216, description="A larger message is rejected unread.")
    pack_rate_max: float | None = Field(
        None,
        gt=0.0,
        le=1e6,
        description="Messages a second of one pack, averaged over ten minutes; more are rejected. Empty: any number.",
    )
    pack_cells_max: int | None = Field(
        None, ge=1, description="Cells that one pack may name; others are rejected. Empty: up to cells.cells_max."
    )
    shed_after_second: float = Field(
        30.0,
        ge=0.1,
        le=86_400.0,
        description="Being behind for so long is an overload: of samples of one cell and second the newest alone is "
        "taken, until we have caught up for as long.",
    )

    @model_validator(mode="after")
    def _password_with_user(self) -> Mqtt:
        if self.password is not None and self.username is None:
            raise ValueError("a password needs a username; set mqtt.username")
        return self
