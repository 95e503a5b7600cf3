"""The operations of the log on one connection: declare streams, read messages, and publish the engine's progress."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import msgspec
import structlog
from pika import BasicProperties

from tillstream.config.settings import Settings
from tillstream.log.base import Position
from tillstream.log.rabbitmq import topology
from tillstream.log.rabbitmq.connection import Connection
from tillstream.log.rabbitmq.messages import JSON, PERSISTENT, Message
from tillstream.log.rabbitmq.streams import Delivery, Publisher, StreamConsumer, StreamReader
from tillstream.log.rabbitmq.topology import Directory, DirectoryEntry, Generation, Progress

_BINDING_WEIGHT = "1"
_MAX_STEP_BYTES = 16 * 1024 * 1024

_logger = structlog.get_logger()


class PartitionRead(NamedTuple):
    """The messages that were read from one generation, in order.

    A generation is one of the successive streams of a partition. If a generation has lost its last messages and the
    rest has been read, `missing_upto` is the offset of the last lost message. In all other cases, it is None.
    """

    generation: Generation
    deliveries: Sequence[Delivery]
    missing_upto: int | None = None


class Session:
    """A connection on which all exchanges and streams are declared.

    Only the thread of the connection may use the session.
    """

    def __init__(self, connection: Connection, settings: Settings, publisher: Publisher, progress: Progress) -> None:
        self._connection = connection
        self._settings = settings
        self.publisher = publisher
        self.reader = StreamReader(connection)
        self.directory = Directory()
        self._progress = progress
        self._consumers: dict[int, StreamConsumer] = {}
        self._read_lock = asyncio.Lock()
        self._progress_lock = asyncio.Lock()

    @classmethod
    async def open(cls, connection: Connection, settings: Settings, progress: Progress) -> Session:
        """Declare all exchanges and streams, and replace streams that have lost their last messages.

        `progress` contains the last positions of the engine that this process has published. The broker may have lost
        them.
        """
        session = cls(connection, settings, await Publisher.open(connection), progress)
        channel = await connection.channel()
        declare, bind = channel.raw.exchange_declare, channel.raw.exchange_bind
        for exchange in topology.INTERNAL_EXCHANGES:
            await channel.request(declare, durable=True, **exchange)
        is_copy = {"x-match": "all", topology.COPY_HEADER: True}
        await channel.request(bind, topology.COPIES, topology.FILTER, arguments=is_copy)
        for stream, arguments in topology.CONTROL_STREAMS.items():
            await channel.request(channel.raw.queue_declare, stream, durable=True, arguments=arguments)
        # The directory lists all streams. It is read after the progress, so it contains every stream that the progress
        # refers to.
        await session.progress()
        await session._read_directory()
        wanted = topology.partitions(settings)
        prepared = range(topology.PACKED_PARTITION, len(session._progress.prepared.offsets) + 1)
        created = False
        for partition in sorted({*wanted, *prepared, *session.directory.partitions}):
            created |= await session._prepare_stream(partition, wanted=partition in wanted)
        if created:
            await asyncio.sleep(topology.NEW_STREAM_DELAY_S)
        for name in (*topology.FIGURES, topology.RECEIPTS):
            await channel.request(declare, name, "fanout", durable=False)
        # Receipts reach the streams only after this last binding, when all streams are ready.
        await channel.request(bind, topology.FILTER, topology.RECEIPTS)
        return session

    async def _read_directory(self) -> None:
        for delivery in await self.reader.read_all(topology.DIRECTORY_STREAM):
            try:
                self.directory.add(msgspec.json.decode(delivery.body, type=DirectoryEntry))
            except ValueError as error:
                _logger.error("log.directory_entry_unreadable", stream=topology.DIRECTORY_STREAM, error=str(error))

    async def _prepare_stream(self, partition: int, *, wanted: bool) -> bool:
        """Replace the stream of a partition if it has lost its last messages.

        `wanted` says whether new records go to this partition. If so, create the stream if it does not exist, and bind
        it to its exchange. Return whether the stream was created.
        """
        generation = self.directory.current(partition)
        exists = await self._connection.has_queue(generation.name)
        end = await self._end_of(partition) if exists else generation.after
        prepared = topology.offset_of(self._progress.prepared, partition)
        exchange = topology.PACKED if partition == topology.PACKED_PARTITION else topology.PARTITIONER
        channel = await self._connection.channel()
        if end < prepared:
            follower = Generation(partition, prepared)
            _logger.error(
                "log.stream_ends_before_engine",
                stream=generation.name,
                end=end,
                engine=prepared,
                hint=f"it lost records or was deleted; the log continues in {follower.name}",
            )
            if exists:
                await channel.request(channel.raw.queue_unbind, generation.name, exchange, _BINDING_WEIGHT)
            await self._publish_entry(DirectoryEntry(partition, after=prepared))
            generation, exists = follower, await self._connection.has_queue(follower.name)
        created = not exists and wanted
        if created:
            if partition not in self.directory.partitions:
                # Readers must find this stream even after the setting `rabbitmq_partitions` is lowered.
                await self._publish_entry(DirectoryEntry(partition, after=generation.after))
            arguments = topology.stream_arguments(self._settings)
            await channel.request(channel.raw.queue_declare, generation.name, durable=True, arguments=arguments)
        if wanted:
            await channel.request(channel.raw.queue_bind, generation.name, exchange, _BINDING_WEIGHT)
        channel.close()
        return created

    async def _publish_entry(self, entry: DirectoryEntry) -> None:
        await self._publish(topology.DIRECTORY_STREAM, msgspec.json.encode(entry))
        self.directory.add(entry)

    async def _publish(self, stream: str, text: bytes) -> None:
        properties = BasicProperties(JSON, delivery_mode=PERSISTENT)
        await self.publisher.publish([Message("", stream, properties, text, True)])

    def _partitions(self) -> list[int]:
        return sorted({*topology.partitions(self._settings), *self.directory.partitions})

    async def end(self) -> Position:
        """Return the position of a reader that has read every message of every stream."""
        partitions = self._partitions()
        ends = dict(zip(partitions, await asyncio.gather(*map(self._end_of, partitions)), strict=True))
        return topology.position_of(ends.get(partition, topology.NO_OFFSET) for partition in range(1, max(ends) + 1))

    async def _end_of(self, partition: int) -> int:
        generation = self.directory.current(partition)
        last = await self.reader.read_last(generation.name)
        return generation.after if last is None else generation.log_offset(last.offset)

    async def lags(self) -> dict[int, tuple[int, int]]:
        """For each partition, return the last offset and the number of records after the committed position."""
        end, progress = await asyncio.gather(self.end(), self.progress())
        lags = {}
        for partition, last in enumerate(end.offsets, 1):
            committed = topology.offset_of(progress.committed, partition)
            lags[partition] = last, max(0, self.directory.records(partition, committed, last))
        return lags

    async def count(self, upto: Position) -> int:
        """Return the number of records at or before the position."""
        return self.directory.count(upto)

    async def check(self) -> None:
        """Raise `ConnectionLost` or `BrokerBlocked` if nothing can be appended now."""
        self.publisher.check()
        await self.progress()

    async def progress(self) -> Progress:
        """Return the progress that the engine published last."""
        last = await self.reader.read_last(topology.PROGRESS_STREAM)
        if last is not None:
            try:
                self._progress = Progress.decode(last.body).merge(self._progress)
            except (ValueError, KeyError) as error:
                _logger.error("log.progress_unreadable", stream=topology.PROGRESS_STREAM, error=str(error))
        return self._progress

    async def publish_progress(self, position: Position, *, committed: bool) -> Progress:
        """Publish a position of the engine, and return the new progress."""
        async with self._progress_lock:
            progress = self._progress.advance(position, committed=committed)
            await self._publish(topology.PROGRESS_STREAM, progress.encode())
            self._progress = progress
        return progress

    async def publish_holes(self, holes: Iterable[DirectoryEntry]) -> None:
        """Publish those holes (offsets without a record) that the directory does not contain yet."""
        for each in holes:
            if each.hole is not None and not self.directory.is_hole(each.partition, each.hole):
                await self._publish_entry(each)

    async def read(
        self, after: Position, limit: int, reader: int, readers: int
    ) -> tuple[Directory, list[PartitionRead]]:
        """Return the directory, and about `limit` messages after a position.

        The partitions are divided among `readers` sessions. This session has the number `reader`, counted from 0.
        """
        async with self._read_lock:
            partitions = [partition for partition in self._partitions() if partition % readers == reader]
            found = await asyncio.gather(*(self._seek(each, topology.offset_of(after, each)) for each in partitions))
            busy = [partition for partition in partitions if self._consumers[partition].ready]
            share = -(-limit // len(busy)) if busy else 0
            popped = {partition: _pop(self._consumers[partition], share) for partition in busy}
            reads = [each._replace(deliveries=popped.get(each.generation.partition, ())) for each in found]
            return self.directory, reads

    async def _seek(self, partition: int, after: int) -> PartitionRead:
        generation, following = self.directory.find(partition, after + 1)
        consumer = self._consumers.setdefault(partition, StreamConsumer(self._connection))
        if following is None or await self._connection.has_queue(generation.name):
            await consumer.seek(generation.name, generation.stream_offset(after + 1))
        else:
            consumer.ready = deque()
        missing = following is not None and not consumer.ready and following.after > after
        return PartitionRead(generation, (), following.after if following is not None and missing else None)

    async def fetch(self, wanted: Collection[tuple[int, int]]) -> dict[tuple[int, int], Delivery]:
        """Return the messages with the wanted partitions and offsets. Missing messages are left out."""
        by_generation: defaultdict[Generation, list[int]] = defaultdict(list)
        for partition, offset in wanted:
            generation, _ = self.directory.find(partition, offset)
            by_generation[generation].append(generation.stream_offset(offset))
        found: dict[tuple[int, int], Delivery] = {}
        for generation, offsets in by_generation.items():
            partition = generation.partition
            if generation == self.directory.current(partition) or await self._connection.has_queue(generation.name):
                deliveries = await self.reader.read_at(generation.name, offsets)
                found |= {(partition, generation.log_offset(at)): each for at, each in deliveries.items()}
        return found

    async def watch_deletions(self) -> None:
        """Attach a consumer to each stream that receives appends.

        If a stream is deleted, the broker cancels its consumer. This ends the connection. The next session then creates
        a stream that replaces the deleted one.
        """
        channel = await self._connection.channel()
        for partition in topology.partitions(self._settings):
            await channel.consume(self.directory.current(partition).name, 1, "next", lambda *_: None)


def _pop(consumer: StreamConsumer, share: int) -> list[Delivery]:
    """Take at most `share` messages from a consumer.

    If the last one belongs to a batch, also take the rest of this batch. Stop early when the bodies of the messages
    have `_MAX_STEP_BYTES` bytes in total.
    """
    count = size_bytes = 0
    batch_id = None
    for each in consumer.ready:
        belongs = count < share or (batch_id is not None and each.properties.message_id == batch_id)
        if not belongs or size_bytes >= _MAX_STEP_BYTES:
            break
        count, size_bytes, batch_id = count + 1, size_bytes + len(each.body), each.properties.message_id
    return consumer.pop(count)
