"""The log port: an ordered, durable queue of receipts and refusals, and the values that cross it."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from tillstream.errors import TillstreamError

_INDEX_BITS = 20
PARTITION_SHIFT = 56
"""The lowest bit of the partition in a record id."""

MAX_CHUNK_RECORDS = 1 << _INDEX_BITS


@dataclass(frozen=True, slots=True)
class Position:
    """The last offset that a reader has read in each partition; -1 means none.

    Only the log that made a position may interpret it. The database stores its text.
    """

    offsets: tuple[int, ...] = (-1,)

    def __str__(self) -> str:
        return ",".join(map(str, self.offsets))

    @classmethod
    def parse(cls, text: str) -> Position:
        return cls(tuple(int(part) for part in text.split(",")))


START = Position()


def pack_record_id(partition: int, offset: int, index: int) -> int:
    """A signed 64-bit integer that identifies a record in the log and ascends within its partition.

    It has 7 bits of partition, 36 of offset, and 20 of index within the offset.
    """
    return partition << PARTITION_SHIFT | offset << _INDEX_BITS | index


def unpack_record_id(record_id: int) -> tuple[int, int, int]:
    """The partition, offset and index of a record id."""
    offset = record_id >> _INDEX_BITS & (1 << PARTITION_SHIFT - _INDEX_BITS) - 1
    return record_id >> PARTITION_SHIFT, offset, record_id & (1 << _INDEX_BITS) - 1


def current_record_id(record_id: int) -> int:
    """Convert a record id that an older version wrote.

    In older versions, a record of a stream (partition 1 and up) had the first offset of its read and an
    index. Their sum is the record's own offset.
    """
    partition, offset, index = unpack_record_id(record_id)
    return pack_record_id(partition, offset + index, 0) if partition else record_id


class FrameError(TillstreamError):
    """The bytes are not a packed frame."""


class Frame:
    """Many byte strings in one buffer; item i is `data[offsets[i]:offsets[i + 1]]`.

    `offsets` holds len + 1 unsigned 32-bit integers. This is the layout of an Arrow string array, so
    a frame becomes an Arrow column without a copy of each item. A packed frame is the count, the
    offsets without the first, both as little-endian 32-bit integers, and the data.
    """

    __slots__ = ("data", "offsets")

    def __init__(self, data: bytes, offsets: array[int]) -> None:
        self.data = data
        self.offsets = offsets

    @classmethod
    def of(cls, items: Sequence[bytes]) -> Frame:
        offsets = array("I", [0])
        offsets.extend(accumulate(map(len, items)))
        return cls(b"".join(items), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> bytes:
        return self.data[self.offsets[index] : self.offsets[index + 1]]

    def __iter__(self) -> Iterator[bytes]:
        return (self[index] for index in range(len(self)))

    def pack(self) -> bytes:
        numbers = array("I", [len(self)])
        numbers.extend(self.offsets[1:])
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers.tobytes() + self.data

    @classmethod
    def unpack(cls, packed: bytes) -> Frame:
        """Raises `FrameError` if the count or the offsets contradict the data."""
        if len(packed) < 4:
            raise FrameError("a frame of under 4 bytes")
        count = int.from_bytes(packed[:4], "little")
        head = 4 + 4 * count
        if len(packed) < head:
            raise FrameError(f"a frame of {count} items in {len(packed)} bytes")
        offsets = array("I", b"\0\0\0\0" + packed[4:head])
        if sys.byteorder == "big":
            offsets.byteswap()
        data = packed[head:]
        if offsets[-1] != len(data):
            raise FrameError(f"a frame whose items take {offsets[-1]} bytes, not {len(data)}")
        return cls(data, offsets)


EMPTY = Frame.of([])


@dataclass(slots=True)
class Batch:
    """Records to append, as parallel lists: `heads[i]`, `bodies[i]` and `originals[i]` are one record.

    A head is one line of `tillstream.receipt.model.HEAD_COLUMNS`. A body is canonical JSON, or empty for a
    refusal. An original is the payload as it was received, or empty if it equals the body.
    """

    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    originals: list[bytes] = field(default_factory=list)
    size_bytes: int = 0

    def __len__(self) -> int:
        return len(self.heads)

    def add(self, head: bytes, body: bytes, original: bytes = b"") -> None:
        self.heads.append(head)
        self.bodies.append(body)
        self.originals.append(original)
        self.size_bytes += len(head) + len(body) + len(original)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records that a read returned, or a fault in place of unreadable records.

    `position` is the reader's position after the chunk. If `fault` is set, `count` records cannot be
    read and the frames are empty. With `own_offsets` the records have consecutive offsets from
    `offset` on, and a read may cut the chunk anywhere; otherwise all records share one offset.
    """

    partition: int
    offset: int
    count: int
    position: Position
    heads: Frame
    bodies: Frame
    originals: Frame
    fault: str = ""
    own_offsets: bool = False

    @property
    def record_ids(self) -> range:
        """The ids of the records in order. Every read gives a record the same id."""
        first = pack_record_id(self.partition, self.offset, 0)
        step = 1 << _INDEX_BITS if self.own_offsets else 1
        return range(first, first + self.count * step, step)


class Log(ABC):
    """An ordered, durable queue of receipts and refusals with one writer role and many readers.

    *Delivery*: at least once, in order per partition. When `append` returns, its records survive a
    crash of the process and of the machine. If `append` raises, its records may or may not be in the
    log, and clients that got no answer send them again. A position is never reused, even after the
    records before it were trimmed or lost.
    """

    @abstractmethod
    def append(self, batch: Batch) -> None:
        """Make the batch durable.

        Raises `LogFull` or `LogUnavailable`; then no record of the batch may be acknowledged.
        """

    @abstractmethod
    def read(self, after: Position, limit: int) -> Iterator[Chunk]:
        """Yield the chunks after a position until `limit` records or the end is reached.

        Damage (a wrong checksum, a gap) is a chunk with a `fault`, never an error. Raises
        `LogUnavailable` if the log cannot be read now; then no record is skipped.
        """

    @abstractmethod
    def fetch(self, record_ids: Sequence[int]) -> dict[int, tuple[bytes, bytes, bytes]]:
        """Head, body and original by record id; ids without a record are left out."""

    @abstractmethod
    def end(self) -> Position:
        """The position after the last readable record."""

    @abstractmethod
    def count(self, upto: Position) -> int:
        """The number of records up to and including a position, with the damaged ones."""

    @abstractmethod
    def publish(self, position: Position, *, committed: bool) -> None:
        """Publish a position that the engine prepares to commit, or has committed.

        When it returns, no offset up to `position` is ever reused, even by a log that lost its end.
        So the engine calls it before each commit of the database, and again after it. The lag counts
        from the committed position only. Raises `LogUnavailable`; then the engine must not commit.
        """

    @abstractmethod
    def lag(self) -> int:
        """The number of records between the committed position and the end."""

    @abstractmethod
    def close(self) -> None:
        """Close files and connections. Appended records stay."""
