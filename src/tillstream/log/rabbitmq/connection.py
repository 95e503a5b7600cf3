"""An AMQP connection and its channels as coroutines on top of pika's callbacks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.exceptions import AMQPError, ChannelClosedByBroker, ChannelClosedByClient

from tillstream.errors import TillstreamError

REPLY_TIMEOUT_S = 1.0
"""The longest time without a byte from the broker while a request is pending."""

HANDSHAKE_TIMEOUT_S = 2.0
HEARTBEAT_S = 4
NOT_FOUND = 404

# Failures reach the caller as `ConnectionLost`; pika would log each of them too, with a traceback.
logging.getLogger("pika").setLevel(logging.CRITICAL)

Deliver = Callable[[Any, Any, bytes], None]
"""Receives each message of a consumer: pika's method, properties and body."""


class ConnectionLost(TillstreamError):
    """The connection or the channel failed, or the broker does not answer."""


class BrokerBlocked(TillstreamError):
    """The broker has an alarm and accepts no messages; the connection stays open."""


class Channel:
    """An AMQP channel. Every method that sends a request raises `ConnectionLost`."""

    def __init__(self, raw: Any, on_failure: Callable[[str], None]) -> None:
        self.raw = raw
        self.close_reason: Exception | None = None
        self._on_failure = on_failure
        self._pending: set[asyncio.Future[Any]] = set()
        raw.add_on_close_callback(self._closed)
        raw.add_on_cancel_callback(lambda frame: on_failure(f"the consumer {frame.method.consumer_tag} was cancelled"))

    def _closed(self, _: Any, reason: Exception) -> None:
        self.close_reason = reason
        for reply in self._pending:
            if not reply.done():
                reply.set_exception(reason)
        if not self._is_not_found() and not isinstance(reason, ChannelClosedByClient):
            self._on_failure(reason_of(reason))

    def _is_not_found(self) -> bool:
        return isinstance(self.close_reason, ChannelClosedByBroker) and self.close_reason.reply_code == NOT_FOUND

    async def request(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call a method of the raw channel that takes a callback, and wait for the reply."""
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending.add(reply)
        try:
            method(*arguments, callback=partial(_set_reply, reply), **named)
            return await wait_for_reply(reply, self.raw.connection)
        except AMQPError as error:
            raise ConnectionLost(reason_of(error)) from error
        finally:
            self._pending.discard(reply)

    async def has_queue(self, name: str) -> bool:
        """Whether the queue exists. If it does not, the broker has closed the channel."""
        try:
            await self.request(self.raw.queue_declare, name, passive=True)
        except ConnectionLost as error:
            # The broker uses the same code for a queue that exists but has no running process.
            if self._is_not_found() and str(error).startswith("NOT_FOUND - no queue"):
                return False
            raise
        return True

    async def consume(self, queue: str, prefetch: int, offset: str | int, deliver: Deliver) -> None:
        """Attach to a stream at an offset: `first`, `last`, `next`, or a number.

        When this returns, `deliver` has received the messages of the stream up to the prefetch: the
        broker reads a stream for a new consumer before it handles the channel's next request.
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
        """Close the channel with its consumers.

        A consumer is never cancelled alone: pika would reject the messages that are still in flight,
        and streams do not allow that.
        """
        if self.raw.is_open:
            self.raw.close()


class _CoalescingConnection(AsyncioConnection):  # type: ignore[misc]
    """Sends the frames of one turn of the event loop with one system call.

    pika writes a message as three frames with a system call each, which is most of the cost of publishing.
    """

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
    """An AMQP connection. `ended` holds the reason once it is unusable; `closed` is set when its socket is closed."""

    def __init__(self, parameters: pika.connection.Parameters) -> None:
        self.loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[str] = self.loop.create_future()
        self.closed: asyncio.Future[None] = self.loop.create_future()
        self.blocked_reason = ""
        self._opened: asyncio.Future[None] = self.loop.create_future()
        self.raw = _CoalescingConnection(
            parameters,
            on_open_callback=lambda _: _set_reply(self._opened, None),
            on_open_error_callback=self._on_open_error,
            on_close_callback=self._on_close,
            custom_ioloop=self.loop,
        )
        self.raw.add_on_connection_blocked_callback(self._on_blocked)
        self.raw.add_on_connection_unblocked_callback(self._on_unblocked)

    @classmethod
    async def open(cls, parameters: pika.connection.Parameters) -> Connection:
        """Raises `ConnectionLost` with the reason: no listener, wrong credentials, no such virtual host…"""
        connection = cls(parameters)
        await connection._opened
        return connection

    def _on_open_error(self, _: Any, error: BaseException) -> None:
        if not self._opened.done():
            self._opened.set_exception(ConnectionLost(reason_of(error)))

    def _on_close(self, _: Any, reason: Exception) -> None:
        self.end(reason_of(reason))
        self.closed.set_result(None)

    def _on_blocked(self, _: Any, frame: Any) -> None:
        self.blocked_reason = frame.method.reason or "an alarm"

    def _on_unblocked(self, *_: Any) -> None:
        self.blocked_reason = ""

    async def channel(self) -> Channel:
        """Raises `ConnectionLost`."""
        if self.ended.done():
            raise ConnectionLost(self.ended.result())
        opened: asyncio.Future[Any] = self.loop.create_future()
        try:
            raw = self.raw.channel(on_open_callback=opened.set_result)
            await wait_for_reply(opened, self.raw)
        except AMQPError as error:
            raise ConnectionLost(reason_of(error)) from error
        return Channel(raw, self.end)

    def end(self, reason: str) -> None:
        """Close the connection; if the broker does not answer, the heartbeat ends it."""
        if not self.ended.done():
            self.ended.set_result(reason)
            if self.raw.is_open:
                self.loop.call_soon(partial(_close, self.raw))


def _set_reply(reply: asyncio.Future[Any], frame: Any) -> None:
    if not reply.done():
        reply.set_result(frame)


async def wait_for_reply(reply: asyncio.Future[Any], raw: AsyncioConnection) -> Any:
    """Wait for the reply while the broker sends anything. Raises `ConnectionLost` when it is silent."""
    received = -1
    while not reply.done():
        if raw.bytes_received == received or raw.is_closed:
            raise ConnectionLost(f"the broker has said nothing for {REPLY_TIMEOUT_S:g} s")
        received = raw.bytes_received
        await asyncio.wait((reply,), timeout=REPLY_TIMEOUT_S)
    return reply.result()


def _close(raw: AsyncioConnection) -> None:
    if raw.is_open:
        raw.close()


def parameters(url: str, name: str) -> pika.URLParameters:
    """pika's connection parameters for a URL, with tillstream's timeouts."""
    parsed = pika.URLParameters(url)
    parsed.heartbeat = HEARTBEAT_S
    parsed.socket_timeout = HANDSHAKE_TIMEOUT_S
    parsed.stack_timeout = HANDSHAKE_TIMEOUT_S
    parsed.connection_attempts = 1
    parsed.client_properties = {"connection_name": name}
    return parsed


def address(parsed: pika.URLParameters) -> str:
    """The broker's address without credentials, for messages."""
    return f"amqp{'s' if parsed.ssl_options else ''}://{parsed.host}:{parsed.port}/{parsed.virtual_host}"


def reason_of(error: BaseException) -> str:
    """A short reason from pika's nested errors."""
    inner: BaseException = error
    while True:
        nested = getattr(inner, "exceptions", None) or getattr(inner, "exception", None) or inner.args[:1]
        candidate = nested[-1] if isinstance(nested, list | tuple) and nested else nested
        if not isinstance(candidate, BaseException):
            break
        inner = candidate
    text = getattr(inner, "reply_text", None) or str(inner) or type(inner).__name__
    return _REASONS.get(type(inner).__name__, text)


_REASONS: Mapping[str, str] = {
    "ProbableAuthenticationError": "the broker refuses the user or the password",
    "AuthenticationError": "the broker refuses the user or the password",
    "ConnectionRefusedError": "nothing listens there",
    "AMQPHeartbeatTimeout": "the broker stopped answering",
    "StreamLostError": "the connection was lost",
    "ConnectionResetError": "the connection was lost",
}
