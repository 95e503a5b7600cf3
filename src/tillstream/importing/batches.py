"""What a file holds as bounded batches: lines for ingest, and what was found of each place in the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.formats import envelope
from tillstream.formats.base import Record, Skip, Unreadable
from tillstream.importing.checkpoint import Refusal
from tillstream.importing.source_file import SourceFile
from tillstream.receipt.model import Fault
from tillstream.receipt.validation import ReceiptError, Validator

RECEIPTS = 1_000
BYTES = 2 * 1024 * 1024
ITEMS = 20_000
"""Bounds of a batch: lines, their bytes, and everything in it, what is skipped too."""

# Of each thing that no receipt can be made of; ingest tells as many.
_FAULTS_TOLD = 20


@dataclass(slots=True)
class Batch:
    """The items of a file from `first` up to `end`, this one excluded, counted from 0.

    `lines` are what ingest gets, `places` the index of each; `told` has those that decoding found to be no receipts.
    """

    first: int
    end: int
    lines: list[bytes] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    told: dict[int, Refusal] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    size: int = 0


def batches(opened: SourceFile, settings: Settings, clock: Clock, entrance: str, done: int = 0) -> Iterator[Batch]:
    """Everything in the file behind its first `done` items. Raises `OSError` where it cannot be read on.

    What was done already comes as batches without lines, so that nobody waits long for the next one.
    """
    limit = min(RECEIPTS, settings.batch_limit_receipts)
    limit_bytes = min(BYTES, settings.body_limit_bytes)
    lines = _Lines(settings, clock, f"{opened.decoder.name}/{entrance}")
    batch = Batch(0, 0)
    for index, item in enumerate(opened.items()):
        line, refusal = b"", None
        if index >= done and not isinstance(item, Skip):
            line, refusal = lines.of(item, index)
        if (
            batch.end - batch.first >= ITEMS
            or len(batch.lines) >= limit
            or (batch.lines and batch.size + len(line) > limit_bytes)
            or index == done
        ):
            yield batch
            batch = Batch(index, index)
        batch.end = index + 1
        if line:
            batch.lines.append(line)
            batch.places.append(index)
            batch.size += len(line) + 1
        if refusal is not None:
            batch.told[index] = refusal
        if isinstance(item, Skip) and index >= done:
            batch.skipped[item.kind] += 1
    yield batch


class _Lines:
    """Writes what was decoded as lines for ingest."""

    def __init__(self, settings: Settings, clock: Clock, source: str) -> None:
        self._limit_bytes = settings.receipt_limit_bytes
        # No line may be longer than what ingest reads as one.
        self._line_limit_bytes = 3 * settings.receipt_limit_bytes
        self._validator = Validator(settings)
        self._clock = clock
        self._source = source

    def of(self, item: Record | Unreadable, index: int) -> tuple[bytes, Refusal | None]:
        """The line, and for what is no receipt the reasons."""
        if isinstance(item, Unreadable):
            return self._refused(item, index)
        try:
            line = envelope.receipt(item, self._source)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._refused(self._examined(item), index)
        if len(line) > self._line_limit_bytes:
            error = f"the receipt takes {max(len(item.body), len(item.original))} bytes, more than {self._limit_bytes}"
            faults = [Fault("$", error, "the setting is receipt_limit_bytes")]
            return self._refused(Unreadable(faults, item.original or item.body, "", item.source), index)
        return line, None

    def _examined(self, record: Record) -> Unreadable:
        """What is wrong with a body that is no JSON, in the words of validation."""
        faults = [Fault("$", "not JSON")]
        try:
            self._validator.check(record.body, self._clock.now_us(), self._source, record.day)
        except ReceiptError as error:
            faults = list(error.faults)
        return Unreadable(faults, record.original or record.body, "", record.source)

    def _refused(self, item: Unreadable, index: int) -> tuple[bytes, Refusal]:
        faults = item.faults[:_FAULTS_TOLD]
        line = envelope.refusal(faults, item.original[: self._limit_bytes], item.source or self._source)
        return line, Refusal(index, item.where or place(index), [fault.as_dict() for fault in faults])


def place(index: int) -> str:
    """Where an item is, for people, if its format knows no better."""
    return f"record {index + 1}"
