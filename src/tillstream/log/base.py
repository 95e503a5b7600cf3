"""The log port: what was acknowledged, in order, until nobody needs it any more."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tillstream.log.frame import Frame

_INDEX_BITS = 20
PARTITION_SHIFT = 56
"""Where the partition begins in a packed place."""

MOST_RECORDS = 1 << _INDEX_BITS
"""In one chunk."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a reader has come: the last offset read of every partition (-1: none yet).

    Opaque to everyone but the log that made it; the database keeps its text beside its state.
    """

    offsets: tuple[int, ...] = (-1,)

    def __str__(self) -> str:
        return ",".join(map(str, self.offsets))

    @classmethod
    def parse(cls, text: str) -> Position:
        return cls(tuple(int(part) for part in text.split(",")))


START = Position()


def pack_place(partition: int, offset: int, index: int) -> int:
    """One signed 64-bit integer for a record's place: unique in the log, ascending per partition.

    7 bits of partition, 36 of offset, 20 of index within a group commit.
    """
    return partition << PARTITION_SHIFT | offset << _INDEX_BITS | index


def unpack_place(place: int) -> tuple[int, int, int]:
    """The partition, offset and index that `pack_place` took."""
    offset = place >> _INDEX_BITS & (1 << PARTITION_SHIFT - _INDEX_BITS) - 1
    return place >> PARTITION_SHIFT, offset, place & (1 << _INDEX_BITS) - 1


def place_now(place: int) -> int:
    """Where a record stands whose place was noted when streams, which have partitions above 0, counted from the
    beginning of a read."""
    partition, offset, index = unpack_place(place)
    return pack_place(partition, offset + index, 0) if partition else place


@dataclass(slots=True)
class Batch:
    """Records on their way in, as parallel lists: `heads[i]`, `bodies[i]`, `originals[i]`.

    A head is one line of `tillstream.receipt.HEAD_COLUMNS`. A body is canonical JSON (empty for a
    refusal). An original is what came, where it differs from the body (empty where it doesn't).
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
    """Records on their way out: one group commit, or the faults where one should have been.

    `position` is the reader's position once the chunk is dealt with. Where `fault` is set, the
    `count` records of the chunk cannot be read, and its frames are empty. With `own_offsets` each
    record has an offset of its own, from `offset` on without a gap, and chunks may be cut anywhere;
    otherwise all have the same one.
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
    def places(self) -> range:
        """Of its records, in order: the same ones in every read."""
        first = pack_place(self.partition, self.offset, 0)
        step = 1 << _INDEX_BITS if self.own_offsets else 1
        return range(first, first + self.count * step, step)


class Log(ABC):
    """An ordered, durable queue of receipts and refusals with one writer role and many readers.

    *Delivery*: at least once, in order per partition. A record is in the log from the moment that
    `append` returns, and survives the death of the process and of the machine; a record of an
    `append` that raised may be in it or not, and is sent again by whoever got no answer. A
    position is never reused, not even after everything before it was trimmed or lost.
    """

    @abstractmethod
    def append(self, batch: Batch) -> Position:
        """Make the batch durable and return the position behind it.

        Raises `LogFull` or `LogUnavailable`; then nothing of the batch may be acknowledged.
        """

    @abstractmethod
    def read(self, after: Position, limit: int) -> Iterator[Chunk]:
        """Chunks behind `after`, until at least `limit` records were given or the end is reached.

        Damage (a bad checksum, a gap) comes as a chunk with its `fault` told, never as an error.
        Raises `LogUnavailable` where nothing can be read now; then nothing is passed over.
        """

    @abstractmethod
    def fetch(self, places: Sequence[int]) -> dict[int, tuple[bytes, bytes, bytes]]:
        """Head, body and original of the records at these places; a missing place is left out."""

    @abstractmethod
    def end(self) -> Position:
        """The position behind the last record that can be read now."""

    @abstractmethod
    def count(self, upto: Position) -> int:
        """How many records were acknowledged up to and with `upto`, damaged ones included."""

    @abstractmethod
    def publish(self, position: Position, *, committed: bool) -> None:
        """Tell the writer that the engine is about to commit up to `position`, or that it has.

        Once it returns, nothing at or before `position` is ever reused, not even by a log that has
        lost its end: so it is called before a commit of the database, and again behind it. Only what is
        committed counts as read. Raises `LogUnavailable`; then nothing may be committed.
        """

    @abstractmethod
    def lag(self) -> int:
        """How many records stand between what the engine has committed and the end."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the log. Everything that `append` returned for stays."""
