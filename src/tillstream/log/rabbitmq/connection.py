"""A connection that reconnects to the broker by itself. It runs on a thread with its own event loop.

`Connection` and `Channel` convert the callbacks of pika, the AMQP library, to coroutines for `ReconnectingConnection`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial
from threading import Condition, Thread
from typing import Any, Generic, TypeVar

import pika
import structlog
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.exceptions import AMQPError, ChannelClosedByClient

from tillstream.errors import LogUnavailable, OperationalError, TillstreamError

REPLY_TIMEOUT_S = 1.0
"""The maximum time without a byte from the broker while a request is pending."""

HANDSHAKE_TIMEOUT_S = 2.0
HEARTBEAT_S = 4
MIN_BACKOFF_S = 0.1
MAX_BACKOFF_S = 2.0
SESSION_ATTEMPTS = 5
SESSION_WAIT_S = 0.9
"""The maximum time that a call waits for a connection."""

FIRST_ATTEMPT_S = 8.0
CALL_TIMEOUT_S = 30.0
THREAD_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0

# pika logs each failure with a traceback. This is superfluous, because each failure also raises an error.
logging.getLogger("pika").setLevel(logging.CRITICAL)

_logger = structlog.get_logger()

Deliver = Callable[[Any, Any, bytes], None]
"""A function that handles a message. Its arguments are pika's method, pika's properties, and the body."""

Session = TypeVar("Session")
Result = TypeVar("Result")


class ConnectionLost(TillstreamError):
    """The connection or the channel failed, or the broker does not answer.

    A call on a closed channel raises pika's `AMQPError` instead.
    """


class BrokerBlocked(TillstreamError):
    """The broker has raised an alarm, such as low memory, and accepts no messages. The connection stays open."""


class Channel:
    """An AMQP channel. Its coroutines can raise `ConnectionLost` or `AMQPError`.

    `on_failure` is called with a reason if the channel or one of its consumers ends unexpectedly.
    """

    def __init__(self, raw: Any, on_failure: Callable[[str], None]) -> None:
        self.raw = raw
        self._on_failure = on_failure
        self._closed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        raw.add_on_close_callback(self._on_close)
        raw.add_on_cancel_callback(lambda frame: on_failure(f"the consumer {frame.method.consumer_tag} was cancelled"))

    def _on_close(self, _: Any, reason: Exception) -> None:
        self._closed.set_result(reason)
        if not isinstance(reason, ChannelClosedByClient):
            self._on_failure(reason_of(reason))

    async def request(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call a method of the raw channel, and wait for the reply. The method must have a `callback` parameter."""
        reply = asyncio.get_running_loop().create_future()
        method(*arguments, callback=partial(_set_reply, reply), **named)
        return await self.wait(reply)

    async def wait(self, reply: asyncio.Future[Any]) -> Any:
        """Wait for a reply. Raises `ConnectionLost` if the broker sends no byte for `REPLY_TIMEOUT_S`."""
        connection = self.raw.connection
        while True:
            received = connection.bytes_received
            await asyncio.wait((reply, self._closed), timeout=REPLY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            if reply.done():
                return reply.result()
            if self._closed.done():
                raise ConnectionLost(reason_of(self._closed.result()))
            if connection.bytes_received == received:
                raise ConnectionLost(f"the broker has sent nothing for {REPLY_TIMEOUT_S:g} s")

    async def consume(self, queue: str, prefetch: int, offset: str | int, deliver: Deliver) -> None:
        """Attach a consumer to a stream at an offset: `first`, `last`, `next`, or a number.

        When this method returns, `deliver` has been called for each message from the offset to the end of the stream,
        but for at most `prefetch` messages. To make sure of this, the method sends one more request and waits for its
        reply: the broker reads the stream before it handles this request.
        """
        await self.barrier(prefetch)
        self.raw.basic_consume(
            queue,
            lambda _, method, properties, body: deliver(method, properties, body),
            arguments={"x-stream-offset": offset},
        )
        await self.barrier(prefetch)

    async def barrier(self, prefetch: int) -> None:
        """Set the prefetch, and wait until the broker has handled all earlier requests of this channel."""
        await self.request(self.raw.basic_qos, prefetch_count=prefetch)

    def close(self) -> None:
        """Close the channel and its consumers."""
        # Do not cancel the consumers first: pika would then reject messages, and streams do not support this.
        if self.raw.is_open:
            self.raw.close()


class _CoalescingConnection(AsyncioConnection):  # type: ignore[misc]
    """Sends all AMQP frames of one turn of the event loop with one system call. Plain pika needs three per message."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._frames: list[bytes] = []
        super().__init__(*arguments, **named)

    def _adapter_emit_data(self, data: bytes) -> None:
        if not self._frames:
            asyncio.get_running_loop().call_soon(self._flush_frames)
        self._frames.append(data)

    def _flush_frames(self) -> None:
        data, self._frames = b"".join(self._frames), []
        # The connection may have been lost in the same turn of the loop.
        if self._transport is not None:
            super()._adapter_emit_data(data)


class Connection:
    """An AMQP connection. `ended` gets a reason as its result when the connection becomes unusable."""

    def __init__(self, parameters: pika.connection.Parameters) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[str] = loop.create_future()
        self.blocked_reason = ""
        self._opened: asyncio.Future[None] = loop.create_future()
        self._closed: asyncio.Future[None] = loop.create_future()
        self.raw = _CoalescingConnection(
            parameters,
            on_open_callback=lambda _: _set_reply(self._opened, None),
            on_open_error_callback=self._on_open_error,
            on_close_callback=self._on_close,
            custom_ioloop=loop,
        )
        self.raw.add_on_connection_blocked_callback(self._on_blocked)
        self.raw.add_on_connection_unblocked_callback(self._on_unblocked)

    @classmethod
    async def open(cls, parameters: pika.connection.Parameters) -> Connection:
        """Connect to the broker. Raises `ConnectionLost` with a reason, such as a wrong password."""
        connection = cls(parameters)
        await connection._opened
        return connection

    def _on_open_error(self, _: Any, error: BaseException) -> None:
        if not self._opened.done():
            self._opened.set_exception(ConnectionLost(reason_of(error)))

    def _on_close(self, _: Any, reason: Exception) -> None:
        self.end(reason_of(reason))
        self._closed.set_result(None)

    def _on_blocked(self, _: Any, frame: Any) -> None:
        self.blocked_reason = frame.method.reason or "an alarm"

    def _on_unblocked(self, *_: Any) -> None:
        self.blocked_reason = ""

    async def channel(self, on_failure: Callable[[str], None] | None = None) -> Channel:
        """Open a channel. If `on_failure` is None, a failure of the channel ends the connection."""
        if self.ended.done():
            raise ConnectionLost(self.ended.result())
        opened = asyncio.get_running_loop().create_future()
        channel = Channel(self.raw.channel(on_open_callback=opened.set_result), on_failure or self.end)
        await channel.wait(opened)
        return channel

    async def has_queue(self, name: str) -> bool:
        """Return whether the queue exists."""
        channel = await self.channel(on_failure=lambda _: None)
        try:
            await channel.request(channel.raw.queue_declare, name, passive=True)
        except ConnectionLost as error:
            # NOT_FOUND can also mean that the queue exists but its process on the broker is not running.
            if str(error).startswith("NOT_FOUND - no queue"):
                return False
            raise
        channel.close()
        return True

    def end(self, reason: str) -> None:
        """Make the connection unusable, and start to close it."""
        if not self.ended.done():
            self.ended.set_result(reason)
            # This method may run in a callback of pika. The callback must return before the connection is closed.
            asyncio.get_running_loop().call_soon(lambda: self.raw.is_open and self.raw.close())

    async def close(self, reason: str) -> None:
        """End the connection. Wait until its socket is closed, but at most for `CLOSE_TIMEOUT_S`."""
        self.end(reason)
        await asyncio.wait((self._closed,), timeout=CLOSE_TIMEOUT_S)


def _set_reply(reply: asyncio.Future[Any], frame: Any) -> None:
    if not reply.done():
        reply.set_result(frame)


class ReconnectingConnection(Generic[Session]):
    """Keeps a session on a connection, and reconnects with exponential backoff.

    On each new connection, `open_session` creates a session: the object that `call` passes to `work`. While the broker
    is unavailable, calls fail at once and say why it cannot be reached. The constructor waits for the first attempt.
    """

    def __init__(self, url: str, name: str, open_session: Callable[[Connection], Awaitable[Session]]) -> None:
        self._parameters = parameters(url, name)
        self.address = address(self._parameters)
        self.user: str = self._parameters.credentials.username
        self._open_session = open_session
        self._change = Condition()
        self._session: Session | None = None
        self._connection: Connection | None = None
        self._reason = ""
        self._closing = False
        self._loop: asyncio.AbstractEventLoop
        self._task: asyncio.Task[None] | None
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self._wait(FIRST_ATTEMPT_S)

    def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(self._maintain())

    async def _maintain(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        backoff_s, logged_reason = MIN_BACKOFF_S, ""
        while True:
            try:
                connection, session = await self._connect()
            except Exception as error:
                if self._closing:
                    return
                reason = reason_of(error)
                self._set(None, reason)
                if not isinstance(error, ConnectionLost | AMQPError | OperationalError):
                    _logger.exception("rabbitmq.session_failed", broker=self.address)
                if reason != logged_reason:
                    logged_reason = reason
                    _logger.warning("rabbitmq.unreachable", broker=self.address, reason=reason)
                await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))
                backoff_s = min(2 * backoff_s, MAX_BACKOFF_S)
                continue
            if logged_reason:
                _logger.info("rabbitmq.reconnected", broker=self.address)
            backoff_s, logged_reason = MIN_BACKOFF_S, ""
            self._set(session, "")
            reason = await connection.ended
            # While the reason is empty, calls wait for the next attempt to connect. With a reason, they fail at once.
            self._set(None, "")
            await connection.close(reason)
            if self._closing:
                return
            _logger.warning("rabbitmq.connection_lost", broker=self.address, reason=reason)

    async def _connect(self) -> tuple[Connection, Session]:
        """Connect and open a session.

        If several processes declare the same streams at the same time, the broker may close the connection. Therefore
        this method makes up to `SESSION_ATTEMPTS` attempts.
        """
        attempts = SESSION_ATTEMPTS
        while True:
            attempts -= 1
            self._connection = connection = await Connection.open(self._parameters)
            try:
                return connection, await self._open_session(connection)
            except BaseException as error:
                await connection.close(f"it could not be used: {error}")
                if not attempts or self._closing or not isinstance(error, ConnectionLost | AMQPError):
                    raise
            await asyncio.sleep(MIN_BACKOFF_S)

    def _set(self, session: Session | None, reason: str) -> None:
        with self._change:
            self._session, self._reason = (None, "it was closed") if self._closing else (session, reason)
            self._change.notify_all()

    def _wait(self, timeout_s: float) -> Session | None:
        with self._change:
            self._change.wait_for(lambda: self._session is not None or self._reason, timeout_s)
            return self._session

    def call(self, doing: str, work: Callable[[Session], Coroutine[Any, Any, Result]]) -> Result:
        """Call `work` with the session on the thread of the connection, and return the result of `work`.

        `doing` is a verb phrase for the error, such as "read the log". Raises `LogUnavailable`.
        """
        return self.submit(doing, work)()

    def submit(self, doing: str, work: Callable[[Session], Coroutine[Any, Any, Result]]) -> Callable[[], Result]:
        """Start `work` in the same way as `call`. Return a function that waits for the result of `work`."""
        session = self._wait(SESSION_WAIT_S)
        if session is None:
            raise self._unavailable(doing, self._reason or "there is no connection yet")
        try:
            future = asyncio.run_coroutine_threadsafe(work(session), self._loop)
        except RuntimeError as error:
            raise self._unavailable(doing, "it was closed") from error
        return partial(self._result, doing, future)

    def _result(self, doing: str, future: Future[Result]) -> Result:
        try:
            return future.result(CALL_TIMEOUT_S)
        except BrokerBlocked as error:
            raise self._unavailable(doing, str(error)) from error
        except (ConnectionLost, AMQPError) as error:
            self.reconnect(reason_of(error))
            raise self._unavailable(doing, reason_of(error)) from error
        except (TimeoutError, CancelledError) as error:
            future.cancel()
            self.reconnect("the broker takes too long")
            raise self._unavailable(doing, "the broker takes too long") from error

    def _unavailable(self, doing: str, reason: str) -> LogUnavailable:
        return LogUnavailable(doing, self.address, reason, "tillstream keeps trying; is RabbitMQ up?")

    def reconnect(self, reason: str) -> None:
        """Replace the current connection by a new one."""
        self._loop.call_soon_threadsafe(self._end_connection, reason)

    def _end_connection(self, reason: str) -> None:
        if self._connection is not None and not self._connection.ended.done():
            self._connection.end(reason)
        elif self._closing and self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        """Close the connection and end its thread."""
        if self._closing:
            return
        self._closing = True
        self._set(None, "")
        self.reconnect("it was closed")
        self._thread.join(THREAD_TIMEOUT_S)


def parameters(url: str, name: str) -> pika.URLParameters:
    """Return the connection parameters of pika for a URL. `name` is shown in the broker's list of connections."""
    parsed = pika.URLParameters(url)
    parsed.heartbeat = HEARTBEAT_S
    parsed.socket_timeout = HANDSHAKE_TIMEOUT_S
    parsed.stack_timeout = HANDSHAKE_TIMEOUT_S
    parsed.connection_attempts = 1
    parsed.client_properties = {"connection_name": name}
    return parsed


def address(parsed: pika.URLParameters) -> str:
    """Return the address of the broker without credentials, for messages."""
    return f"amqp{'s' if parsed.ssl_options else ''}://{parsed.host}:{parsed.port}/{parsed.virtual_host}"


def reason_of(error: BaseException) -> str:
    """Return a short reason for an error. An error of pika often wraps the actual error."""
    nested = (*error.args[:1], getattr(error, "exception", None), *getattr(error, "exceptions", ()))
    inner = [each for each in nested if isinstance(each, BaseException)]
    if inner:
        return reason_of(inner[-1])
    text = getattr(error, "reply_text", None) or str(error) or type(error).__name__
    return _REASONS.get(type(error).__name__, text)


_REASONS = {
    "ProbableAuthenticationError": "the broker refuses the user or the password",
    "AuthenticationError": "the broker refuses the user or the password",
    "ConnectionRefusedError": "nothing listens there",
    "AMQPHeartbeatTimeout": "the broker stopped answering",
    "StreamLostError": "the connection was lost",
    "ConnectionResetError": "the connection was lost",
}
