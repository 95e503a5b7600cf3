"""Publish to, look up and follow the streams of one connection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

from tillstream.log.rabbitmq.connection import BrokerBlocked, Channel, Connection, ConnectionLost, reason_of
from tillstream.log.rabbitmq.messages import Message

MAX_UNCONFIRMED = 2_000
CONFIRM_TIMEOUT_S = 1.0
"""The longest time without a confirm from the broker while a publisher waits for one."""

LOOKUP_PREFETCH = 1_000
FOLLOW_PREFETCH = 2_000
"""The number of messages that the broker sends ahead for one stream; no more are buffered."""

MAX_SPAN_GAP = 200
"""Two offsets at most this far apart are looked up with one consumer."""

_OFFSET_HEADER = "x-stream-offset"
_MESSAGES_PER_TURN = 250
_CONCURRENT_LOOKUPS = 16
_LAST_ATTEMPTS = 5


class Publisher:
    """Publishes with confirms, with up to `MAX_UNCONFIRMED` messages in flight."""

    def __init__(self, connection: Connection, channel: Channel) -> None:
        self._connection = connection
        self._channel = channel
        self._raw = channel.raw
        self._published = 0
        self._confirmed = 0
        self._confirmed_out_of_order: set[int] = set()
        self._refusal = ""
        self._changed = asyncio.Event()
        self._lock = asyncio.Lock()
        self._raw.add_on_return_callback(self._on_return)
        self._raw.add_on_close_callback(lambda *_: self._changed.set())
        connection.raw.add_on_connection_blocked_callback(lambda *_: self._changed.set())
        connection.ended.add_done_callback(lambda _: self._changed.set())

    @classmethod
    async def open(cls, connection: Connection) -> Publisher:
        """Raises `ConnectionLost`."""
        channel = await connection.channel()
        publisher = cls(connection, channel)
        await channel.request(channel.raw.confirm_delivery, publisher._on_confirm)
        return publisher

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        if method.NAME == "Basic.Nack":
            self._refusal = "the broker could not store it"
        if method.multiple:
            self._confirmed = max(self._confirmed, method.delivery_tag)
            self._confirmed_out_of_order = {tag for tag in self._confirmed_out_of_order if tag > self._confirmed}
        else:
            self._confirmed_out_of_order.add(method.delivery_tag)
        while self._confirmed + 1 in self._confirmed_out_of_order:
            self._confirmed += 1
            self._confirmed_out_of_order.remove(self._confirmed)
        self._changed.set()

    def _on_return(self, _: Any, method: Any, __: Any, ___: bytes) -> None:
        self._refusal = f"exchange {method.exchange} leads to no stream: {method.reply_text}"

    async def publish(self, messages: Iterable[Message]) -> None:
        """Publish the messages and wait for all confirms.

        Raises `BrokerBlocked` or `ConnectionLost`; then each message may or may not be in its stream.
        """
        async with self._lock:
            for count, message in enumerate(messages, 1):
                if self._published - self._confirmed >= MAX_UNCONFIRMED:
                    await self._wait_for_confirms(self._published - MAX_UNCONFIRMED // 2)
                self.check()
                self._raw.basic_publish(
                    message.exchange, message.routing_key, message.body, message.properties, mandatory=message.mandatory
                )
                self._published += 1
                if not count % _MESSAGES_PER_TURN:
                    # Let the loop send these messages and receive confirms.
                    await asyncio.sleep(0)
            await self._wait_for_confirms(self._published)
            if self._refusal:
                raise ConnectionLost(self._refusal)

    async def _wait_for_confirms(self, upto_tag: int) -> None:
        while self._confirmed < upto_tag:
            self.check()
            before = self._confirmed
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), CONFIRM_TIMEOUT_S)
            except TimeoutError:
                if self._confirmed == before:
                    raise ConnectionLost(f"the broker has confirmed nothing for {CONFIRM_TIMEOUT_S:g} s") from None

    def check(self) -> None:
        """Raises `BrokerBlocked` or `ConnectionLost` if nothing can be published now."""
        if self._connection.ended.done():
            raise ConnectionLost(self._connection.ended.result())
        if self._channel.close_reason is not None:
            raise ConnectionLost(reason_of(self._channel.close_reason))
        if self._connection.blocked_reason:
            raise BrokerBlocked(f"the broker accepts nothing for now: {self._connection.blocked_reason}")


class Delivery(NamedTuple):
    """A message of a stream with pika's method and properties."""

    offset: int
    method: Any
    properties: Any
    body: bytes

    @classmethod
    def of(cls, method: Any, properties: Any, body: bytes) -> Delivery:
        return cls(int(properties.headers[_OFFSET_HEADER]), method, properties, body)


class StreamReader:
    """Looks up messages with short-lived consumers. Every method raises `ConnectionLost`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._limit = asyncio.Semaphore(_CONCURRENT_LOOKUPS)

    async def read_last(self, stream: str) -> Delivery | None:
        """The last message; None if the stream is empty."""
        for _ in range(_LAST_ATTEMPTS):
            newest: deque[Delivery] = deque(maxlen=1)
            await self._read(stream, "last", LOOKUP_PREFETCH, newest.append)
            if newest:
                return newest[0]
            # The broker finds no last message while it starts a segment, even if there are others.
            if not await self._has_any(stream):
                return None
        raise ConnectionLost(f"the broker finds messages in {stream}, but no last one")

    async def _has_any(self, stream: str) -> bool:
        found: list[Delivery] = []
        await self._read(stream, "first", 1, found.append, lambda: True)
        return bool(found)

    async def read_all(self, stream: str) -> list[Delivery]:
        found: list[Delivery] = []
        await self._read(stream, "first", LOOKUP_PREFETCH, found.append)
        return found

    async def read_at(self, stream: str, offsets: Sequence[int]) -> dict[int, Delivery]:
        """The messages by offset; offsets without a message are left out."""
        found = await self._read_spans(stream, offsets)
        if missing := set(offsets) - found.keys():
            # A consumer that attaches while the broker starts a segment may skip messages.
            found |= await self._read_spans(stream, missing)
        return found

    async def _read_spans(self, stream: str, offsets: Collection[int]) -> dict[int, Delivery]:
        spans: list[list[int]] = []
        for offset in sorted(set(offsets)):
            if spans and offset - spans[-1][-1] <= MAX_SPAN_GAP:
                spans[-1].append(offset)
            else:
                spans.append([offset])
        found: dict[int, Delivery] = {}
        for part in await asyncio.gather(*(self._read_span(stream, span) for span in spans)):
            found.update(part)
        return found

    async def _read_span(self, stream: str, wanted: Sequence[int]) -> dict[int, Delivery]:
        found: dict[int, Delivery] = {}
        last_read = wanted[0] - 1
        chosen = frozenset(wanted)

        def collect(delivery: Delivery) -> None:
            nonlocal last_read
            last_read = delivery.offset
            if last_read in chosen:
                found[last_read] = delivery

        prefetch = min(wanted[-1] - wanted[0] + 1, LOOKUP_PREFETCH)
        await self._read(stream, wanted[0], prefetch, collect, lambda: last_read >= wanted[-1])
        return found

    async def _read(
        self,
        stream: str,
        offset: str | int,
        prefetch: int,
        collect: Callable[[Delivery], None],
        enough: Callable[[], bool] = lambda: False,
    ) -> None:
        """Read until the end of the stream, or until `enough` is true."""
        count = 0

        def deliver(method: Any, properties: Any, body: bytes) -> None:
            nonlocal count
            count += 1
            collect(Delivery.of(method, properties, body))

        async with self._limit:
            channel = await self._connection.channel()
            try:
                await channel.consume(stream, prefetch, offset, deliver)
                before = 0
                # Fewer messages than the prefetch mean the end of the stream; otherwise the broker waits for an ack.
                while count - before >= prefetch and not enough():
                    before = count
                    channel.raw.basic_ack(0, multiple=True)
                    await channel.barrier(prefetch)
            finally:
                channel.close()


class StreamConsumer:
    """Follows one stream; `ready` holds the messages that were received and not yet taken with `pop`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel: Channel | None = None
        self._stream = ""
        self._next = 0
        self._acknowledged = False
        self._first_after_gap = ("", 0)
        self.ready: deque[Delivery] = deque()

    async def seek(self, stream: str, offset: int) -> None:
        """Fill `ready` with the messages from an offset on. Raises `ConnectionLost`.

        If no message was sent ahead, a new consumer is attached, so that every confirmed message is
        seen. A gap before the first message counts only if two consumers in a row find the same one:
        a consumer that attaches while the broker starts a segment may skip messages.
        """
        await self._follow(stream, offset)
        while self.ready and self.ready[0].offset != offset and (stream, self.ready[0].offset) != self._first_after_gap:
            self._first_after_gap = stream, self.ready[0].offset
            await self._attach(stream, offset)

    async def _follow(self, stream: str, offset: int) -> None:
        if self._channel is not None and stream == self._stream and offset == self._next:
            if not self.ready and self._acknowledged:
                # The broker may be sending more since the last acknowledgement.
                await self._channel.barrier(FOLLOW_PREFETCH)
                self._acknowledged = False
            if self.ready:
                return
        await self._attach(stream, offset)

    async def _attach(self, stream: str, offset: int) -> None:
        if self._channel is not None:
            self._channel.close()
        # The old consumer may still receive messages; they go to the old deque.
        ready: deque[Delivery] = deque()
        self.ready = ready
        self._stream, self._next = stream, offset
        self._channel = await self._connection.channel()
        await self._channel.consume(
            stream, FOLLOW_PREFETCH, offset, lambda *message: ready.append(Delivery.of(*message))
        )

    def pop(self, count: int) -> list[Delivery]:
        """Take the next messages, and acknowledge them so that the broker sends more."""
        taken = [self.ready.popleft() for _ in range(min(count, len(self.ready)))]
        if taken and self._channel is not None:
            self._next, self._acknowledged = taken[-1].offset + 1, True
            self._channel.raw.basic_ack(taken[-1].method.delivery_tag, multiple=True)
        return taken
