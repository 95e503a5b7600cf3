"""Short looks at streams: the last message, all of a small one, or some by their offsets."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from tillstream.log.rabbitmq.connection import Connection, Lost

OFFSET = "x-stream-offset"
PREFETCH = 1_000
SPAN = 200
"""Offsets that stand closer together are read in one go."""

_AT_ONCE = 16
_LOOKS = 5


class Delivery(NamedTuple):
    """One message of a stream, as pika hands it over."""

    offset: int
    method: Any
    properties: Any
    body: bytes


def delivery(method: Any, properties: Any, body: bytes) -> Delivery:
    return Delivery(int(properties.headers[OFFSET]), method, properties, body)


class StreamReader:
    """Looks at streams over channels of its own; every method raises `Lost`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def last(self, stream: str) -> Delivery | None:
        """Its last message, None where it has none."""
        for _ in range(_LOOKS):
            newest: deque[Delivery] = deque(maxlen=1)
            await self._read(stream, "last", PREFETCH, newest.append)
            if newest:
                return newest[0]
            # While it begins a segment the broker finds no last message, however many there are.
            if not await self._has_any(stream):
                return None
        raise Lost(f"the broker finds messages in {stream}, and no last one among them")

    async def _has_any(self, stream: str) -> bool:
        found: list[Delivery] = []
        await self._read(stream, "first", 1, found.append, lambda: True)
        return bool(found)

    async def all(self, stream: str) -> list[Delivery]:
        found: list[Delivery] = []
        await self._read(stream, "first", PREFETCH, found.append)
        return found

    async def at(self, stream: str, offsets: Sequence[int]) -> dict[int, Delivery]:
        """The messages at these offsets; those that there are not are left out."""
        found = await self._at(stream, offsets)
        if missing := set(offsets) - found.keys():
            # A consumer that attaches while the broker begins a segment may land behind what there is.
            found |= await self._at(stream, missing)
        return found

    async def _at(self, stream: str, offsets: Collection[int]) -> dict[int, Delivery]:
        wanted = sorted(set(offsets))
        spans: list[list[int]] = []
        for offset in wanted:
            if spans and offset - spans[-1][-1] <= SPAN:
                spans[-1].append(offset)
            else:
                spans.append([offset])
        found: dict[int, Delivery] = {}
        for part in await asyncio.gather(*(self._span(stream, span) for span in spans)):
            found.update(part)
        return found

    async def _span(self, stream: str, wanted: Sequence[int]) -> dict[int, Delivery]:
        found: dict[int, Delivery] = {}
        reached = wanted[0] - 1
        chosen = frozenset(wanted)

        def keep(each: Delivery) -> None:
            nonlocal reached
            reached = each.offset
            if reached in chosen:
                found[reached] = each

        prefetch = min(wanted[-1] - wanted[0] + 1, PREFETCH)
        await self._read(stream, wanted[0], prefetch, keep, lambda: reached >= wanted[-1])
        return found

    async def _read(
        self,
        stream: str,
        offset: str | int,
        prefetch: int,
        keep: Callable[[Delivery], None],
        enough: Callable[[], bool] = lambda: False,
    ) -> None:
        """Read until the stream has no more, or enough was read."""
        count = 0

        def deliver(method: Any, properties: Any, body: bytes) -> None:
            nonlocal count
            count += 1
            keep(delivery(method, properties, body))

        async with self._places:
            channel = await self._connection.channel()
            try:
                await channel.consume(stream, prefetch, offset, deliver)
                before = 0
                # With less than it may send ahead the broker has sent all; with more, it waits for the receipt.
                while count - before >= prefetch and not enough():
                    before = count
                    channel.raw.basic_ack(0, multiple=True)
                    await channel.barrier(prefetch)
            finally:
                channel.close()
