"""The log port: the interface of an ordered, durable queue of receipts and refusals.

A refusal is content that is not a valid receipt. The log consists of one or more partitions, and records are ordered
only within their partition. Each record has an offset, which is its place in the partition. Records that are stored
together can share an offset. Then their indexes 0, 1, 2… tell them apart.

The module also defines the types of the port's parameters and results.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

_INDEX_BITS = 20
PARTITION_SHIFT = 56
"""In a record id, the partition starts at this bit. The bits below contain the offset and the index."""

MAX_CHUNK_RECORDS = 1 << _INDEX_BITS


@dataclass(frozen=True, slots=True)
class Position:
    """How far a reader has read: for each partition, the offset of the last record read, or -1 if there is none.

    A position is valid only for the log that created it. The database stores a position as text, such as `17,-1,4`.
    """

    offsets: tuple[int, ...] = (-1,)

    def __str__(self) -> str:
        return ",".join(map(str, self.offsets))

    @classmethod
    def parse(cls, text: str) -> Position:
        """Parse the text of a position. Raises `ValueError`."""
        return cls(tuple(int(part) for part in text.split(",")))


START = Position()


def pack_record_id(partition: int, offset: int, index: int) -> int:
    """Return the id of a record. Ids ascend within a partition.

    An id is a signed 64-bit integer. It has 7 bits for the partition, 36 bits for the offset, and 20 bits for the
    index that tells records with the same offset apart.
    """
    return partition << PARTITION_SHIFT | offset << _INDEX_BITS | index


def unpack_record_id(record_id: int) -> tuple[int, int, int]:
    """Return the partition, offset and index of a record id."""
    offset = record_id >> _INDEX_BITS & (1 << PARTITION_SHIFT - _INDEX_BITS) - 1
    return record_id >> PARTITION_SHIFT, offset, record_id & (1 << _INDEX_BITS) - 1


def current_record_id(record_id: int) -> int:
    """Convert a stored record id to its current form. An id that already has this form stays the same.

    In older versions of tillstream, the id of a record on RabbitMQ (partition 1 or greater) contained the offset of the
    first record of a read, and the index of the record in this read. For example, offset 100 and index 7 now become
    offset 107 and index 0.
    """
    partition, offset, index = unpack_record_id(record_id)
    return pack_record_id(partition, offset + index, 0) if partition else record_id


class Frame:
    """Many byte strings in one buffer. Item `i` is `data[offsets[i]:offsets[i + 1]]`.

    `offsets` contains `len(frame) + 1` unsigned 32-bit integers. An Arrow string array has the same layout, so a
    frame becomes an Arrow array without a copy. A packed frame consists of the number of items, the offsets without
    the first one (which is always 0), and the data. The numbers are little-endian 32-bit integers.
    """

    __slots__ = ("data", "offsets")

    def __init__(self, data: bytes, offsets: array[int]) -> None:
        self.data = data
        self.offsets = offsets

    @classmethod
    def of(cls, items: Sequence[bytes]) -> Frame:
        """Create a frame from its items."""
        return cls(b"".join(items), array("I", accumulate(map(len, items), initial=0)))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> bytes:
        return self.data[self.offsets[index] : self.offsets[index + 1]]

    def __iter__(self) -> Iterator[bytes]:
        return (self[index] for index in range(len(self)))

    def pack(self) -> bytes:
        """Convert the frame to bytes."""
        return struct.pack(f"<{len(self.offsets)}I", len(self), *self.offsets[1:]) + self.data

    @classmethod
    def unpack(cls, packed: bytes) -> Frame:
        """Convert bytes to a frame. Raises `ValueError` if they are not a packed frame."""
        try:
            [count] = struct.unpack_from("<I", packed)
            offsets = array("I", (0, *struct.unpack_from(f"<{count}I", packed, 4)))
        except struct.error as error:
            raise ValueError(f"a frame of {len(packed)} bytes: {error}") from error
        data = packed[4 * len(offsets) :]
        if offsets[-1] != len(data):
            raise ValueError(f"a frame whose items take {offsets[-1]} bytes, not {len(data)}")
        return cls(data, offsets)


EMPTY = Frame.of([])


class Record(NamedTuple):
    """A receipt or a refusal.

    `head` contains the columns of `tillstream.receipt.model.HEAD_COLUMNS`, separated by tabs. `body` is the
    receipt in tillstream's JSON format, or empty for a refusal. `original` is the content as it was received, or empty
    if it equals the body.
    """

    head: bytes
    body: bytes
    original: bytes


@dataclass(slots=True)
class Batch:
    """Records to append. `heads[i]`, `bodies[i]` and `originals[i]` are the parts of one `Record`."""

    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    originals: list[bytes] = field(default_factory=list)
    size_bytes: int = 0

    def __len__(self) -> int:
        return len(self.heads)

    def add(self, head: bytes, body: bytes, original: bytes = b"") -> None:
        """Add one record."""
        self.heads.append(head)
        self.bodies.append(body)
        self.originals.append(original)
        self.size_bytes += len(head) + len(body) + len(original)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive records of one partition, or a fault in place of unreadable records.

    `position` is where a reader continues after the chunk. If `fault` is not empty, it is the reason why
    `count` records cannot be read, and the frames are empty. If `own_offsets` is true, each record has its own offset:
    `offset`, `offset + 1`, and so on. If it is false, all records have the offset `offset` and the indexes 0, 1, 2…
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
        """The ids of the records in order. A record has the same id in every read."""
        first = pack_record_id(self.partition, self.offset, 0)
        step = 1 << _INDEX_BITS if self.own_offsets else 1
        return range(first, first + self.count * step, step)


class Log(ABC):
    """An ordered, durable queue of receipts and refusals. Only ingest appends, and many processes can read.

    *Delivery*: at least once, in order within each partition. When `append` returns, its records survive a
    crash of the process and of the machine. If `append` raises an error, its records may or may not be in the log.
    Their senders get no acknowledgement and send them again, so the log can contain a receipt twice. No two records
    ever get the same id, even if the log loses records.
    """

    @abstractmethod
    def append(self, batch: Batch) -> None:
        """Make the batch durable.

        If this method raises `LogFull` or `LogUnavailable`, the caller must not acknowledge any record of the batch.
        """

    @abstractmethod
    def read(self, after: Position, limit: int) -> Iterator[Chunk]:
        """Yield the chunks after a position. They contain about `limit` records in total.

        Damage (a wrong checksum, a gap) is yielded as a chunk with a `fault`. Raises `LogUnavailable` if the log
        cannot be read now. This error skips no records: another read after the same position yields them.
        """

    @abstractmethod
    def fetch(self, record_ids: Sequence[int]) -> dict[int, Record]:
        """Return the records by id. Missing and unreadable records are left out."""

    @abstractmethod
    def end(self) -> Position:
        """Return the position of a reader that has read all readable records."""

    @abstractmethod
    def count(self, upto: Position) -> int:
        """Return the number of records up to and including a position. Damaged records count too."""

    @abstractmethod
    def publish(self, position: Position, *, committed: bool) -> None:
        """Publish a position of the engine to all processes that use the log.

        The engine calls this method with `committed=False` before it commits the position to the database, and with
        `committed=True` after the commit. If the call before the commit raises `LogUnavailable`, the engine must not
        commit. After any call has returned, no new record gets an offset at or before the position, even if the log
        loses its last records.
        """

    @abstractmethod
    def lag(self) -> int:
        """Return the number of records after the last position that the engine has committed."""

    @abstractmethod
    def close(self) -> None:
        """Close all files and connections."""
