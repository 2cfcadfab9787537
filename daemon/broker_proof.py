"""What a broker does with us, tried out under a client id and a topic of our own, and taken away again.

    connect, subscribe, one message there and back; what it says of itself
    leave, with the session kept; another client publishes; come back and count
    knock without a name

Facts only: whether they are good enough is for doctor to say.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from daemon.broker import identify_ourselves
from daemon.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from paho.mqtt.reasoncodes import ReasonCode

    from daemon.config import Mqtt

CONNECT_SECOND = 3.0
STEP_SECOND = 5.0  # patience with any one step
SAMPLE_BYTES = 130  # of a message of one cell
QUIET_SECOND = 0.5  # beyond two round trips without a message: no more come before we acknowledge
TURN_SECOND = 0.05

VERSION, DROPPED = "$SYS/broker/version", "$SYS/broker/publish/messages/dropped"
UNREACHABLE: tuple[tuple[type[OSError], str, str], ...] = (
    (socket.gaierror, "no such host", "correct mqtt.host"),
    (ConnectionRefusedError, "nobody listens there", "start the broker, or correct mqtt.host and mqtt.port"),
    (TimeoutError, "does not answer", "look at mqtt.host, mqtt.port, the network and its firewalls"),
    (ssl.SSLError, "no TLS with it", "look at mqtt.port (8883 is usual) and at mqtt.tls.ca_file"),
    (OSError, "cannot be reached", "look at mqtt.host, mqtt.port and the network"),
)
REFUSED = {
    "Bad user name or password": "set mqtt.username and BMSD_MQTT__PASSWORD, or the credential mqtt_password",
    "Not authorized": "set mqtt.username and BMSD_MQTT__PASSWORD, or the credential mqtt_password",
}


class Proof(NamedTuple):
    """What was seen."""

    round_trip_second: float
    in_flight: int  # messages that it sends before it waits for an acknowledgement; `sent` or more: it did not wait
    sent: int  # messages that were published while their subscriber was away
    came_back: tuple[int, ...]  # their numbers, in the order in which they came
    version: str = ""  # as it says; empty where it does not
    dropped: int = 0  # messages that it dropped, of any client, since it was started, as far as it says
    lets_strangers_in: bool = False


def prove(config: Mqtt, messages: int) -> Proof:
    """Try the broker out with so many messages. Raises BrokerError where it is not there or does not let us."""
    token = secrets.token_hex(4)
    topic, client_id = f"{config.prefix}/doctor/{token}", f"{config.client_id}-doctor-{token}"
    with _visit(config, client_id, persistent=False) as visit:
        visit.subscribe(topic)
        round_trip = visit.there_and_back(topic)
        version, dropped = (visit.told(name) for name in (VERSION, DROPPED))
    try:
        with _visit(config, client_id, persistent=True) as visit:
            visit.subscribe(topic)
        with _visit(config, f"{client_id}-out", persistent=False) as visit:
            visit.publish(topic, messages)
        with _visit(config, client_id, persistent=True) as visit:
            in_flight = visit.fetch(messages, QUIET_SECOND + 2.0 * round_trip)
            came_back = tuple(int(message.payload) for message in visit.messages)
    finally:
        with suppress(BrokerError), _visit(config, client_id, persistent=False):
            pass  # a clean session of the same name ends the persistent one
    number = int(dropped) if dropped.isdecimal() else 0
    return Proof(round_trip, in_flight, messages, came_back, version, number, _lets_strangers_in(config, client_id))


def _lets_strangers_in(config: Mqtt, client_id: str) -> bool:
    """See whether one is let in who has neither password nor certificate."""
    tls = config.tls.model_copy(update={"certificate_file": None, "key_file": None})
    nobody = config.model_copy(update={"username": None, "password": None, "tls": tls})
    try:
        with _visit(nobody, f"{client_id}-nobody", persistent=False):
            return True
    except BrokerError:
        return False


@contextmanager
def _visit(config: Mqtt, client_id: str, *, persistent: bool) -> Iterator[_Visit]:
    """Connect, and leave in due form. Raises BrokerError."""
    visit = _Visit(config, client_id, persistent)
    try:
        visit.connect()
        yield visit
    finally:
        visit.leave()


class _Visit:
    """One connection, served by hand: nothing happens but while something is waited for."""

    def __init__(self, config: Mqtt, client_id: str, persistent: bool) -> None:
        self.messages: list[paho.MQTTMessage] = []
        self._config, self._where = config, f"{config.host}:{config.port}"
        self._answer: ReasonCode | None = None  # to the connection
        self._granted: list[ReasonCode] = []
        self._confirmed = 0  # of what was published
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, clean_session=not persistent, manual_ack=True
        )
        self._client.connect_timeout = CONNECT_SECOND
        self._client.max_inflight_messages_set(65_535)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_publish = self._on_publish
        self._client.on_message = lambda _client, _data, message: self.messages.append(message)

    def connect(self) -> None:
        config, client = self._config, self._client
        try:
            identify_ourselves(client, config)
        except OSError as err:
            raise BrokerError(f"the TLS files cannot be used: {err}", where=self._where, mend="see mqtt.tls") from err
        try:
            client.connect(config.host, config.port)
        except OSError as err:
            _, what, mend = next(row for row in UNREACHABLE if isinstance(err, row[0]))
            raise BrokerError(f"{what}: {err}", where=self._where, mend=mend) from err
        greeting = "see its log; is mqtt.port its port for TLS, and mqtt.tls.enabled not set?"
        self._until(lambda: self._answer is not None, "does not answer our greeting", greeting)
        if self._answer is not None and self._answer.is_failure:
            answer = str(self._answer)
            raise BrokerError(f"refuses us: {answer}", where=self._where, mend=REFUSED.get(answer, "see its log"))

    def subscribe(self, topic: str) -> None:
        self._client.subscribe(topic, qos=1)
        self._until(lambda: self._granted, "does not confirm a subscription")
        if self._granted[0].is_failure or self._granted[0].value != 1:
            raise BrokerError(f"does not let us subscribe to {topic}", where=self._where, mend=self._access)

    def there_and_back(self, topic: str) -> float:
        """Publish one message and wait until it has come back; returns how long that took, in seconds."""
        began = time.monotonic()
        self._client.publish(topic, b"0", qos=1)
        self._until(lambda: self.messages, f"does not give back a message for {topic}", self._access)
        return time.monotonic() - began

    def told(self, topic: str) -> str:
        """Read one line of what the broker says of itself; empty where it does not, or not to us."""
        self.messages.clear()
        self._client.subscribe(topic, qos=0)
        self._until_quiet(1, QUIET_SECOND)
        return next((m.payload.decode("utf-8", "replace") for m in self.messages if m.topic == topic), "")

    def publish(self, topic: str, messages: int) -> None:
        for number in range(messages):
            self._client.publish(topic, str(number).encode().ljust(SAMPLE_BYTES), qos=1)
        self._until(lambda: self._confirmed == messages, "does not confirm what we publish")

    def fetch(self, messages: int, quiet_second: float) -> int:
        """Take what waited for us; returns how many came before the first acknowledgement."""
        self._until_quiet(messages, quiet_second)
        in_flight = len(self.messages)
        for message in self.messages:
            self._client.ack(message.mid, message.qos)
        self._client.manual_ack_set(False)
        self._until_quiet(messages, quiet_second)
        return in_flight

    def leave(self) -> None:
        self._client.disconnect()
        if (sock := self._client.socket()) is not None:
            sock.close()

    @property
    def _access(self) -> str:
        return f"let the user of mqtt.username read and write {self._config.prefix}/# in the broker's access list"

    def _until(self, done: Callable[[], object], otherwise: str, mend: str = "see its log") -> None:
        deadline = time.monotonic() + STEP_SECOND
        while not done():
            if self._client.loop(TURN_SECOND) is not MQTTErrorCode.MQTT_ERR_SUCCESS and not done():
                raise BrokerError(f"closed the connection: {otherwise}", where=self._where, mend=mend)
            if time.monotonic() > deadline:
                raise BrokerError(otherwise, where=self._where, mend=mend)

    def _until_quiet(self, messages: int, quiet_second: float) -> None:
        """Take messages until there are so many or nothing has come for a while."""
        seen, since = len(self.messages), time.monotonic()
        while len(self.messages) < messages and time.monotonic() - since < quiet_second:
            self._client.loop(TURN_SECOND)
            if len(self.messages) > seen:
                seen, since = len(self.messages), time.monotonic()

    def _on_connect(
        self, _client: paho.Client, _data: object, _flags: paho.ConnectFlags, code: ReasonCode, _properties: object
    ) -> None:
        self._answer = code

    def _on_subscribe(
        self, _client: paho.Client, _data: object, _mid: int, codes: list[ReasonCode], _properties: object
    ) -> None:
        self._granted = codes

    def _on_publish(
        self, _client: paho.Client, _data: object, _mid: int, _code: ReasonCode, _properties: object
    ) -> None:
        self._confirmed += 1
