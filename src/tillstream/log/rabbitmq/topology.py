"""Exchanges and streams on the broker: their names, their arguments, and how they hang together."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from tillstream.config.settings import Settings
from tillstream.log.base import Position
from tillstream.log.rabbitmq.progress import NONE_YET

RECEIPTS = "receipts"
"""Public, as the seed's clients declare it: fanout, not durable."""

FIGURES = ("count", "categories", "metrics-db", "metrics-storm")
"""Public in the same way: the day's running figures, for whoever subscribes."""

SIFT = "tillstream.sift"
COPIES = "tillstream.copies"
SPREAD = "tillstream.spread"
ASIDE = "tillstream.aside"

COPY = "tillstream-copy"
"""The header of what subscribers get and the log has elsewhere."""

PROGRESS = "tillstream.progress"
STREAMS = "tillstream.streams"
"""The stream that lists the streams."""

ASIDE_NUMBER = 1
"""Of the stream aside; those of receipts have the numbers behind it. No stream has the number 0, so 0 is no place."""

STREAM = "x-queue-type"
SETTLE_S = 3.0
"""How long nothing is acknowledged after a stream was made: a broker that is killed before its own tables
are on disk, which takes it two seconds, has the files of the stream and no longer knows of it."""

_SEGMENTS_KEPT = 10
_PROGRESS_BYTES = 8 * 1024 * 1024
_PROGRESS_SEGMENT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Exchange:
    """One to declare. `arguments` are the broker's."""

    name: str
    kind: str
    durable: bool = True
    internal: bool = True
    arguments: dict[str, Any] = field(default_factory=dict)


BEHIND: Final = (
    Exchange(SPREAD, "x-consistent-hash"),
    Exchange(COPIES, "fanout"),
    # Copies go where no queue is; all else finds no binding and takes the alternate road.
    Exchange(SIFT, "headers", arguments={"alternate-exchange": SPREAD}),
    Exchange(ASIDE, "fanout", internal=False),
)
"""What stands behind `receipts` and survives a restart of the broker."""

PUBLIC: Final = tuple(Exchange(name, "fanout", durable=False, internal=False) for name in (*FIGURES, RECEIPTS))
"""What a restart of the broker takes with it; declared last, once all that stands behind it is in order."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One stream that holds the offsets of its number behind `after`.

    A stream that lost its end, or was deleted, is followed by another one, so that no offset comes twice.
    """

    number: int
    after: int = NONE_YET

    @property
    def name(self) -> str:
        base = ASIDE if self.number == ASIDE_NUMBER else f"{RECEIPTS}.{self.number - ASIDE_NUMBER - 1}"
        base = base.removeprefix("tillstream.")
        return f"tillstream.{base}" + (f".after-{self.after}" if self.after != NONE_YET else "")

    def log_offset(self, stream_offset: int) -> int:
        return self.after + 1 + stream_offset

    def stream_offset(self, log_offset: int) -> int:
        return log_offset - self.after - 1


class Directory:
    """The generations of every stream, and the holes in them: offsets that the broker kept for itself."""

    def __init__(self) -> None:
        self._generations: dict[int, list[Generation]] = {}
        self._holes: defaultdict[int, list[int]] = defaultdict(list)

    def add(self, text: bytes) -> None:
        """Take one message of the list of streams. Raises `ValueError`."""
        found = msgspec.json.decode(text, type=dict[str, int])
        number = found["stream"]
        if "after" in found:
            self.follow(Generation(number, found["after"]))
        elif found["hole"] not in self._holes[number]:
            self._holes[number].append(found["hole"])
            self._holes[number].sort()

    def follow(self, generation: Generation) -> None:
        known = self.generations(generation.number)
        self._generations[generation.number] = sorted({*known, generation}, key=lambda each: each.after)

    def generations(self, number: int) -> list[Generation]:
        return self._generations.get(number) or [Generation(number)]

    def current(self, number: int) -> Generation:
        return self.generations(number)[-1]

    def of(self, number: int, log_offset: int) -> tuple[Generation, Generation | None]:
        """The stream that holds this offset, and the one that follows it."""
        known = self.generations(number)
        index = max(bisect_right([each.after for each in known], log_offset - 1) - 1, 0)
        return known[index], known[index + 1] if index + 1 < len(known) else None

    @property
    def numbers(self) -> set[int]:
        return {*self._generations, *self._holes}

    def holes(self, number: int, upto: int) -> int:
        """How many offsets at or before `upto` are no records."""
        return bisect_right(self._holes[number], upto)

    def is_hole(self, number: int, offset: int) -> bool:
        return offset in self._holes[number]

    def count(self, position: Position) -> int:
        """How many records stand at or before the position."""
        pairs = enumerate(position.offsets, 1)
        return sum(offset + 1 - self.holes(number, offset) for number, offset in pairs)


def followed(generation: Generation) -> bytes:
    """The message that tells of a new generation."""
    return msgspec.json.encode({"stream": generation.number, "after": generation.after})


def hole(number: int, offset: int) -> bytes:
    """The message that tells of an offset which is no record."""
    return msgspec.json.encode({"stream": number, "hole": offset})


def numbers(settings: Settings) -> range:
    """Of the streams that receipts and refusals go to now."""
    return range(ASIDE_NUMBER, ASIDE_NUMBER + 1 + settings.rabbitmq_partitions)


def stream_arguments(settings: Settings) -> dict[str, Any]:
    arguments: dict[str, Any] = {STREAM: "stream"}
    segment = settings.rabbitmq_segment_bytes
    if settings.rabbitmq_retention_bytes:
        arguments["x-max-length-bytes"] = settings.rabbitmq_retention_bytes
        # The broker drops whole segments: they must be small beside what it is to keep.
        segment = max(1, min(segment, settings.rabbitmq_retention_bytes // _SEGMENTS_KEPT))
    arguments["x-stream-max-segment-size-bytes"] = segment
    if settings.rabbitmq_retention_age_s:
        arguments["x-max-age"] = f"{settings.rabbitmq_retention_age_s}s"
    return arguments


def control_streams() -> dict[str, dict[str, Any]]:
    """The streams beside the log, with their arguments."""
    short = {"x-max-length-bytes": _PROGRESS_BYTES, "x-stream-max-segment-size-bytes": _PROGRESS_SEGMENT_BYTES}
    return {PROGRESS: {STREAM: "stream", **short}, STREAMS: {STREAM: "stream"}}
