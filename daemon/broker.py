"""One MQTT connection, kept alive for ever in a thread of its own: what ingest and the MQTT sink stand on.

Each attempt is a fresh paho client, so that nothing of a lost connection (packets half sent, messages in
flight, a stale will) outlives it. After a loss the next attempt waits a random time (daemon/jitter.py).
The thread has its own loop in place of paho's, for two reasons: it can stop reading while a bound of the
caller is reached and still show that we live, and it reads all that has arrived before it polls again.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from daemon.jitter import full_jitter
from daemon.says import Say

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.reasoncodes import ReasonCode

    from daemon.config import Mqtt

STEADY_SECOND = 10.0  # a connection that held for so long begins the waits anew
CONNECT_SECOND = 5.0
TURN_PACKETS = 1_000  # read at most so many before acknowledgements and keep-alives have their turn
BROKEN = select.POLLERR | select.POLLHUP | select.POLLNVAL

say = Say("broker")


class Listener(Protocol):
    """What a link tells its owner, in the link's thread."""

    def up(self) -> None:
        """Hear that the broker accepted us, and the subscription where there is one."""

    def down(self) -> None:
        """Hear that the connection is gone."""

    def message(self, message: paho.MQTTMessage) -> None:
        """Take one message."""

    def published(self, mid: int) -> None:
        """Hear that the broker has what was published."""

    def full(self) -> bool:
        """Tell whether to stop reading for now."""


def identify_ourselves(client: paho.Client, config: Mqtt) -> None:
    """Give a client the user, password and certificates of `mqtt:`. Raises OSError where a file cannot be used."""
    if config.username is not None:
        client.username_pw_set(config.username, config.password.get_secret_value() if config.password else None)
    if config.tls.enabled:
        tls = config.tls
        ca, certificate, key = (str(f) if f else None for f in (tls.ca_file, tls.certificate_file, tls.key_file))
        client.tls_set(ca, certificate, key)


class Link:
    """Keeps a connection to the broker of `mqtt:`; `post` hands work to its thread."""

    def __init__(
        self,
        config: Mqtt,
        client_id: str,
        listener: Listener,
        *,
        persistent: bool,
        subscription: str | None = None,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        self.generation = 0  # of the connection; grows with each that is accepted
        self.attempted = threading.Event()  # set once the first attempt has come to an end, either way
        self._config, self._client_id, self._listener = config, client_id, listener
        self._persistent, self._subscription, self._will = persistent, subscription, will
        self.busy_second = 0.0  # that the thread was reading, or would have if its owner were not full
        self._posted: deque[Callable[[paho.Client], object]] = deque()
        self._closing = threading.Event()
        self._lost, self._session = "", ""  # why the present connection ended, and what the broker said of ours
        self._up = False
        self._messages = 0
        self._idle_second = 0.0  # of the present turn
        self._stayed = 0.0  # when we last showed that we live, while not reading
        self._wake_r, self._wake_w = socket.socketpair()
        self._wake_r.setblocking(False)
        self._wake_w.setblocking(False)
        self._thread = threading.Thread(target=self._run, name=f"mqtt {client_id}", daemon=True)

    def start(self) -> None:
        """Begin to connect; the broker need not be there."""
        self._thread.start()

    def close(self, timeout_second: float = 5.0) -> None:
        """Do what was posted, say goodbye to the broker (its will is not spoken) and end the thread. Blocks."""
        self._closing.set()
        self.wake()
        if self._thread.ident is not None:
            self._thread.join(timeout_second)
        if not self._thread.is_alive():
            self._wake_r.close()
            self._wake_w.close()

    @property
    def is_up(self) -> bool:
        """Tell whether the broker has accepted us, and the subscription where there is one, and has not left since."""
        return self._up

    def post(self, action: Callable[[paho.Client], object]) -> None:
        """Have `action(client)` done in the link's thread; it is forgotten if the connection is lost before."""
        self._posted.append(action)
        self.wake()

    def wake(self) -> None:
        """Make the thread look again at what is posted and at `full`."""
        try:
            self._wake_w.send(b"\0")
        except (BlockingIOError, OSError):
            return  # it has yet to see earlier ones, or is closed

    def _run(self) -> None:
        attempt = 0
        while not self._closing.is_set():
            began = time.monotonic()
            self._lost = ""
            try:
                self._connection()
            except (OSError, ValueError) as err:
                self._lost = self._lost or f"{type(err).__name__}: {err}"
            except Exception as err:  # noqa: BLE001 - a fault of ours ends the connection, not the service
                say.error("fault", err, client_id=self._client_id)
                self._lost = f"{type(err).__name__}: {err}"
            if self._closing.is_set():
                break
            attempt = 0 if self._up and time.monotonic() - began > STEADY_SECOND else attempt + 1
            wait = full_jitter(attempt)
            self._tell_lost(wait)
            self.attempted.set()
            self._closing.wait(wait)
        self.attempted.set()

    def _tell_lost(self, wait_second: float) -> None:
        was_up, self._up = self._up, False
        self._posted.clear()
        where = {"host": self._config.host, "port": self._config.port, "client_id": self._client_id}
        if was_up:
            self._listener.down()
            say.warning("lost", **where, reason=self._lost or "closed by the broker", retry_second=wait_second)
        else:
            reason = self._lost or "closed by the broker"
            say.seldom("unreachable", f"{self._client_id}{reason}", **where, reason=reason, retry_second=wait_second)

    def _connection(self) -> None:
        """Connect, and serve the connection until it ends; `_lost` then says why."""
        client = self._make_client()
        try:
            client.connect(self._config.host, self._config.port, self._config.keepalive_second)
            sock = client.socket()
            if sock is None:
                return
            poll = select.poll()
            poll.register(self._wake_r, select.POLLIN)
            goes_on = True
            while goes_on and not self._closing.is_set():
                began, self._idle_second = time.monotonic(), 0.0
                goes_on = self._turn(client, sock, poll)
                self.busy_second += time.monotonic() - began - self._idle_second
            if self._closing.is_set():
                self._goodbye(client)
        finally:
            if (sock := client.socket()) is not None:
                sock.close()

    def _turn(self, client: paho.Client, sock: paho.SocketLike, poll: select.poll) -> bool:
        """Wait for the socket, a post or a second; read, act and write. False once the connection has ended."""
        if client.socket() is None:
            return False
        full = self._listener.full()
        hidden = not full and isinstance(sock, ssl.SSLSocket) and sock.pending() > 0  # decrypted, unseen by poll
        poll.register(sock, (0 if full else select.POLLIN) | (select.POLLOUT if client.want_write() else 0))
        ready = dict(poll.poll(0)) or ({} if hidden else self._idle(poll, full))
        events = ready.get(sock.fileno(), 0)
        if self._wake_r.fileno() in ready:
            self._wake_r.recv(65_536)
        if (events & select.POLLIN or hidden) and not self._read(client):
            return False
        if full and events & BROKEN:
            return False
        self._act(client)
        if client.want_write():
            self._check(client.loop_write())
        return self._stay(client) if full else self._check(client.loop_misc())

    def _idle(self, poll: select.poll, full: bool) -> dict[int, int]:
        """Wait for something to do; while the owner is full, that is no idling."""
        began = time.monotonic()
        ready = dict(poll.poll(1_000))
        if not full:
            self._idle_second += time.monotonic() - began
        return ready

    def _stay(self, client: paho.Client) -> bool:
        """Show the broker that we live while we do not read: its answer to paho's ping would stand behind the unread.

        Any packet serves; this one changes nothing. paho looks at its clock again when reading goes on.
        """
        if time.monotonic() - self._stayed > self._config.keepalive_second / 2:
            self._stayed = time.monotonic()
            client.unsubscribe("bmsd/nothing")
        return True

    def _read(self, client: paho.Client) -> bool:
        """Read what has arrived, packet by packet, until there is no more or the owner is full."""
        for _ in range(TURN_PACKETS):
            before = self._messages
            if not self._check(client.loop_read()):
                return False
            if self._messages == before or self._listener.full():
                break
        return True

    def _act(self, client: paho.Client) -> None:
        while self._up and self._posted:
            self._posted.popleft()(client)

    def _check(self, code: MQTTErrorCode) -> bool:
        if code is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._lost = self._lost or paho.error_string(code)
            return False
        return True

    def _goodbye(self, client: paho.Client) -> None:
        """Do what is still posted, then disconnect in due form."""
        self._act(client)
        deadline = time.monotonic() + 2.0
        while client.want_write() and time.monotonic() < deadline and client.socket() is not None:
            select.select([], [client.socket()], [], 0.1)
            client.loop_write()
        client.disconnect()
        if self._up:
            self._up = False
            self._listener.down()

    def _make_client(self) -> paho.Client:
        config = self._config
        client = paho.Client(
            CallbackAPIVersion.VERSION2, self._client_id, clean_session=not self._persistent, manual_ack=True
        )
        client.connect_timeout = CONNECT_SECOND
        client.max_inflight_messages_set(TURN_PACKETS)
        identify_ourselves(client, config)
        if self._will:
            client.will_set(*self._will, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        return client

    def _on_connect(
        self, client: paho.Client, _data: object, flags: paho.ConnectFlags, code: ReasonCode, _properties: object
    ) -> None:
        if code.is_failure:
            self._lost = f"refused: {code}"
            return
        self.generation += 1
        self._session = "resumed" if flags.session_present else "new"
        if self._subscription:
            client.subscribe(self._subscription, qos=1)
        if flags.session_present or not self._subscription:
            self._accepted()  # a resumed session is subscribed: the answer may stand behind all that it kept for us

    def _accepted(self) -> None:
        self._up = True
        self._listener.up()
        where = {"host": self._config.host, "port": self._config.port, "client_id": self._client_id}
        say.info("connected", **where, session=self._session)
        self.attempted.set()

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self._messages += 1
        self._listener.message(message)

    def _on_publish(
        self, _client: paho.Client, _data: object, mid: int, _code: ReasonCode, _properties: object
    ) -> None:
        self._listener.published(mid)

    def _on_subscribe(
        self, client: paho.Client, _data: object, _mid: int, codes: list[ReasonCode], _properties: object
    ) -> None:
        if any(code.is_failure for code in codes):
            self._lost = f"subscription refused: {codes[0]}"
            client.disconnect()
        elif not self._up:
            self._accepted()
