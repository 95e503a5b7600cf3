"""A reader's place in one stream, with what the broker has sent ahead of it."""

from __future__ import annotations

from collections import deque

from tillstream.log.rabbitmq.connection import Channel, Connection
from tillstream.log.rabbitmq.stream_reader import Delivery, delivery

PREFETCH = 2_000
"""Messages that the broker may send ahead; so many of a stream are held at most."""


class StreamConsumer:
    """Follows one stream from wherever it is asked to; `ready` holds what came and was not taken yet."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel: Channel | None = None
        self._stream = ""
        self._next = 0
        self._moved = False
        self._doubted = ("", 0)
        self.ready: deque[Delivery] = deque()

    async def seek(self, stream: str, offset: int) -> None:
        """Have ready what there is from this offset on. Raises `Lost`.

        Where nothing has come ahead it asks anew, so that what was confirmed before is seen for sure.
        What seems to be missing in front is believed once two consumers have found the same: one that
        attaches while the broker begins a segment may land behind what there is.
        """
        await self._follow(stream, offset)
        while self.ready and self.ready[0].offset != offset and (stream, self.ready[0].offset) != self._doubted:
            self._doubted = stream, self.ready[0].offset
            await self._attach(stream, offset)

    async def _follow(self, stream: str, offset: int) -> None:
        if self._channel is not None and stream == self._stream and offset == self._next:
            if not self.ready and self._moved:
                # More may be under way since the last was taken.
                await self._channel.barrier(PREFETCH)
                self._moved = False
            if self.ready:
                return
        await self._attach(stream, offset)

    async def _attach(self, stream: str, offset: int) -> None:
        if self._channel is not None:
            self._channel.close()
        # What is still under way to a former consumer finds a queue that nobody reads.
        ready: deque[Delivery] = deque()
        self.ready = ready
        self._stream, self._next = stream, offset
        self._channel = await self._connection.channel()
        await self._channel.consume(stream, PREFETCH, offset, lambda *message: ready.append(delivery(*message)))

    def take(self, count: int) -> list[Delivery]:
        """The next messages, and let the broker send more."""
        taken = [self.ready.popleft() for _ in range(min(count, len(self.ready)))]
        if taken and self._channel is not None:
            self._next, self._moved = taken[-1].offset + 1, True
            self._channel.raw.basic_ack(taken[-1].method.delivery_tag, multiple=True)
        return taken
