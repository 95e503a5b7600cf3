"""Exchanges and streams on the broker, and the state that the control streams hold."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any, Final

import msgspec

from tillstream.config.settings import Settings
from tillstream.log.base import START, Position

RECEIPTS = "receipts"
"""The public exchange for receipts: fanout and not durable, as existing clients declare it."""

FIGURES = ("count", "categories", "metrics-db", "metrics-storm")
"""The public exchanges for the running figures of the day, declared in the same way."""

FILTER = "tillstream.sift"
COPIES = "tillstream.copies"
PARTITIONER = "tillstream.spread"

PACKED = "tillstream.aside"
"""The exchange and the stream of packed records: refusals, and receipts with an original."""

COPY_HEADER = "tillstream-copy"
"""Marks a message for subscribers whose record is in the packed stream."""

PROGRESS_STREAM = "tillstream.progress"
DIRECTORY_STREAM = "tillstream.streams"

PACKED_PARTITION = 1
"""Streams of receipts have the partitions after it. There is no partition 0, so 0 is never a record id."""

QUEUE_TYPE = "x-queue-type"
NEW_STREAM_DELAY_S = 3.0
"""Time between the declaration of a stream and the first append to it. RabbitMQ writes its tables to disk
about two seconds after the files of a stream; a broker that is killed before that forgets the stream."""

NO_OFFSET = START.offsets[0]

_SEGMENTS_PER_STREAM = 10
_PROGRESS_BYTES = 8 * 1024 * 1024
_PROGRESS_SEGMENT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange to declare; `arguments` are the broker's."""

    name: str
    kind: str
    durable: bool = True
    internal: bool = True
    arguments: dict[str, Any] = field(default_factory=dict)


INTERNAL_EXCHANGES: Final = (
    Exchange(PARTITIONER, "x-consistent-hash"),
    Exchange(COPIES, "fanout"),
    # Copies match its binding to an exchange without a queue. All other messages go to the alternate exchange.
    Exchange(FILTER, "headers", arguments={"alternate-exchange": PARTITIONER}),
    Exchange(PACKED, "fanout", internal=False),
)

PUBLIC_EXCHANGES: Final = tuple(
    Exchange(name, "fanout", durable=False, internal=False) for name in (*FIGURES, RECEIPTS)
)
"""Exchanges that the broker forgets when it restarts. They are declared after the internal ones."""


@dataclass(frozen=True, slots=True)
class Generation:
    """A stream that holds the offsets of its partition after `after`.

    When a stream loses its end or is deleted, a new generation follows it, so that no offset is reused.
    """

    partition: int
    after: int = NO_OFFSET

    @property
    def name(self) -> str:
        number = self.partition - PACKED_PARTITION - 1
        base = PACKED if number < 0 else f"tillstream.receipts.{number}"
        return base + (f".after-{self.after}" if self.after != NO_OFFSET else "")

    def log_offset(self, stream_offset: int) -> int:
        return self.after + 1 + stream_offset

    def stream_offset(self, log_offset: int) -> int:
        return log_offset - self.after - 1


class Directory:
    """The generations of every partition, and its holes: offsets that the broker used for itself."""

    def __init__(self) -> None:
        self._generations: dict[int, list[Generation]] = {}
        self._holes: defaultdict[int, list[int]] = defaultdict(list)

    def add(self, message: bytes) -> None:
        """Add a message of the directory stream. Raises `ValueError` or `KeyError`."""
        entry = msgspec.json.decode(message, type=dict[str, int])
        partition = entry["stream"]
        if "after" in entry:
            self.add_generation(Generation(partition, entry["after"]))
        elif entry["hole"] not in self._holes[partition]:
            self._holes[partition].append(entry["hole"])
            self._holes[partition].sort()

    def add_generation(self, generation: Generation) -> None:
        known = self.generations(generation.partition)
        self._generations[generation.partition] = sorted({*known, generation}, key=lambda each: each.after)

    def generations(self, partition: int) -> list[Generation]:
        return self._generations.get(partition) or [Generation(partition)]

    def current(self, partition: int) -> Generation:
        return self.generations(partition)[-1]

    def find(self, partition: int, log_offset: int) -> tuple[Generation, Generation | None]:
        """The generation that holds an offset, and the next one."""
        known = self.generations(partition)
        index = max(bisect_right([each.after for each in known], log_offset - 1) - 1, 0)
        return known[index], known[index + 1] if index + 1 < len(known) else None

    @property
    def partitions(self) -> set[int]:
        return {*self._generations, *self._holes}

    def records(self, partition: int, after: int, upto: int) -> int:
        """The number of records after one offset, up to and including another."""
        holes = self._holes.get(partition, [])
        return upto - after - bisect_right(holes, upto) + bisect_right(holes, after)

    def is_hole(self, partition: int, offset: int) -> bool:
        return offset in self._holes.get(partition, [])

    def count(self, position: Position) -> int:
        """The number of records at or before the position."""
        offsets = enumerate(position.offsets, 1)
        return sum(self.records(partition, NO_OFFSET, offset) for partition, offset in offsets)


def encode_generation(generation: Generation) -> bytes:
    """The message of the directory stream for a new generation."""
    return msgspec.json.encode({"stream": generation.partition, "after": generation.after})


def encode_hole(partition: int, offset: int) -> bytes:
    """The message of the directory stream for a hole."""
    return msgspec.json.encode({"stream": partition, "hole": offset})


def offset_of(position: Position, partition: int) -> int:
    """The last offset of a partition in a position. Partitions count from 1."""
    return position.offsets[partition - 1] if partition <= len(position.offsets) else NO_OFFSET


def position_of(offsets: Iterable[int]) -> Position:
    """The position for the offsets of partitions 1, 2, 3…, without unread partitions at the end."""
    found = list(offsets)
    while len(found) > 1 and found[-1] == NO_OFFSET:
        found.pop()
    return Position(tuple(found)) if found else START


@dataclass(frozen=True, slots=True)
class Progress:
    """The engine's committed position, and its prepared position, which never goes back."""

    committed: Position = START
    prepared: Position = START

    def advance(self, position: Position, *, committed: bool) -> Progress:
        """The progress after the engine published a position."""
        advanced = replace(self, prepared=_maximum(self.prepared, position))
        return replace(advanced, committed=position) if committed else advanced

    def merge(self, other: Progress) -> Progress:
        """This progress, with the prepared position of the other if that is greater."""
        return replace(self, prepared=_maximum(self.prepared, other.prepared))

    def encode(self) -> bytes:
        return msgspec.json.encode({"committed": str(self.committed), "reach": str(self.prepared)})

    @classmethod
    def decode(cls, message: bytes) -> Progress:
        """Raises `ValueError`."""
        found = msgspec.json.decode(message, type=dict[str, str])
        try:
            return cls(Position.parse(found["committed"]), Position.parse(found["reach"]))
        except KeyError as error:
            raise ValueError(f"no {error} in it") from error


def _maximum(one: Position, other: Position) -> Position:
    return position_of(map(max, zip_longest(one.offsets, other.offsets, fillvalue=NO_OFFSET)))


def partitions(settings: Settings) -> range:
    """The partitions that new records go to."""
    return range(PACKED_PARTITION, PACKED_PARTITION + 1 + settings.rabbitmq_partitions)


def stream_arguments(settings: Settings) -> dict[str, Any]:
    arguments: dict[str, Any] = {QUEUE_TYPE: "stream"}
    segment = settings.rabbitmq_segment_bytes
    if settings.rabbitmq_retention_bytes:
        arguments["x-max-length-bytes"] = settings.rabbitmq_retention_bytes
        # The broker drops whole segments, so a stream needs several of them.
        segment = max(1, min(segment, settings.rabbitmq_retention_bytes // _SEGMENTS_PER_STREAM))
    arguments["x-stream-max-segment-size-bytes"] = segment
    if settings.rabbitmq_retention_age_s:
        arguments["x-max-age"] = f"{settings.rabbitmq_retention_age_s}s"
    return arguments


def control_streams() -> dict[str, dict[str, Any]]:
    """The arguments of the control streams by name."""
    short = {"x-max-length-bytes": _PROGRESS_BYTES, "x-stream-max-segment-size-bytes": _PROGRESS_SEGMENT_BYTES}
    return {PROGRESS_STREAM: {QUEUE_TYPE: "stream", **short}, DIRECTORY_STREAM: {QUEUE_TYPE: "stream"}}
