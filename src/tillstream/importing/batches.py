"""Cuts the decoded items of a file into bounded batches of lines for ingest."""

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

RECEIPTS_LIMIT = 1_000
BYTES_LIMIT = 2 * 1024 * 1024
ITEMS_LIMIT = 20_000
"""Limits of a batch: its lines, their bytes, and all its items including the skipped ones."""

# Ingest reports the same number.
_FAULTS_LIMIT = 20


@dataclass(slots=True)
class Batch:
    """The items of a file from index `first` up to but not including `end`.

    `lines` go to ingest, and `indexes` has the index of each. `refusals` has the items that cannot be decoded.
    """

    first: int
    end: int
    lines: list[bytes] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    refusals: dict[int, Refusal] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    size: int = 0


def batches(file: SourceFile, settings: Settings, clock: Clock, channel: str, done: int = 0) -> Iterator[Batch]:
    """The batches of a file. The first `done` items come as batches without lines.

    `channel` is the second part of the receipts' source. Raises `OSError` if the file cannot be read to its end.
    """
    limit = min(RECEIPTS_LIMIT, settings.batch_limit_receipts)
    limit_bytes = min(BYTES_LIMIT, settings.body_limit_bytes)
    lines = _LineEncoder(settings, clock, f"{file.decoder.name}/{channel}")
    batch = Batch(0, 0)
    for index, item in enumerate(file.items()):
        line, refusal = b"", None
        if index >= done and not isinstance(item, Skip):
            line, refusal = lines.encode(item, index)
        if (
            batch.end - batch.first >= ITEMS_LIMIT
            or len(batch.lines) >= limit
            or (batch.lines and batch.size + len(line) > limit_bytes)
            or index == done
        ):
            yield batch
            batch = Batch(index, index)
        batch.end = index + 1
        if line:
            batch.lines.append(line)
            batch.indexes.append(index)
            batch.size += len(line) + 1
        if refusal is not None:
            batch.refusals[index] = refusal
        if isinstance(item, Skip) and index >= done:
            batch.skipped[item.kind] += 1
    yield batch


class _LineEncoder:
    """Encodes decoded items as lines for ingest."""

    def __init__(self, settings: Settings, clock: Clock, source: str) -> None:
        self._limit_bytes = settings.receipt_limit_bytes
        # Ingest reads no longer line.
        self._line_limit_bytes = 3 * settings.receipt_limit_bytes
        self._validator = Validator(settings)
        self._clock = clock
        self._source = source

    def encode(self, item: Record | Unreadable, index: int) -> tuple[bytes, Refusal | None]:
        """The line, and a refusal if the item is not a receipt."""
        if isinstance(item, Unreadable):
            return self._refuse(item, index)
        try:
            line = envelope.receipt(item, self._source)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._refuse(self._validated(item), index)
        if len(line) > self._line_limit_bytes:
            error = f"the receipt takes {max(len(item.body), len(item.original))} bytes, more than {self._limit_bytes}"
            faults = [Fault("$", error, "the setting is receipt_limit_bytes")]
            return self._refuse(Unreadable(faults, item.original or item.body, "", item.source), index)
        return line, None

    def _validated(self, record: Record) -> Unreadable:
        """A record whose body is not JSON, with the faults that validation finds."""
        faults = [Fault("$", "not JSON")]
        try:
            self._validator.check(record.body, self._clock.now_us(), self._source, record.day)
        except ReceiptError as error:
            faults = list(error.faults)
        return Unreadable(faults, record.original or record.body, "", record.source)

    def _refuse(self, item: Unreadable, index: int) -> tuple[bytes, Refusal]:
        faults = item.faults[:_FAULTS_LIMIT]
        line = envelope.refusal(faults, item.original[: self._limit_bytes], item.source or self._source)
        return line, Refusal(index, item.where or location(index), [fault.as_dict() for fault in faults])


def location(index: int) -> str:
    """The location of an item in messages, for formats that provide none."""
    return f"record {index + 1}"
