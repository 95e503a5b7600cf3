"""Publishes messages on one connection, looks up messages by offset, and follows streams."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from tillstream.log.rabbitmq.connection import BrokerBlocked, Channel, Connection, ConnectionLost
from tillstream.log.rabbitmq.messages import Message

MAX_UNCONFIRMED = 2_000
CONFIRM_TIMEOUT_S = 1.0
"""The maximum time that a publisher waits for the next confirm: the broker's notice that it has stored messages."""

LOOKUP_PREFETCH = 1_000
FOLLOW_PREFETCH = 2_000
"""The maximum number of unacknowledged messages that the broker sends to a `StreamConsumer`."""

MAX_SPAN_GAP = 200
"""If two successive wanted offsets differ by more than this, separate consumers look them up."""

_OFFSET_HEADER = "x-stream-offset"
_MESSAGES_PER_TURN = 250
_CONCURRENT_LOOKUPS = 16
_LAST_ATTEMPTS = 5


class Publisher:
    """Publishes messages and waits for their confirms. At most `MAX_UNCONFIRMED` messages wait for a confirm."""

    def __init__(self, connection: Connection, channel: Channel) -> None:
        self._connection = connection
        self._raw = channel.raw
        self._last_tag = 0
        self._unconfirmed: set[int] = set()
        self._refusal = ""
        self._changed = asyncio.Event()
        self._lock = asyncio.Lock()
        self._raw.add_on_return_callback(self._on_return)
        connection.raw.add_on_connection_blocked_callback(lambda *_: self._changed.set())
        connection.ended.add_done_callback(lambda _: self._changed.set())

    @classmethod
    async def open(cls, connection: Connection) -> Publisher:
        """Open a publisher with a channel of its own. Raises `ConnectionLost`."""
        channel = await connection.channel()
        publisher = cls(connection, channel)
        await channel.request(channel.raw.confirm_delivery, publisher._on_confirm)
        return publisher

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        if method.NAME == "Basic.Nack":
            self._refusal = "the broker could not store it"
        if method.multiple:
            self._unconfirmed = {tag for tag in self._unconfirmed if tag > method.delivery_tag}
        else:
            self._unconfirmed.discard(method.delivery_tag)
        self._changed.set()

    def _on_return(self, _: Any, method: Any, __: Any, ___: bytes) -> None:
        self._refusal = f"exchange {method.exchange} leads to no stream: {method.reply_text}"

    async def publish(self, messages: Iterable[Message]) -> None:
        """Publish the messages and wait for all confirms.

        Raises `BrokerBlocked` or `ConnectionLost`. After such an error, each message may or may not be in its stream.
        """
        async with self._lock:
            for count, message in enumerate(messages, 1):
                if len(self._unconfirmed) >= MAX_UNCONFIRMED:
                    await self._wait_for_confirms(MAX_UNCONFIRMED // 2)
                self.check()
                self._last_tag += 1
                self._unconfirmed.add(self._last_tag)
                self._raw.basic_publish(
                    message.exchange, message.routing_key, message.body, message.properties, mandatory=message.mandatory
                )
                if not count % _MESSAGES_PER_TURN:
                    # Let the event loop send these messages and receive confirms.
                    await asyncio.sleep(0)
            await self._wait_for_confirms(0)
            if self._refusal:
                raise ConnectionLost(self._refusal)

    async def _wait_for_confirms(self, remaining: int) -> None:
        """Wait until at most `remaining` messages are unconfirmed."""
        while len(self._unconfirmed) > remaining:
            self.check()
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), CONFIRM_TIMEOUT_S)
            except TimeoutError:
                raise ConnectionLost(f"the broker has confirmed nothing for {CONFIRM_TIMEOUT_S:g} s") from None

    def check(self) -> None:
        """Raise `BrokerBlocked` or `ConnectionLost` if nothing can be published now."""
        if self._connection.ended.done():
            raise ConnectionLost(self._connection.ended.result())
        if self._connection.blocked_reason:
            raise BrokerBlocked(f"the broker accepts nothing for now: {self._connection.blocked_reason}")


class Delivery(NamedTuple):
    """A message of a stream. `method` and `properties` come from pika."""

    offset: int
    method: Any
    properties: Any
    body: bytes

    @classmethod
    def of(cls, method: Any, properties: Any, body: bytes) -> Delivery:
        return cls(int(properties.headers[_OFFSET_HEADER]), method, properties, body)


class StreamReader:
    """Looks up messages with temporary consumers. Every method can raise `ConnectionLost` or `AMQPError`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._limit = asyncio.Semaphore(_CONCURRENT_LOOKUPS)

    async def read_last(self, stream: str) -> Delivery | None:
        """Return the last message of a stream, or None if the stream is empty."""
        for _ in range(_LAST_ATTEMPTS):
            if newest := await self._read(stream, "last", LOOKUP_PREFETCH):
                return newest[-1]
            # While the broker starts a new segment (file), it may return no last message, even if the stream has
            # messages. Therefore look for a first message before the stream counts as empty.
            if not await self._read(stream, "first", 1, until=0):
                return None
        raise ConnectionLost(f"the broker finds messages in {stream}, but no last one")

    async def read_all(self, stream: str) -> list[Delivery]:
        """Return all messages of a stream in order."""
        return await self._read(stream, "first", LOOKUP_PREFETCH)

    async def read_at(self, stream: str, offsets: Sequence[int]) -> dict[int, Delivery]:
        """Return the messages by offset. Missing messages are left out."""
        found = await self._read_spans(stream, offsets)
        if missing := set(offsets) - found.keys():
            # While the broker starts a new segment (file), a new consumer may skip messages. Therefore try again once.
            found |= await self._read_spans(stream, missing)
        return found

    async def _read_spans(self, stream: str, offsets: Collection[int]) -> dict[int, Delivery]:
        spans: list[list[int]] = []
        for offset in sorted(set(offsets)):
            if spans and offset - spans[-1][-1] <= MAX_SPAN_GAP:
                spans[-1].append(offset)
            else:
                spans.append([offset])
        reads = [
            self._read(stream, span[0], min(span[-1] - span[0] + 1, LOOKUP_PREFETCH), until=span[-1]) for span in spans
        ]
        wanted = set(offsets)
        return {each.offset: each for found in await asyncio.gather(*reads) for each in found if each.offset in wanted}

    async def _read(self, stream: str, offset: str | int, prefetch: int, until: int | None = None) -> list[Delivery]:
        """Read messages from `offset` to the end of the stream, or until a message has the offset `until` or more."""
        found: list[Delivery] = []
        async with self._limit:
            channel = await self._connection.channel()
            try:
                await channel.consume(stream, prefetch, offset, lambda *message: found.append(Delivery.of(*message)))
                before = 0
                # If the broker sent fewer messages than the prefetch, the stream contains no more messages.
                while len(found) - before >= prefetch and (until is None or found[-1].offset < until):
                    before = len(found)
                    channel.raw.basic_ack(0, multiple=True)
                    await channel.barrier(prefetch)
            finally:
                channel.close()
        return found


class StreamConsumer:
    """Follows one stream. `ready` contains the received messages that `pop` has not returned yet."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel: Channel | None = None
        self._stream = ""
        self._next = 0
        self._first_after_gap = ("", 0)
        self.ready: deque[Delivery] = deque()

    async def seek(self, stream: str, offset: int) -> None:
        """Fill `ready` with the messages from an offset. Raises `ConnectionLost` or `AMQPError`.

        A consumer may not have received the newest confirmed messages yet. A new consumer receives all of them, so it
        replaces a consumer that has received nothing. There is one exception: while the broker starts a new segment
        (file) of the stream, a new consumer may skip messages. Therefore, if the first message does not have the
        requested offset, this method attaches new consumers until two in a row have received the same first message.
        """
        await self._follow(stream, offset)
        while self.ready and self.ready[0].offset != offset and (stream, self.ready[0].offset) != self._first_after_gap:
            self._first_after_gap = stream, self.ready[0].offset
            await self._attach(stream, offset)

    async def _follow(self, stream: str, offset: int) -> None:
        if self._channel is not None and stream == self._stream and offset == self._next:
            if not self.ready:
                # Receive what the broker has sent since the last acknowledgement.
                await self._channel.barrier(FOLLOW_PREFETCH)
            if self.ready:
                return
        await self._attach(stream, offset)

    async def _attach(self, stream: str, offset: int) -> None:
        if self._channel is not None:
            self._channel.close()
        # The old consumer may still receive messages. It must not add them to the new list.
        self.ready = ready = deque[Delivery]()
        self._stream, self._next = stream, offset
        self._channel = await self._connection.channel()
        await self._channel.consume(
            stream, FOLLOW_PREFETCH, offset, lambda *message: ready.append(Delivery.of(*message))
        )

    def pop(self, count: int) -> list[Delivery]:
        """Return at most `count` messages, and acknowledge them. The broker then sends more messages."""
        popped = [self.ready.popleft() for _ in range(min(count, len(self.ready)))]
        if popped and self._channel is not None:
            self._next = popped[-1].offset + 1
            self._channel.raw.basic_ack(popped[-1].method.delivery_tag, multiple=True)
        return popped
