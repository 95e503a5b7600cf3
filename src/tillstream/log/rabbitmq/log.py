"""The log on RabbitMQ: receipts in streams behind the exchange `receipts`, which anyone may read and feed."""

from __future__ import annotations

import time
import uuid
import weakref
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from threading import Lock
from typing import Any

from pika import BasicProperties

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.errors import LogFull, LogUnavailable
from tillstream.log.base import MOST_RECORDS, Batch, Chunk, Log, Position, unpack_place
from tillstream.log.frame import EMPTY, Frame
from tillstream.log.rabbitmq.connection import Connection
from tillstream.log.rabbitmq.external_messages import ExternalMessages
from tillstream.log.rabbitmq.messages import HEAD, JSON, Message, NotOurs, Record, cut_out, messages, unpack
from tillstream.log.rabbitmq.progress import Progress, offset_of, position_of
from tillstream.log.rabbitmq.reconnecting_connection import ReconnectingConnection
from tillstream.log.rabbitmq.retention import Retention
from tillstream.log.rabbitmq.session import Run, Session
from tillstream.log.rabbitmq.stream_reader import Delivery
from tillstream.log.rabbitmq.topology import ASIDE_NUMBER, Directory
from tillstream.receipt.validation import Validator

ROOM_CHECK_S = 1.0


class RabbitLog(Log):
    """Partitions of the log are streams on the broker; see `Log` for its promises.

    Any number of processes append and read, on any number of hosts: what they share is the broker
    alone. A partition's offsets are its stream's, so a record stands where its message does.
    Every method is safe from any thread; while the broker is away each fails within a second.
    """

    def __init__(self, settings: Settings, validator: Validator, clock: Clock, *, writer: bool) -> None:
        self._settings = settings
        self._writer = writer
        self._known = Progress()
        self._told_at_all = False
        role = "ingest" if writer else "engine"
        self._link = ReconnectingConnection(settings.rabbitmq_url, f"tillstream {role}", self._begin)
        self._readers = [self._link]
        self._trusted = settings.rabbitmq_trusted_user or self._link.user
        self._foreign = ExternalMessages(validator, clock)
        self._retention = Retention(settings)
        self._room_checked = 0.0
        self._why_full = ""
        self._write_lock = Lock()
        self._batches = (f"{uuid.uuid4().hex}-{number}" for number in count())
        self._behind: weakref.ref[_Behind] | None = None
        self._link.first()
        for number in range(1, 1 if writer else settings.rabbitmq_readers):
            self._readers.append(
                ReconnectingConnection(settings.rabbitmq_url, f"tillstream {role}, reader {number + 1}", self._begin)
            )
            self._readers[-1].first()

    async def _begin(self, connection: Connection) -> Session:
        session = await Session.begin(connection, self._settings, self._known)
        if self._writer:
            await session.watch()
        return session

    # -- writing

    def append(self, batch: Batch) -> Position:
        if not self._writer:
            raise LogUnavailable("append to the log", self._link.address, "it was opened for reading only")
        with self._write_lock:
            self._settle()
            if not len(batch):
                self._link.call("append to the log", lambda session: session.probe())
            else:
                self._check_room(batch)
                published = messages(batch, self._link.user, next(self._batches))
                self._link.call("append to the log", lambda session: session.append(published))
            behind = _Behind(self.end)
            self._behind = weakref.ref(behind)
        return behind

    def _settle(self) -> None:
        """Have the position that was returned last looked up before it moves on, if anybody still holds it."""
        held = self._behind() if self._behind is not None else None
        if held is not None:
            held.settle()

    def _check_room(self, batch: Batch) -> None:
        if not self._retention:
            return
        self._retention.appended(len(batch), batch.size_bytes)
        now = time.monotonic()
        if now - self._room_checked >= ROOM_CHECK_S:
            self._room_checked = now
            ends, behind = self._link.call("read the log", lambda session: session.end()), self._lags()
            self._why_full = self._retention.full(dict(enumerate(ends.offsets, 1)), behind)
        if self._why_full:
            hint = "see why the engine is behind, or let the broker keep more"
            raise LogFull("append to the log", self._link.address, self._why_full, hint)

    # -- reading

    def read(self, after: Position, limit: int) -> Iterator[Chunk]:
        position, wanted = position_of(after.offsets), limit
        while wanted > 0:
            try:
                directory, runs = self._runs(position, wanted)
                assembly = _Assembly(position, directory)
                for run in runs:
                    self._assemble(run, assembly)
                self._note(assembly.holes)
            except LogUnavailable:
                # What was read until here must not wait for what cannot be read now.
                if position == after:
                    raise
                return
            if not assembly.chunks:
                return
            for chunk in assembly.chunks:
                yield chunk
                position = chunk.position
                wanted -= max(1, chunk.count)

    def _runs(self, position: Position, limit: int) -> tuple[Directory, list[Run]]:
        """What all readers have behind the position; holes are known to the first one alone."""
        count = len(self._readers)
        under_way = [
            link.begin_call("read the log", _reading(position, -(-limit // count), number, count))
            for number, link in enumerate(self._readers)
        ]
        came = [wait() for wait in under_way]
        return came[0][0], [run for _, runs in came for run in runs]

    def _assemble(self, run: Run, assembly: _Assembly) -> None:
        number = run.generation.number
        for each in run.deliveries:
            record = self._record(number, each)
            group = each.properties.message_id if number == ASIDE_NUMBER else None
            assembly.add(number, run.generation.log_offset(each.offset), record, group, front=not each.offset)
        assembly.flush()
        if run.missing_upto is not None and not run.deliveries:
            assembly.missing(number, run.missing_upto)

    def _record(self, number: int, delivery: Delivery) -> Record:
        """What a message holds, whoever published it."""
        _, method, properties, body = delivery
        if properties.user_id == self._trusted:
            try:
                if number == ASIDE_NUMBER:
                    return unpack(body)
                head = properties.headers.get(HEAD)
                if isinstance(head, bytes):
                    return Record(head, cut_out(body, head), b"")
            except NotOurs:
                pass
        return self._foreign.record(method, properties, body)

    def _note(self, holes: Sequence[tuple[int, int]]) -> None:
        if holes:
            self._link.call("read the log", lambda session: session.note_holes(holes))

    def fetch(self, places: Sequence[int]) -> dict[int, tuple[bytes, bytes, bytes]]:
        wanted: dict[int, list[int]] = {}
        for place in places:
            # A database that was made earlier may have the offset of a stretch, and the index in it.
            number, offset, index = unpack_place(place)
            if number >= ASIDE_NUMBER:
                wanted.setdefault(number, []).append(offset + index)
        if not wanted:
            return {}
        came = self._link.call("read the log", lambda session: session.fetch(wanted))
        found = {}
        for place in places:
            number, offset, index = unpack_place(place)
            delivery = came.get((number, offset + index))
            if delivery is not None:
                found[place] = tuple(self._record(number, delivery))
        return found  # type: ignore[return-value]

    def end(self) -> Position:
        return self._link.call("read the log", lambda session: session.end())

    def count(self, upto: Position) -> int:
        return self._link.call("read the log", lambda session: _count(session, upto))

    def publish(self, position: Position, *, committed: bool) -> None:
        self._known = self._link.call(
            "publish a position to", lambda session: session.tell(position, committed=committed)
        )
        if not self._told_at_all:
            self._told_at_all = True
            end = self.end()
            if any(offset > offset_of(end, number) for number, offset in enumerate(position.offsets, 1)):
                self._link.renew("the log ends behind the engine")

    def broadcast(self, figures: Mapping[str, bytes]) -> None:
        """Send JSON to whoever subscribes to the exchanges of these names, and to nobody else.

        Raises `LogUnavailable`.
        """
        properties = BasicProperties(JSON, user_id=self._link.user)
        told = [Message(name, "", properties, body, mandatory=False) for name, body in figures.items()]
        self._link.call("tell figures to", lambda session: session.append(told))

    def lag(self) -> int:
        return sum(self._lags().values())

    def _lags(self) -> dict[int, int]:
        return self._link.call("read the log", lambda session: session.lag())

    def close(self) -> None:
        for link in reversed(self._readers):
            link.close()


class _Behind(Position):
    """The position behind an append, looked up once somebody asks.

    The broker's confirms don't tell it, looking costs more than a small append, and ingest never asks.
    """

    def __init__(self, ask: Callable[[], Position]) -> None:
        object.__setattr__(self, "_ask", ask)
        object.__setattr__(self, "_found", None)

    def settle(self) -> Position:
        """Raises `LogUnavailable`."""
        found: Position | None = self._found  # type: ignore[attr-defined]
        if found is None:
            found = self._ask()  # type: ignore[attr-defined]
            object.__setattr__(self, "_found", found)
        return found

    @property
    def offsets(self) -> tuple[int, ...]:
        return self.settle().offsets

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Position) and self.offsets == other.offsets

    def __hash__(self) -> int:
        return hash(Position(self.offsets))


@dataclass(slots=True)
class _Assembly:
    """Makes chunks of what came: one of each stretch of consecutive offsets and, aside, of each batch."""

    position: Position
    directory: Directory
    chunks: list[Chunk] = field(default_factory=list)
    holes: list[tuple[int, int]] = field(default_factory=list)
    _records: list[Record] = field(default_factory=list)
    _at: tuple[int, int, str | None] = (0, 0, None)

    def add(self, number: int, offset: int, record: Record, group: str | None, *, front: bool) -> None:
        expected = offset_of(self.position, number) + 1 + len(self._records)
        if self._records and (group != self._at[2] or offset != expected or len(self._records) >= MOST_RECORDS):
            self.flush()
        if offset > expected:
            # The broker keeps an offset for itself where it begins a segment.
            if offset == expected + 1 and not front:
                self.holes.append((number, expected))
                self._advance(number, expected)
            else:
                self.missing(number, offset - 1)
        if not self._records:
            self._at = (number, offset, group)
        self._records.append(record)

    def flush(self) -> None:
        """End the chunk."""
        if not self._records:
            return
        number, first, _ = self._at
        count = len(self._records)
        heads, bodies, originals = (Frame.of(list(column)) for column in zip(*self._records, strict=True))
        upto = self._advance(number, first + count - 1)
        self.chunks.append(Chunk(number, first, count, upto, heads, bodies, originals, own_offsets=True))
        self._records.clear()

    def missing(self, number: int, upto: int) -> None:
        """Tell of records that are gone, up to this offset."""
        first = offset_of(self.position, number) + 1
        known = self.directory.holes(number, upto) - self.directory.holes(number, first - 1)
        fault = f"offsets {first} to {upto} of stream {number} are missing: dropped by its retention, or deleted"
        position = self._advance(number, upto)
        self.chunks.append(Chunk(number, first, upto - first + 1 - known, position, EMPTY, EMPTY, EMPTY, fault))

    def _advance(self, number: int, offset: int) -> Position:
        offsets = list(self.position.offsets) + [-1] * (number - len(self.position.offsets))
        offsets[number - 1] = offset
        self.position = position_of(offsets)
        return self.position


def _reading(
    position: Position, limit: int, reader: int, readers: int
) -> Callable[[Session], Coroutine[Any, Any, tuple[Directory, list[Run]]]]:
    async def read(session: Session) -> tuple[Directory, list[Run]]:
        return session.directory, await session.read(position, limit, reader, readers)

    return read


async def _count(session: Session, upto: Position) -> int:
    return session.directory.count(upto)
