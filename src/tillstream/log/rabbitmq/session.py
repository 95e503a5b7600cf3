"""What the log does over one connection, from its declarations to its last message."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import structlog
from pika import BasicProperties

from tillstream.config.settings import Settings
from tillstream.log.base import Position
from tillstream.log.rabbitmq import topology
from tillstream.log.rabbitmq.confirms import ConfirmWindow
from tillstream.log.rabbitmq.connection import Channel, Connection
from tillstream.log.rabbitmq.consumer import StreamConsumer
from tillstream.log.rabbitmq.messages import JSON, PERSISTENT, Message
from tillstream.log.rabbitmq.progress import Progress, offset_of, position_of
from tillstream.log.rabbitmq.stream_reader import Delivery, StreamReader
from tillstream.log.rabbitmq.topology import Directory, Exchange, Generation

_WEIGHT = "1"
_STEP_BYTES = 16 * 1024 * 1024

_logger = structlog.get_logger()


class Run(NamedTuple):
    """What came of one stream: where its offsets begin in the log, messages in order, and up to where
    records are missing in front of the next stream (None: nowhere)."""

    generation: Generation
    deliveries: Sequence[Delivery]
    missing_upto: int | None = None


class Session:
    """Made by `begin`, which puts everything on the broker in order first. For the link's thread."""

    def __init__(self, connection: Connection, settings: Settings, window: ConfirmWindow) -> None:
        self._connection = connection
        self._settings = settings
        self.window = window
        self.peek = StreamReader(connection)
        self.directory = Directory()
        self._told = Progress()
        self._tails: dict[int, StreamConsumer] = {}
        self._reading = asyncio.Lock()
        self._telling = asyncio.Lock()

    @classmethod
    async def begin(cls, connection: Connection, settings: Settings, known: Progress) -> Session:
        """Declare what is missing, give streams that lost their end a follower, and open `receipts` last.

        `known` is what this process knows of the engine's reach, should the broker have lost it.
        """
        session = cls(connection, settings, await ConfirmWindow.open(connection))
        session._told = known
        channel = await connection.channel()
        for exchange in topology.BEHIND:
            await _declare(channel, exchange)
        bind = channel.raw.exchange_bind
        marked = {"x-match": "all", topology.COPY: True}
        await channel.ask(bind, topology.COPIES, topology.SIFT, arguments=marked)
        for stream, arguments in topology.control_streams().items():
            await channel.ask(channel.raw.queue_declare, stream, durable=True, arguments=arguments)
        # The list is read behind the progress: so it has every stream that the progress may speak of.
        await session.progress()
        for each in await session.peek.all(topology.STREAMS):
            session._learn(each.body)
        wanted = topology.numbers(settings)
        reached = range(topology.ASIDE_NUMBER, len(session._told.reach.offsets) + 1)
        made = False
        for number in sorted({*wanted, *reached, *session.directory.numbers}):
            made |= await session._put_in_order(number, wanted=number in wanted)
        if made:
            await asyncio.sleep(topology.SETTLE_S)
        for exchange in topology.PUBLIC:
            await _declare(channel, exchange)
        await channel.ask(bind, topology.SIFT, topology.RECEIPTS)
        return session

    def _learn(self, text: bytes) -> None:
        try:
            self.directory.add(text)
        except (ValueError, KeyError) as error:
            _logger.error("stream_list_entry_unreadable", stream=topology.STREAMS, error=str(error))

    async def _put_in_order(self, number: int, *, wanted: bool) -> bool:
        """Whether a stream had to be made."""
        generation = self.directory.current(number)
        channel = await self._connection.channel()
        exists = await channel.has_queue(generation.name)
        last = await self.peek.last(generation.name) if exists else None
        end = generation.after if last is None else generation.log_offset(last.offset)
        reach = offset_of(self._told.reach, number)
        if not exists:
            channel = await self._connection.channel()
        exchange = topology.ASIDE if number == topology.ASIDE_NUMBER else topology.SPREAD
        if end < reach:
            follower = Generation(number, reach)
            _logger.error(
                "stream_ends_behind_engine",
                stream=generation.name,
                end=end,
                engine=reach,
                hint=f"it lost records or was deleted; the log goes on in {follower.name}",
            )
            if exists:
                await channel.ask(channel.raw.queue_unbind, generation.name, exchange, _WEIGHT)
            await self._tell(topology.STREAMS, topology.followed(follower))
            self.directory.follow(follower)
            generation, exists = follower, await channel.has_queue(follower.name)
            if not exists:
                channel = await self._connection.channel()
        made = not exists and wanted
        if made:
            if number not in self.directory.numbers:
                # A later setting may name fewer streams; this one is to be read nevertheless.
                await self._tell(topology.STREAMS, topology.followed(generation))
                self.directory.follow(generation)
            arguments = topology.stream_arguments(self._settings)
            await channel.ask(channel.raw.queue_declare, generation.name, durable=True, arguments=arguments)
        if wanted:
            await channel.ask(channel.raw.queue_bind, generation.name, exchange, _WEIGHT)
        channel.close()
        return made

    async def _tell(self, stream: str, text: bytes) -> None:
        properties = BasicProperties(JSON, delivery_mode=PERSISTENT)
        await self.window.publish([Message("", stream, properties, text, True)])

    # -- what the log asks

    async def append(self, messages: Iterable[Message]) -> None:
        await self.window.publish(messages)

    async def end(self) -> Position:
        """Behind the last message of every stream."""
        numbers = sorted({*topology.numbers(self._settings), *self.directory.numbers})
        ends = dict(zip(numbers, await asyncio.gather(*map(self._end_of, numbers)), strict=True))
        return position_of(ends.get(number, -1) for number in range(1, max(ends) + 1))

    async def lag(self) -> dict[int, int]:
        """How many records of each stream the engine has not committed."""
        end, progress = await asyncio.gather(self.end(), self.progress())
        behind = {}
        for number, last in enumerate(end.offsets, 1):
            committed = offset_of(progress.committed, number)
            holes = self.directory.holes(number, last) - self.directory.holes(number, committed)
            behind[number] = max(0, last - committed - holes)
        return behind

    async def probe(self) -> None:
        """Raises `Lost` or `Blocked` where nothing can be appended now."""
        self.window.check()
        await self.progress()

    async def _end_of(self, number: int) -> int:
        generation = self.directory.current(number)
        last = await self.peek.last(generation.name)
        return generation.after if last is None else generation.log_offset(last.offset)

    async def progress(self) -> Progress:
        """What the engine told last."""
        last = await self.peek.last(topology.PROGRESS)
        if last is not None:
            try:
                self._told = Progress.decode(last.body).beside(self._told)
            except ValueError as error:
                _logger.error("progress_unreadable", stream=topology.PROGRESS, error=str(error))
        return self._told

    async def tell(self, position: Position, *, committed: bool) -> Progress:
        """Make the engine's progress known, durably."""
        async with self._telling:
            told = self._told.told(position, committed=committed)
            await self._tell(topology.PROGRESS, told.encode())
            self._told = told
        return told

    async def note_holes(self, holes: Sequence[tuple[int, int]]) -> None:
        """Make known which offsets, by number, are no records."""
        for number, offset in holes:
            if not self.directory.is_hole(number, offset):
                text = topology.hole(number, offset)
                await self._tell(topology.STREAMS, text)
                self.directory.add(text)

    async def read(self, after: Position, limit: int, reader: int = 0, readers: int = 1) -> list[Run]:
        """What stands behind the position, some of every stream that has any, `limit` messages or a few more.

        Of so many readers each takes its share of the streams.
        """
        async with self._reading:
            known = sorted({*topology.numbers(self._settings), *self.directory.numbers})
            # By its number, which every reader sees alike: no stream may be read twice.
            numbers = [number for number in known if number % readers == reader]
            runs = await asyncio.gather(*(self._seek(number, offset_of(after, number)) for number in numbers))
            full = {number: run for number, run in zip(numbers, runs, strict=True) if self._tails[number].ready}
            share = -(-limit // len(full)) if full else 0
            # A record waits for nobody: what one stream lacks of its share, the next step reads of the others.
            taken = {number: self._take(self._tails[number], share) for number in full}
            return [run._replace(deliveries=taken.get(number, ())) for number, run in zip(numbers, runs, strict=True)]

    async def _seek(self, number: int, after: int) -> Run:
        generation, following = self.directory.of(number, after + 1)
        tail = self._tails.setdefault(number, StreamConsumer(self._connection))
        exists = following is None or await self._exists(generation)
        if exists:
            await tail.seek(generation.name, generation.stream_offset(after + 1))
        else:
            tail.ready = deque()
        missing = following.after if following is not None and not tail.ready and following.after > after else None
        return Run(generation, (), missing)

    async def _exists(self, generation: Generation) -> bool:
        channel = await self._connection.channel()
        exists = await channel.has_queue(generation.name)
        if exists:
            channel.close()
        return exists

    def _take(self, tail: StreamConsumer, share: int) -> list[Delivery]:
        """So many messages, and what else there is of the batch that the last of them belongs to."""
        count = size = 0
        group = None
        for each in tail.ready:
            belongs = count < share or (group is not None and each.properties.message_id == group)
            if not belongs or size >= _STEP_BYTES:
                break
            count, size, group = count + 1, size + len(each.body), each.properties.message_id
        return tail.take(count)

    async def fetch(self, wanted: Mapping[int, Sequence[int]]) -> dict[tuple[int, int], Delivery]:
        """The messages at these offsets of the log, by number and offset."""
        found: dict[tuple[int, int], Delivery] = {}
        for number, offsets in wanted.items():
            by_stream: dict[Generation, list[int]] = {}
            for offset in offsets:
                by_stream.setdefault(self.directory.of(number, offset)[0], []).append(offset)
            for generation, some in by_stream.items():
                if generation != self.directory.current(number) and not await self._exists(generation):
                    continue
                came = await self.peek.at(generation.name, [generation.stream_offset(offset) for offset in some])
                found |= {(number, generation.log_offset(offset)): each for offset, each in came.items()}
        return found

    async def watch(self) -> None:
        """Notice at once where a stream that records go to is deleted."""
        channel = await self._connection.channel()
        for number in topology.numbers(self._settings):
            await channel.consume(self.directory.current(number).name, 1, "next", lambda *_: None)


async def _declare(channel: Channel, exchange: Exchange) -> None:
    await channel.ask(
        channel.raw.exchange_declare,
        exchange.name,
        exchange.kind,
        durable=exchange.durable,
        internal=exchange.internal,
        arguments=exchange.arguments or None,
    )
