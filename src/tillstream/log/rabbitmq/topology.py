"""The exchanges and streams on the broker, and the messages in the two control streams.

One control stream contains the progress: the positions of the engine. The other one contains the directory: the list
of all other streams.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, Final

import msgspec

from tillstream.config.settings import Settings
from tillstream.log.base import START, Position

RECEIPTS = "receipts"
"""The public exchange for receipts. It is a non-durable fanout exchange, because existing clients declare it as one."""

FIGURES = ("count", "categories", "metrics-db", "metrics-storm")
"""The public exchanges for the running figures of the day. They are also non-durable fanout exchanges."""

FILTER = "tillstream.sift"
COPIES = "tillstream.copies"
PARTITIONER = "tillstream.spread"

PACKED = "tillstream.aside"
"""The name of the exchange and of the stream for packed records: refusals, and receipts with an original."""

COPY_HEADER = "tillstream-copy"
"""The header that marks a copy for subscribers. The record itself is in the packed stream."""

PROGRESS_STREAM = "tillstream.progress"
DIRECTORY_STREAM = "tillstream.streams"

PACKED_PARTITION = 1
"""The partition of the packed stream. The streams of receipts are the partitions from 2 upwards.

Only the log on SQLite uses partition 0, so a record id shows from which kind of log it comes.
"""

QUEUE_TYPE = "x-queue-type"
NEW_STREAM_DELAY_S = 3.0
"""The time between the declaration of a stream and the first append to it.

RabbitMQ writes a new stream to its tables about two seconds after the declaration. If the broker is killed
earlier, it forgets the stream.
"""

NO_OFFSET = START.offsets[0]

_SEGMENTS_PER_STREAM = 10
_PROGRESS_BYTES = 8 * 1024 * 1024
_PROGRESS_SEGMENT_BYTES = 1024 * 1024


INTERNAL_EXCHANGES: Final[Sequence[dict[str, Any]]] = (
    {"exchange": PARTITIONER, "exchange_type": "x-consistent-hash", "internal": True},
    {"exchange": COPIES, "exchange_type": "fanout", "internal": True},
    # `FILTER` keeps copies out of the streams: they go to `COPIES`, which has no queue, so the broker drops them. All
    # other messages go to `PARTITIONER`, which distributes them among the streams of receipts.
    {
        "exchange": FILTER,
        "exchange_type": "headers",
        "internal": True,
        "arguments": {"alternate-exchange": PARTITIONER},
    },
    {"exchange": PACKED, "exchange_type": "fanout"},
)
"""The arguments with which pika's `exchange_declare` declares the durable exchanges."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One of the successive streams of a partition. Its first message has the offset `after + 1` in the partition.

    If a stream loses its last messages or is deleted, the partition continues with a new generation. A stream with
    the same name would give the lost offsets to new messages, and the engine would skip these messages as already read.
    """

    partition: int
    after: int = NO_OFFSET

    @property
    def name(self) -> str:
        """The name of the stream."""
        number = self.partition - PACKED_PARTITION - 1
        base = PACKED if number < 0 else f"tillstream.receipts.{number}"
        return base + (f".after-{self.after}" if self.after != NO_OFFSET else "")

    def log_offset(self, stream_offset: int) -> int:
        """Convert an offset of the stream to an offset of the partition."""
        return self.after + 1 + stream_offset

    def stream_offset(self, log_offset: int) -> int:
        """Convert an offset of the partition to an offset of the stream."""
        return log_offset - self.after - 1


class DirectoryEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message of the directory stream. It adds a generation or a hole to a partition.

    `after` is the offset after which the generation starts. `hole` is an offset without a record.
    """

    partition: int = msgspec.field(name="stream")
    after: int | None = None
    hole: int | None = None


class Directory:
    """The generations and the holes of every partition. A hole is an offset without a record."""

    def __init__(self) -> None:
        self._generations: dict[int, list[Generation]] = {}
        self._holes: defaultdict[int, list[int]] = defaultdict(list)

    def add(self, entry: DirectoryEntry) -> None:
        """Add a generation or a hole, unless it is already in the directory."""
        if entry.after is not None:
            generations = {*self.generations(entry.partition), Generation(entry.partition, entry.after)}
            self._generations[entry.partition] = sorted(generations, key=lambda each: each.after)
        if entry.hole is not None:
            self._holes[entry.partition] = sorted({*self._holes[entry.partition], entry.hole})

    def generations(self, partition: int) -> list[Generation]:
        """Return the generations of a partition in the order of their offsets."""
        return self._generations.get(partition) or [Generation(partition)]

    def current(self, partition: int) -> Generation:
        """Return the last generation of a partition."""
        return self.generations(partition)[-1]

    def find(self, partition: int, log_offset: int) -> tuple[Generation, Generation | None]:
        """Return the generation that contains an offset, and the next generation or None."""
        known = self.generations(partition)
        index = max(bisect_right([each.after for each in known], log_offset - 1) - 1, 0)
        return known[index], known[index + 1] if index + 1 < len(known) else None

    @property
    def partitions(self) -> set[int]:
        """The partitions that have an entry in the directory."""
        return {*self._generations, *self._holes}

    def records(self, partition: int, after: int, upto: int) -> int:
        """Return the number of records with offsets from `after + 1` to `upto`."""
        holes = self._holes.get(partition, [])
        return upto - after - bisect_right(holes, upto) + bisect_right(holes, after)

    def is_hole(self, partition: int, offset: int) -> bool:
        """Whether the offset is a known hole."""
        return offset in self._holes.get(partition, [])

    def count(self, position: Position) -> int:
        """Return the number of records at or before the position."""
        offsets = enumerate(position.offsets, 1)
        return sum(self.records(partition, NO_OFFSET, offset) for partition, offset in offsets)


def offset_of(position: Position, partition: int) -> int:
    """Return the offset of a partition in a position. Partitions are numbered from 1."""
    return position.offsets[partition - 1] if partition <= len(position.offsets) else NO_OFFSET


def position_of(offsets: Iterable[int]) -> Position:
    """Return the position for the offsets of the partitions 1, 2, 3… Unread partitions at the end are left out."""
    found = list(offsets)
    while len(found) > 1 and found[-1] == NO_OFFSET:
        found.pop()
    return Position(tuple(found)) if found else START


@dataclass(frozen=True, slots=True)
class Progress:
    """The last positions that the engine has published.

    The engine has committed the records up to `committed`, and may have committed the records up to `prepared`.
    `prepared` never decreases.
    """

    committed: Position = START
    prepared: Position = START

    def advance(self, position: Position, *, committed: bool) -> Progress:
        """Return the progress after the engine has published a position."""
        advanced = replace(self, prepared=_maximum(self.prepared, position))
        return replace(advanced, committed=position) if committed else advanced

    def merge(self, other: Progress) -> Progress:
        """Return this progress with the maximum of both prepared positions."""
        return replace(self, prepared=_maximum(self.prepared, other.prepared))

    def encode(self) -> bytes:
        """Convert the progress to a message of the progress stream."""
        return msgspec.json.encode({"committed": str(self.committed), "reach": str(self.prepared)})

    @classmethod
    def decode(cls, message: bytes) -> Progress:
        """Convert a message of the progress stream. Raises `ValueError` or `KeyError`."""
        found = msgspec.json.decode(message, type=dict[str, str])
        return cls(Position.parse(found["committed"]), Position.parse(found["reach"]))


def _maximum(one: Position, other: Position) -> Position:
    return position_of(map(max, zip_longest(one.offsets, other.offsets, fillvalue=NO_OFFSET)))


def partitions(settings: Settings) -> range:
    """Return the partitions to which new records are published."""
    return range(PACKED_PARTITION, PACKED_PARTITION + 1 + settings.rabbitmq_partitions)


def stream_arguments(settings: Settings) -> dict[str, Any]:
    """Return the arguments that declare a stream of records."""
    arguments: dict[str, Any] = {QUEUE_TYPE: "stream"}
    segment = settings.rabbitmq_segment_bytes
    if settings.rabbitmq_retention_bytes:
        arguments["x-max-length-bytes"] = settings.rabbitmq_retention_bytes
        # The broker drops old messages only in whole segments (files). With several segments per stream, it drops only
        # a part of the messages at a time.
        segment = max(1, min(segment, settings.rabbitmq_retention_bytes // _SEGMENTS_PER_STREAM))
    arguments["x-stream-max-segment-size-bytes"] = segment
    if settings.rabbitmq_retention_age_s:
        arguments["x-max-age"] = f"{settings.rabbitmq_retention_age_s}s"
    return arguments


CONTROL_STREAMS: Final[dict[str, dict[str, Any]]] = {
    PROGRESS_STREAM: {
        QUEUE_TYPE: "stream",
        "x-max-length-bytes": _PROGRESS_BYTES,
        "x-stream-max-segment-size-bytes": _PROGRESS_SEGMENT_BYTES,
    },
    DIRECTORY_STREAM: {QUEUE_TYPE: "stream"},
}
"""The arguments that declare each control stream, by the name of the stream."""
