"""Every error that a user can meet. Each says what happened, where, and what mends it.

    BmsdError            internal
    ├── ConfigError      config          the configuration is refused (exit status 2)
    ├── UsageError       usage           the command line is refused (exit status 2)
    ├── LogError         log             a file is not a readable battery log
    ├── BrokerError      broker          the MQTT broker cannot be reached or refuses us
    ├── SinkError        sink            a sink refuses what it is given or cannot be reached
    ├── JournalError     journal         the state directory cannot be written or read
    └── WeightsError     weights         a cell type's folder is incomplete or damaged

A bad *message* is none of these: it is counted by its reason (daemon/wire.py) and the service goes on.
"""

from __future__ import annotations


class BmsdError(Exception):
    """Root of the tree. `where` names the place, `mend` the next thing to do."""

    code = "internal"
    exit_status = 1

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.mend = what, where, mend

    def __str__(self) -> str:
        lines = [f"error {self.code}: {self.what}"]
        lines += [f"  where  {self.where}"] if self.where else []
        lines += [f"  mend   {self.mend}"] if self.mend else []
        return "\n".join(lines)


class ConfigError(BmsdError):
    """The configuration is refused."""

    code, exit_status = "config", 2


class UsageError(BmsdError):
    """The command line is refused."""

    code, exit_status = "usage", 2


class LogError(BmsdError):
    """A file is not a readable battery log."""

    code = "log"


class BrokerError(BmsdError):
    """The MQTT broker cannot be reached or refuses us."""

    code = "broker"


class SinkError(BmsdError):
    """A sink cannot be reached (`retry` is true) or refuses what it is given (`retry` is false)."""

    code = "sink"

    def __init__(self, what: str, *, where: str = "", mend: str = "", retry: bool = True) -> None:
        super().__init__(what, where=where, mend=mend)
        self.retry = retry


class JournalError(BmsdError):
    """The state directory cannot be written or read."""

    code = "journal"


class WeightsError(BmsdError):
    """A cell type's folder is incomplete or damaged."""

    code = "weights"
