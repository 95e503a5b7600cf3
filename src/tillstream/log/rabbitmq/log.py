"""The log on RabbitMQ. Its records are messages in durable streams."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from threading import Lock

from pika import BasicProperties

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.errors import LogUnavailable
from tillstream.log.base import (
    EMPTY,
    MAX_CHUNK_RECORDS,
    Batch,
    Chunk,
    Frame,
    Log,
    Position,
    Record,
    current_record_id,
    unpack_record_id,
)
from tillstream.log.capacity import Retention
from tillstream.log.rabbitmq import messages, topology
from tillstream.log.rabbitmq.connection import Connection, ReconnectingConnection
from tillstream.log.rabbitmq.messages import Message
from tillstream.log.rabbitmq.session import PartitionRead, Session
from tillstream.log.rabbitmq.streams import Delivery
from tillstream.log.rabbitmq.topology import PACKED_PARTITION, Directory, DirectoryEntry, Progress
from tillstream.receipt.validation import Validator


class RabbitLog(Log):
    """A log whose partitions are streams on a broker. Thread-safe.

    Any number of processes on any number of hosts can append and read. Each message contains one record. While the
    broker is unavailable, every method fails within a second.
    """

    def __init__(self, settings: Settings, validator: Validator, clock: Clock, *, writer: bool) -> None:
        self._settings = settings
        self._writer = writer
        self._validator = validator
        self._clock = clock
        self._progress = Progress()
        self._has_published = False
        self._write_lock = Lock()
        self._batch_ids = (f"{uuid.uuid4().hex}-{number}" for number in count())
        role = "tillstream ingest" if writer else "tillstream engine"
        names = [role, *(f"{role}, reader {number}" for number in range(2, settings.rabbitmq_readers + 1))]
        self._connections = [
            ReconnectingConnection(settings.rabbitmq_url, name, self._open_session)
            for name in (names[:1] if writer else names)
        ]
        self._connection = self._connections[0]
        self._retention = Retention(settings, self._connection.address, self._lags)
        self._trusted_user = settings.rabbitmq_trusted_user or self._connection.user

    async def _open_session(self, connection: Connection) -> Session:
        session = await Session.open(connection, self._settings, self._progress)
        if self._writer:
            await session.watch_deletions()
        return session

    def append(self, batch: Batch) -> None:
        if not self._writer:
            raise LogUnavailable("append to the log", self._connection.address, "it was opened for reading only")
        with self._write_lock:
            if not len(batch):
                self._connection.call("append to the log", Session.check)
                return
            self._retention.check(len(batch), batch.size_bytes)
            encoded = messages.encode_batch(batch, self._connection.user, next(self._batch_ids))
            self._connection.call("append to the log", lambda session: session.publisher.publish(encoded))

    def read(self, after: Position, limit: int) -> Iterator[Chunk]:
        position = topology.position_of(after.offsets)
        while limit > 0:
            try:
                chunks = self._read_chunks(position, limit)
            except LogUnavailable:
                # If this read has already yielded chunks, they are valid, and the read ends without an error. If the
                # error persists, the next read raises it.
                if position == after:
                    raise
                return
            if not chunks:
                return
            for chunk in chunks:
                yield chunk
                position = chunk.position
                limit -= max(1, chunk.count)

    def _read_chunks(self, position: Position, limit: int) -> list[Chunk]:
        readers = len(self._connections)
        pending = [
            connection.submit(
                "read the log",
                partial(Session.read, after=position, limit=-(-limit // readers), reader=number, readers=readers),
            )
            for number, connection in enumerate(self._connections)
        ]
        results = [wait() for wait in pending]
        # A hole is an offset without a record. Only the first connection publishes holes, so its directory of streams
        # and holes is complete.
        chunks = _ChunkBuilder(position, results[0][0])
        for _, reads in results:
            for each in reads:
                self._add_read(each, chunks)
        if chunks.holes:
            self._connection.call("read the log", lambda session: session.publish_holes(chunks.holes))
        return chunks.built

    def _add_read(self, read: PartitionRead, chunks: _ChunkBuilder) -> None:
        partition = read.generation.partition
        for each in read.deliveries:
            batch_id = each.properties.message_id if partition == PACKED_PARTITION else None
            offset, record = read.generation.log_offset(each.offset), self._record(partition, each)
            chunks.add(partition, offset, record, batch_id, stream_start=not each.offset)
        chunks.finish_chunk()
        if read.missing_upto is not None and not read.deliveries:
            chunks.add_missing(partition, read.missing_upto)

    def _record(self, partition: int, delivery: Delivery) -> Record:
        """Convert a message to a record. The message was published by ingest or by another program."""
        _, method, properties, body = delivery
        if properties.user_id == self._trusted_user:
            if partition == PACKED_PARTITION:
                record = messages.unpack(body)
            else:
                record = messages.remove_members(body, properties.headers.get(messages.HEAD_HEADER))
            if record is not None:
                return record
        return messages.external_record(self._validator, self._clock.now_us(), method, properties, body)

    def fetch(self, record_ids: Sequence[int]) -> dict[int, Record]:
        wanted = {each: unpack_record_id(current_record_id(each))[:2] for each in record_ids}
        wanted = {record_id: at for record_id, at in wanted.items() if at[0] >= PACKED_PARTITION}
        if not wanted:
            return {}
        found = self._connection.call("read the log", lambda session: session.fetch(wanted.values()))
        return {
            record_id: self._record(at[0], delivery)
            for record_id, at in wanted.items()
            if (delivery := found.get(at)) is not None
        }

    def end(self) -> Position:
        return self._connection.call("read the log", Session.end)

    def count(self, upto: Position) -> int:
        return self._connection.call("read the log", lambda session: session.count(upto))

    def publish(self, position: Position, *, committed: bool) -> None:
        self._progress = self._connection.call(
            "publish a position to", lambda session: session.publish_progress(position, committed=committed)
        )
        if not self._has_published:
            self._has_published = True
            end = self.end()
            if any(offset > topology.offset_of(end, partition) for partition, offset in enumerate(position.offsets, 1)):
                # A reconnect opens a new session, which replaces the streams that have lost their last messages.
                self._connection.reconnect("the log ends before the engine's position")

    def broadcast(self, figures: Mapping[str, bytes]) -> None:
        """Publish a JSON message to each exchange. `figures` maps exchanges to messages. Raises `LogUnavailable`."""
        properties = BasicProperties(messages.JSON, user_id=self._connection.user)
        encoded = [Message(name, "", properties, body, mandatory=False) for name, body in figures.items()]
        self._connection.call("publish figures to", lambda session: session.publisher.publish(encoded))

    def lag(self) -> int:
        return sum(lag for _, lag in self._lags().values())

    def _lags(self) -> dict[int, tuple[int, int]]:
        return self._connection.call("read the log", Session.lags)

    def close(self) -> None:
        for connection in reversed(self._connections):
            connection.close()


class _ChunkBuilder:
    """Builds chunks. Each chunk contains records with consecutive offsets and with the same batch id."""

    def __init__(self, position: Position, directory: Directory) -> None:
        self.built: list[Chunk] = []
        self.holes: list[DirectoryEntry] = []
        self._position = position
        self._directory = directory
        self._records: list[Record] = []
        self._first: tuple[int, int, str | None] = (0, 0, None)

    def add(self, partition: int, offset: int, record: Record, batch_id: str | None, *, stream_start: bool) -> None:
        """Add a record. `batch_id` identifies its batch, or is None in the streams of receipts.

        `stream_start` is true for the first message of a stream.
        """
        expected = topology.offset_of(self._position, partition) + 1 + len(self._records)
        is_full = len(self._records) >= MAX_CHUNK_RECORDS
        if self._records and (batch_id != self._first[2] or offset != expected or is_full):
            self.finish_chunk()
        if offset > expected:
            # When the broker starts a new segment (file) of a stream, it skips one offset. This offset is a hole.
            if offset == expected + 1 and not stream_start:
                self.holes.append(DirectoryEntry(partition, hole=expected))
                self._advance(partition, expected)
            else:
                self.add_missing(partition, offset - 1)
        if not self._records:
            self._first = (partition, offset, batch_id)
        self._records.append(record)

    def finish_chunk(self) -> None:
        """Build a chunk from the records that were added since the last chunk."""
        if not self._records:
            return
        partition, offset, _ = self._first
        count = len(self._records)
        heads, bodies, originals = (Frame.of(list(column)) for column in zip(*self._records, strict=True))
        upto = self._advance(partition, offset + count - 1)
        self.built.append(Chunk(partition, offset, count, upto, heads, bodies, originals, own_offsets=True))
        self._records.clear()

    def add_missing(self, partition: int, upto: int) -> None:
        """Add a fault for the missing records up to the offset `upto`."""
        last = topology.offset_of(self._position, partition)
        count = self._directory.records(partition, last, upto)
        fault = f"offsets {last + 1} to {upto} of stream {partition} are missing: dropped by its retention, or deleted"
        position = self._advance(partition, upto)
        self.built.append(Chunk(partition, last + 1, count, position, EMPTY, EMPTY, EMPTY, fault))

    def _advance(self, partition: int, offset: int) -> Position:
        offsets = list(self._position.offsets) + [topology.NO_OFFSET] * (partition - len(self._position.offsets))
        offsets[partition - 1] = offset
        self._position = topology.position_of(offsets)
        return self._position
