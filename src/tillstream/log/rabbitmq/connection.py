"""pika's callbacks as coroutines: one connection to the broker, and its channels."""

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

SILENCE_S = 1.0
"""How long the broker may say nothing at all while it is asked something."""

HANDSHAKE_S = 2.0
HEARTBEAT_S = 4
NOT_FOUND = 404

# What goes wrong comes as an error that says so; pika would tell it again, with tracebacks.
logging.getLogger("pika").setLevel(logging.CRITICAL)

Deliver = Callable[[Any, Any, bytes], None]
"""Told each message of a consumer: pika's method, properties and body."""


class Lost(TillstreamError):
    """The connection, or a channel of it, is gone, blocked, or does not answer; the text says why."""


class Blocked(TillstreamError):
    """The broker takes nothing for now, as it says itself; the connection stays."""


class Channel:
    """One channel; every method that asks the broker something raises `Lost`."""

    def __init__(self, raw: Any, on_end: Callable[[str], None]) -> None:
        self.raw = raw
        self._on_end = on_end
        self._questions: set[asyncio.Future[Any]] = set()
        self.reason: Exception | None = None
        raw.add_on_close_callback(self._closed)
        raw.add_on_cancel_callback(lambda frame: on_end(f"the consumer {frame.method.consumer_tag} was cancelled"))

    def _closed(self, _: Any, reason: Exception) -> None:
        self.reason = reason
        for question in self._questions:
            if not question.done():
                question.set_exception(reason)
        if not self._missing() and not isinstance(reason, ChannelClosedByClient):
            self._on_end(told(reason))

    def _missing(self) -> bool:
        return isinstance(self.reason, ChannelClosedByBroker) and self.reason.reply_code == NOT_FOUND

    async def ask(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call a method of the raw channel that takes a callback, and wait for the broker's answer to it."""
        question: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._questions.add(question)
        try:
            method(*arguments, callback=partial(_answer, question), **named)
            return await answered(question, self.raw.connection)
        except AMQPError as error:
            raise Lost(told(error)) from error
        finally:
            self._questions.discard(question)

    async def has_queue(self, name: str) -> bool:
        """Whether there is such a queue; where there is none, the broker has closed the channel."""
        try:
            await self.ask(self.raw.queue_declare, name, passive=True)
        except Lost as error:
            # A queue that is there and cannot be used has the same code, and must not pass for a deleted one.
            if self._missing() and str(error).startswith("NOT_FOUND - no queue"):
                return False
            raise
        return True

    async def consume(self, queue: str, prefetch: int, offset: str | int, deliver: Deliver) -> None:
        """Attach to a stream at an offset: `first`, `last`, `next`, or a number.

        Once this returns, `deliver` was told everything that was in the stream, up to the prefetch: the
        broker reads a stream for a new consumer before it looks at the channel's next question.
        """
        await self.ask(self.raw.basic_qos, prefetch_count=prefetch)
        self.raw.basic_consume(
            queue,
            lambda _, method, properties, body: deliver(method, properties, body),
            arguments={"x-stream-offset": offset},
        )
        await self.barrier(prefetch)

    async def barrier(self, prefetch: int) -> None:
        """Wait until the broker has dealt with all that was asked on this channel."""
        await self.ask(self.raw.basic_qos, prefetch_count=prefetch)

    def close(self) -> None:
        """Part from the channel and its consumers.

        A consumer is never cancelled by itself: pika would refuse what is still under way to it, which
        no stream allows.
        """
        if self.raw.is_open:
            self.raw.close()


class _Corked(AsyncioConnection):  # type: ignore[misc]
    """Sends what one turn of the loop brings in one go.

    pika writes a message as three frames, each by a system call of its own: most of what publishing costs.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._corked: list[bytes] = []
        super().__init__(*arguments, **named)

    def _adapter_emit_data(self, data: bytes) -> None:
        if not self._corked:
            asyncio.get_running_loop().call_soon(self._uncork)
        self._corked.append(data)

    def _uncork(self) -> None:
        data, self._corked = b"".join(self._corked), []
        # The transport is gone where the connection was lost in this very turn.
        if self._transport is not None:
            super()._adapter_emit_data(data)


class Connection:
    """One connection, open from `open` on; `ended` says why once it cannot be used any more."""

    def __init__(self, raw: AsyncioConnection) -> None:
        self.raw = raw
        self.loop = asyncio.get_running_loop()
        self.over: asyncio.Future[str] = self.loop.create_future()
        self.closed: asyncio.Future[None] = self.loop.create_future()
        self.blocked = ""
        raw.add_on_connection_blocked_callback(self._block)
        raw.add_on_connection_unblocked_callback(self._unblock)

    @classmethod
    async def open(cls, parameters: pika.connection.Parameters) -> Connection:
        """Raises `Lost`, saying why: nothing listens, wrong credentials, no such virtual host…"""
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[AsyncioConnection] = loop.create_future()
        connections: list[Connection] = []

        def done(result: Any) -> None:
            if opened.done():
                return
            if isinstance(result, BaseException):
                opened.set_exception(Lost(told(result)))
            else:
                opened.set_result(result)

        def closed(_: Any, reason: Exception) -> None:
            for connection in connections:
                connection.end(told(reason))
                connection.closed.set_result(None)

        _Corked(
            parameters,
            on_open_callback=done,
            on_open_error_callback=lambda _, error: done(error),
            on_close_callback=closed,
            custom_ioloop=loop,
        )
        connection = cls(await opened)
        connections.append(connection)
        return connection

    def _block(self, _: Any, frame: Any) -> None:
        self.blocked = frame.method.reason or "an alarm"

    def _unblock(self, *_: Any) -> None:
        self.blocked = ""

    async def channel(self) -> Channel:
        """Raises `Lost`."""
        if self.over.done():
            raise Lost(self.over.result())
        opened: asyncio.Future[Any] = self.loop.create_future()
        try:
            raw = self.raw.channel(on_open_callback=opened.set_result)
            await answered(opened, self.raw)
        except AMQPError as error:
            raise Lost(told(error)) from error
        return Channel(raw, self.end)

    def end(self, reason: str) -> None:
        """Give the connection up; a broker that does not answer is left to the heartbeat."""
        if not self.over.done():
            self.over.set_result(reason)
            if self.raw.is_open:
                self.loop.call_soon(partial(_close, self.raw))


def _answer(question: asyncio.Future[Any], frame: Any) -> None:
    if not question.done():
        question.set_result(frame)


async def answered(question: asyncio.Future[Any], raw: AsyncioConnection) -> Any:
    """The answer, however long it takes while the broker says anything. Raises `Lost` once it is silent."""
    heard = -1
    while not question.done():
        if raw.bytes_received == heard or raw.is_closed:
            raise Lost(f"the broker has said nothing for {SILENCE_S:g} s")
        heard = raw.bytes_received
        await asyncio.wait((question,), timeout=SILENCE_S)
    return question.result()


def _close(raw: AsyncioConnection) -> None:
    if raw.is_open:
        raw.close()


def parameters(url: str, name: str) -> pika.URLParameters:
    """What pika needs to connect, with our limits of time."""
    found = pika.URLParameters(url)
    found.heartbeat = HEARTBEAT_S
    found.socket_timeout = HANDSHAKE_S
    found.stack_timeout = HANDSHAKE_S
    found.connection_attempts = 1
    found.client_properties = {"connection_name": name}
    return found


def address(found: pika.URLParameters) -> str:
    """The broker as it may be told: without credentials."""
    return f"amqp{'s' if found.ssl_options else ''}://{found.host}:{found.port}/{found.virtual_host}"


def told(error: BaseException) -> str:
    """What went wrong, in a few words, from pika's nested errors."""
    inner: BaseException = error
    while True:
        nested = getattr(inner, "exceptions", None) or getattr(inner, "exception", None) or inner.args[:1]
        candidate = nested[-1] if isinstance(nested, list | tuple) and nested else nested
        if not isinstance(candidate, BaseException):
            break
        inner = candidate
    text = getattr(inner, "reply_text", None) or str(inner) or type(inner).__name__
    return _PLAINER.get(type(inner).__name__, text)


_PLAINER: Mapping[str, str] = {
    "ProbableAuthenticationError": "the broker refuses the user or the password",
    "AuthenticationError": "the broker refuses the user or the password",
    "ConnectionRefusedError": "nothing listens there",
    "AMQPHeartbeatTimeout": "the broker has fallen silent",
    "StreamLostError": "the connection was lost",
    "ConnectionResetError": "the connection was lost",
}
