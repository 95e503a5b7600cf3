"""The quarantine: entries, conflicts and counts."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from tillstream.receipt.model import Fault
from tillstream.web.api.schemas.types import Day, EntryId, Instant, ReceiptKey


class Resolution(Struct, frozen=True):
    """The decision about an entry of the quarantine."""

    decision: str
    at: Instant
    key: str | None


class Entry(Struct, frozen=True):
    """An entry of the quarantine, with the reasons."""

    id: EntryId
    received_at: Instant
    day: Day
    kind: str
    source: str | None
    key: str | None
    reasons: list[Fault]
    reason: str
    size_bytes: int
    settled: Resolution | None


class Entries(Struct, frozen=True):
    """One page of entries, and the cursor of the next page."""

    entries: list[Entry]
    next: str | None


class FirstVersion(Struct, frozen=True):
    """The receipt that counts where a later version is in conflict with it."""

    key: ReceiptKey
    received_at: Instant
    source: str
    original: str | None


class ComparedField(Struct, frozen=True):
    """A field of both versions; null where a version does not have it."""

    path: str
    first: str | None
    second: str | None
    differs: bool


class Conflict(Struct, frozen=True):
    """Two versions of one receipt."""

    first: FirstVersion
    fields: list[ComparedField]


class EntryDetails(Entry, frozen=True):
    """An entry with its original text, in which persons are masked. A conflict has both versions."""

    original: str | None
    conflict: Conflict | UnsetType = UNSET


class KindCount(Struct, frozen=True):
    """Entries of one kind."""

    kind: str
    entries: int


class ReasonCount(Struct, frozen=True):
    """Entries with one reason."""

    reason: str
    entries: int
    path: str
    error: str


class SourceCount(Struct, frozen=True):
    """Entries from one source."""

    source: str
    entries: int


class QuarantineCounts(Struct, frozen=True):
    """The entries of one day of receipt, and the decisions of that day."""

    day: Day
    entries: int
    by_kind: list[KindCount]
    by_reason: list[ReasonCount]
    by_source: list[SourceCount]
    replayed: int
    discarded: int
    dropped: int
