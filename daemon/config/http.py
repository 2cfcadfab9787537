"""`http:` what can be read over HTTP, and by whom."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path

from pydantic import Field, SecretStr, field_validator, model_validator

from daemon.config.section import Section

LISTEN = re.compile(r"(localhost|[0-9.]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,}")  # what may stand in the header, and is not guessed


class Http(Section):
    """Health, metrics and states over HTTP, to read only."""

    enabled: bool = Field(True, description="Answer HTTP.")
    listen: str = Field(
        "127.0.0.1:9464",
        description="Address and port; 127.0.0.1 and [::1]: this machine alone, any other needs a token. "
        "Port 0: a free one, which the log tells.",
    )
    token: SecretStr | None = Field(
        None,
        description="Demanded of all but /health, at least 16 characters. "
        "Better not here: BMSD_HTTP__TOKEN, BMSD_HTTP__TOKEN_FILE or the credential http_token.",
    )
    certificate_file: Path | None = Field(None, description="Speak TLS with this certificate (and its chain).")
    key_file: Path | None = Field(None, description="Key of the certificate.")

    @property
    def address(self) -> tuple[str, int]:
        """Part `listen`: an IP address without brackets, and a port."""
        host, _, port = self.listen.rpartition(":")
        return "127.0.0.1" if host == "localhost" else host.strip("[]"), int(port)

    @property
    def is_local(self) -> bool:
        """Tell whether only this machine can reach us."""
        return ip_address(self.address[0]).is_loopback

    @field_validator("listen")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        found = LISTEN.fullmatch(value)
        if not found or int(found[2]) > 65_535 or not _is_address(found[1]):
            raise ValueError("an address and a port, as in 127.0.0.1:9464, [::1]:9464 or 0.0.0.0:9464")
        return value

    @field_validator("token")
    @classmethod
    def _is_long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not TOKEN.fullmatch(value.get_secret_value()):
            raise ValueError("at least 16 letters, digits or ._~+/=- without a space; make one: openssl rand -hex 32")
        return value

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Http:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together")
        return self

    @model_validator(mode="after")
    def _others_need_a_token(self) -> Http:
        if self.enabled and self.token is None and not self.is_local:
            raise ValueError(
                f"`listen: {self.listen}` lets other machines in, and there is no token: set http.token "
                "(BMSD_HTTP__TOKEN, BMSD_HTTP__TOKEN_FILE or the credential http_token), or listen on 127.0.0.1"
            )
        return self


def _is_address(host: str) -> bool:
    """Tell whether a host of that form is one; a number may be too large for its place."""
    try:
        ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError:
        return False
    return True
