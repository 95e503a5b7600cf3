"""The log on RabbitMQ: durable streams that are bound to the public exchange `receipts`."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from threading import Lock

from pika import BasicProperties

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.errors import LogFull, LogUnavailable
from tillstream.log.base import EMPTY, MAX_CHUNK_RECORDS, Batch, Chunk, Frame, Log, Position, Record, unpack_record_id
from tillstream.log.capacity import CHECK_INTERVAL_S, Retention
from tillstream.log.rabbitmq import messages
from tillstream.log.rabbitmq.connection import Connection
from tillstream.log.rabbitmq.messages import ExternalMessages, Message
from tillstream.log.rabbitmq.reconnecting_connection import ReconnectingConnection
from tillstream.log.rabbitmq.session import PartitionRead, Session
from tillstream.log.rabbitmq.streams import Delivery
from tillstream.log.rabbitmq.topology import PACKED_PARTITION, Directory, Progress, offset_of, position_of
from tillstream.receipt.validation import Validator


class RabbitLog(Log):
    """A log whose partitions are streams on a broker; see `Log` for its guarantees.

    Any number of processes on any number of hosts append and read; they share only the broker. A
    record has the offset of its message. Every method is safe from any thread. While the broker is
    away, each one fails within a second.
    """

    def __init__(self, settings: Settings, validator: Validator, clock: Clock, *, writer: bool) -> None:
        self._settings = settings
        self._writer = writer
        self._progress = Progress()
        self._has_published = False
        self._external = ExternalMessages(validator, clock)
        self._retention = Retention(settings)
        self._capacity_checked = 0.0
        self._full_reason = ""
        self._write_lock = Lock()
        self._batch_ids = (f"{uuid.uuid4().hex}-{number}" for number in count())
        role = "tillstream ingest" if writer else "tillstream engine"
        self._connection = self._connect(role)
        self._trusted_user = settings.rabbitmq_trusted_user or self._connection.user
        self._connections = [self._connection]
        for number in range(1, 1 if writer else settings.rabbitmq_readers):
            self._connections.append(self._connect(f"{role}, reader {number + 1}"))

    def _connect(self, name: str) -> ReconnectingConnection[Session]:
        connection = ReconnectingConnection(self._settings.rabbitmq_url, name, self._open_session)
        connection.wait_for_first_attempt()
        return connection

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
                self._connection.call("append to the log", lambda session: session.check())
                return
            self._check_capacity(batch)
            encoded = messages.encode_batch(batch, self._connection.user, next(self._batch_ids))
            self._connection.call("append to the log", lambda session: session.publisher.publish(encoded))

    def _check_capacity(self, batch: Batch) -> None:
        if not self._retention:
            return
        self._retention.observe(len(batch), batch.size_bytes)
        now = time.monotonic()
        if now - self._capacity_checked >= CHECK_INTERVAL_S:
            self._capacity_checked = now
            ends, lags = dict(enumerate(self.end().offsets, 1)), self._lags()
            self._full_reason = self._retention.full_reason(ends, lags)
        if self._full_reason:
            hint = "find out why the engine is behind, or raise the retention"
            raise LogFull("append to the log", self._connection.address, self._full_reason, hint)

    def read(self, after: Position, limit: int) -> Iterator[Chunk]:
        position, wanted = position_of(after.offsets), limit
        while wanted > 0:
            try:
                directory, reads = self._read_partitions(position, wanted)
                chunks = _ChunkBuilder(position, directory)
                for each in reads:
                    self._add_read(each, chunks)
                self._publish_holes(chunks.holes)
            except LogUnavailable:
                # The caller keeps the chunks that it already has; the next read raises the error.
                if position == after:
                    raise
                return
            if not chunks.built:
                return
            for chunk in chunks.built:
                yield chunk
                position = chunk.position
                wanted -= max(1, chunk.count)

    def _read_partitions(self, position: Position, limit: int) -> tuple[Directory, list[PartitionRead]]:
        """Read on all connections, and return the directory of the first one, which has all holes."""
        count = len(self._connections)
        pending = [
            connection.submit(
                "read the log",
                partial(Session.read, after=position, limit=-(-limit // count), reader=number, readers=count),
            )
            for number, connection in enumerate(self._connections)
        ]
        results = [wait() for wait in pending]
        return results[0][0], [each for _, reads in results for each in reads]

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
        """The record of a message from ingest or from another program."""
        _, method, properties, body = delivery
        if properties.user_id == self._trusted_user:
            try:
                if partition == PACKED_PARTITION:
                    return messages.unpack(body)
                head = properties.headers.get(messages.HEAD_HEADER)
                if isinstance(head, bytes):
                    return Record(head, messages.remove_members(body, head), b"")
            except messages.InvalidMessage:
                pass
        return self._external.record(method, properties, body)

    def _publish_holes(self, holes: Sequence[tuple[int, int]]) -> None:
        if holes:
            self._connection.call("read the log", lambda session: session.publish_holes(holes))

    def fetch(self, record_ids: Sequence[int]) -> dict[int, Record]:
        wanted: dict[int, tuple[int, int]] = {}
        for record_id in record_ids:
            # Older versions stored the offset of a read and an index in it.
            partition, offset, index = unpack_record_id(record_id)
            if partition >= PACKED_PARTITION:
                wanted[record_id] = partition, offset + index
        if not wanted:
            return {}
        offsets: dict[int, list[int]] = {}
        for partition, offset in wanted.values():
            offsets.setdefault(partition, []).append(offset)
        found = self._connection.call("read the log", lambda session: session.fetch(offsets))
        return {
            record_id: self._record(at[0], delivery)
            for record_id, at in wanted.items()
            if (delivery := found.get(at)) is not None
        }

    def end(self) -> Position:
        return self._connection.call("read the log", lambda session: session.end())

    def count(self, upto: Position) -> int:
        async def count(session: Session) -> int:
            return session.directory.count(upto)

        return self._connection.call("read the log", count)

    def publish(self, position: Position, *, committed: bool) -> None:
        self._progress = self._connection.call(
            "publish a position to", lambda session: session.publish_progress(position, committed=committed)
        )
        if not self._has_published:
            self._has_published = True
            end = self.end()
            if any(offset > offset_of(end, partition) for partition, offset in enumerate(position.offsets, 1)):
                # A new session replaces the streams that lost their end.
                self._connection.reconnect("the log ends before the engine's position")

    def broadcast(self, figures: Mapping[str, bytes]) -> None:
        """Publish JSON to the subscribers of some exchanges, by name. Raises `LogUnavailable`."""
        properties = BasicProperties(messages.JSON, user_id=self._connection.user)
        encoded = [Message(name, "", properties, body, mandatory=False) for name, body in figures.items()]
        self._connection.call("publish figures to", lambda session: session.publisher.publish(encoded))

    def lag(self) -> int:
        return sum(self._lags().values())

    def _lags(self) -> dict[int, int]:
        return self._connection.call("read the log", lambda session: session.lag())

    def close(self) -> None:
        for connection in reversed(self._connections):
            connection.close()


@dataclass(slots=True)
class _ChunkBuilder:
    """Builds chunks of consecutive offsets; in the packed partition, a chunk per batch."""

    position: Position
    directory: Directory
    built: list[Chunk] = field(default_factory=list)
    holes: list[tuple[int, int]] = field(default_factory=list)
    _records: list[Record] = field(default_factory=list)
    _first: tuple[int, int, str | None] = (0, 0, None)

    def add(self, partition: int, offset: int, record: Record, batch_id: str | None, *, stream_start: bool) -> None:
        expected = offset_of(self.position, partition) + 1 + len(self._records)
        is_full = len(self._records) >= MAX_CHUNK_RECORDS
        if self._records and (batch_id != self._first[2] or offset != expected or is_full):
            self.finish_chunk()
        if offset > expected:
            # The broker uses one offset for itself when it starts a segment.
            if offset == expected + 1 and not stream_start:
                self.holes.append((partition, expected))
                self._advance(partition, expected)
            else:
                self.add_missing(partition, offset - 1)
        if not self._records:
            self._first = (partition, offset, batch_id)
        self._records.append(record)

    def finish_chunk(self) -> None:
        if not self._records:
            return
        partition, offset, _ = self._first
        count = len(self._records)
        heads, bodies, originals = (Frame.of(list(column)) for column in zip(*self._records, strict=True))
        upto = self._advance(partition, offset + count - 1)
        self.built.append(Chunk(partition, offset, count, upto, heads, bodies, originals, own_offsets=True))
        self._records.clear()

    def add_missing(self, partition: int, upto: int) -> None:
        """Add a chunk with a fault for the records that are gone up to an offset."""
        last = offset_of(self.position, partition)
        count = self.directory.records(partition, last, upto)
        fault = f"offsets {last + 1} to {upto} of stream {partition} are missing: dropped by its retention, or deleted"
        position = self._advance(partition, upto)
        self.built.append(Chunk(partition, last + 1, count, position, EMPTY, EMPTY, EMPTY, fault))

    def _advance(self, partition: int, offset: int) -> Position:
        offsets = list(self.position.offsets) + [-1] * (partition - len(self.position.offsets))
        offsets[partition - 1] = offset
        self.position = position_of(offsets)
        return self.position
