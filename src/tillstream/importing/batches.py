"""Encodes the decoded items of a file as lines for ingest, in batches of limited size.

A decoded item is a receipt, an unreadable part of the file, or a record that is skipped because it is not a sale.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

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
"""The limits of a batch: number of lines, total size of the lines, and number of items. A skipped item has no line."""

# The maximum number of faults that are kept for each item. Ingest has the same limit for each receipt of a batch.
_FAULTS_LIMIT = 20


@dataclass(slots=True)
class Batch:
    """The items of a file from index `first` to index `end - 1`.

    `lines` are sent to ingest. For each line, `indexes` has the index of its item, such as `[4, 6, 7]` if item 5 is
    skipped. `refusals` has the items that the import itself refuses, by index. Such an item also has a line, which
    tells ingest to put the item into quarantine.
    """

    first: int
    end: int
    lines: list[bytes] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    refusals: dict[int, Refusal] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    size: int = 0


def batches(file: SourceFile, settings: Settings, clock: Clock, channel: str, done: int = 0) -> Iterator[Batch]:
    """Decode a file, skip its first `done` items, and return the others in batches.

    `channel` is `import` or `inbox`. It becomes the second part of each receipt's source, such as `json/inbox`. Raises
    `OSError` if the file cannot be read completely.
    """
    limit = min(RECEIPTS_LIMIT, settings.batch_limit_receipts)
    limit_bytes = min(BYTES_LIMIT, settings.body_limit_bytes)
    encoder = _LineEncoder(settings, clock, f"{file.decoder.name}/{channel}")
    batch = Batch(done, done)
    for index, item in islice(enumerate(file.items()), done, None):
        line, refusal = (b"", None) if isinstance(item, Skip) else encoder.encode(item, index)
        if (
            batch.end - batch.first >= ITEMS_LIMIT
            or len(batch.lines) >= limit
            or (batch.lines and batch.size + len(line) > limit_bytes)
        ):
            yield batch
            batch = Batch(index, index)
        batch.end = index + 1
        if isinstance(item, Skip):
            batch.skipped[item.kind] += 1
            continue
        batch.lines.append(line)
        batch.indexes.append(index)
        batch.size += len(line) + 1
        if refusal is not None:
            batch.refusals[index] = refusal
    yield batch


class _LineEncoder:
    """Encodes decoded items as lines for ingest."""

    def __init__(self, settings: Settings, clock: Clock, source: str) -> None:
        self._limit_bytes = settings.receipt_limit_bytes
        # The maximum length of a line that ingest accepts.
        self._line_limit_bytes = 3 * settings.receipt_limit_bytes
        self._validator = Validator(settings)
        self._clock = clock
        self._source = source

    def encode(self, item: Record | Unreadable, index: int) -> tuple[bytes, Refusal | None]:
        """Return the line of an item, and a refusal if the item cannot be sent as a receipt."""
        if isinstance(item, Record):
            try:
                line = envelope.receipt(item, self._source)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                faults = self._faults(item)
            else:
                if len(line) <= self._line_limit_bytes:
                    return line, None
                size = max(len(item.body), len(item.original))
                error = f"the receipt takes {size} bytes, more than {self._limit_bytes}"
                faults = [Fault("$", error, "the setting is receipt_limit_bytes")]
            item = Unreadable(faults, item.original or item.body, "", item.source)
        faults = list(item.faults[:_FAULTS_LIMIT])
        line = envelope.refusal(faults, item.original[: self._limit_bytes], item.source or self._source)
        return line, Refusal.of(index, faults, item.where)

    def _faults(self, record: Record) -> list[Fault]:
        """Find the faults of a record whose body is not JSON."""
        try:
            self._validator.check(record.body, self._clock.now_us(), self._source, record.day)
        except ReceiptError as error:
            return list(error.faults)
        return [Fault("$", "not JSON")]
