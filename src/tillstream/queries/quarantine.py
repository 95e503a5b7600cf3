"""Queries for the quarantine: the records that did not become receipts, with the reasons and the decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict

from tillstream.database.base import Database, Reader, Row
from tillstream.errors import BadQuery
from tillstream.log.base import Log
from tillstream.queries.filters import LIMIT, quarantine_conditions, read_page, requested_day
from tillstream.queries.redaction import MASK, Originals, fields
from tillstream.queries.serialization import Day, EntryId, Instant, ReceiptKey, zulu
from tillstream.receipt.amounts import NOISE_UNIT
from tillstream.receipt.business_day import Calendar
from tillstream.receipt.model import PERSONAL, Fault
from tillstream.receipt.normalization import CONTENT_SCHEMA
from tillstream.receipt.reasons import OTHER, split_group

FIELDS_LIMIT = 1_000
"""The maximum number of fields that are compared in each of two receipts."""

REASONS_LIMIT = 100
"""The maximum number of reasons that the totals count separately.

The oldest reasons are counted separately and all others together. A new reason therefore does not remove the count of
an old reason.
"""

SOURCES_LIMIT = 30
"""The maximum number of sources that the totals count separately. The oldest sources are counted separately."""

_COLUMNS = (
    "place, received_at, day, kind, source, key, reasons, reason, size_bytes, decision, settled_at, settled_key "
    "FROM quarantine LEFT JOIN decisions USING (place)"
)
_TOTALS = """WITH named AS (
        SELECT {name} AS name, CAST(sum(entries) AS BIGINT) AS entries, row_number() OVER (ORDER BY min(day), {name}) AS rank
        FROM set_aside GROUP BY {name})
    SELECT CASE WHEN rank <= {limit} THEN name ELSE '{other}' END AS name, CAST(sum(entries) AS BIGINT) AS entries
    FROM named GROUP BY 1 ORDER BY 1"""


class Resolution(Struct, frozen=True):
    """The decision about a quarantine entry."""

    decision: str
    at: Instant
    key: str | None


class Entry(Struct, frozen=True):
    """A quarantine entry and its reasons."""

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
    """The receipt that counts. A later version conflicts with it."""

    key: ReceiptKey
    received_at: Instant
    source: str
    original: str | None


class ComparedField(Struct, frozen=True):
    """A field of two versions of a receipt. `first` or `second` is null if the version lacks the field."""

    path: str
    first: str | None
    second: str | None
    differs: bool


class Conflict(Struct, frozen=True):
    """Two versions of one receipt."""

    first: FirstVersion
    fields: list[ComparedField]


class EntryDetails(Entry, frozen=True):
    """A quarantine entry with its original text. Personal data is masked. A conflict contains both versions."""

    original: str | None
    conflict: Conflict | UnsetType = UNSET


class KindCount(Struct, frozen=True):
    """The number of entries of one kind."""

    kind: str
    entries: int


class ReasonCount(Struct, frozen=True):
    """The number of entries with one reason."""

    reason: str
    entries: int
    path: str
    error: str


class SourceCount(Struct, frozen=True):
    """The number of entries from one source."""

    source: str
    entries: int


class QuarantineCounts(Struct, frozen=True):
    """The number of entries that arrived on one day, and the number of decisions on that day."""

    day: Day
    entries: int
    by_kind: list[KindCount]
    by_reason: list[ReasonCount]
    by_source: list[SourceCount]
    replayed: int
    discarded: int
    dropped: int


class DamagedRecords(Struct, frozen=True):
    """Records of the log that could not be read."""

    offset_text: str
    records: int
    reason: str
    found_at: Instant


class Faults(Struct, frozen=True):
    """The damaged records that the engine found in the log, newest first."""

    faults: list[DamagedRecords]


class QuarantineTotals(Struct, frozen=True):
    """The number of entries of all days, by reason, by source and by decision.

    `waiting` is the number of entries without a decision, `waiting_bytes` the size of their originals in bytes.
    """

    reason: dict[str, int]
    source: dict[str, int]
    settled: dict[str, int]
    waiting: int
    waiting_bytes: int


class QuarantineEntries:
    """Reads quarantine entries and the list of damaged records from the database, and original texts from the log."""

    def __init__(self, database: Database, log: Log, calendar: Calendar, originals: Originals) -> None:
        self._database = database
        self._log = log
        self._calendar = calendar
        self._originals = originals

    def page(self, filters: Mapping[str, str] | None = None) -> Entries:
        """Return a page of entries, newest first. Raises `BadQuery`.

        The filters are `day`, `kind`, `source`, `reason` (a group such as `$.lines[].quantity missing`, or a part of a
        path or an error), `settled` (`1` for entries with a decision, `0` for entries without a decision; the default
        is `0`), `cursor` and `limit`.
        """
        rows, following = read_page(self._database, _COLUMNS, filters, quarantine_conditions)
        return Entries([_entry(row) for row in rows], following)

    def one(self, entry_id: str) -> EntryDetails | None:
        """Return an entry with its masked original text, or None if the entry does not exist. Raises `BadQuery`."""
        record_id = parse_entry_id(entry_id)
        with self._database.snapshot() as reader:
            rows = reader.query(f"SELECT {_COLUMNS} WHERE place = ?", [record_id])
            if not rows:
                return None
            receipt = _stored_receipt(reader, rows[0])
        return EntryDetails(
            **asdict(_entry(rows[0])),
            original=self._originals.text(record_id),
            conflict=UNSET if receipt is None else self._conflict(receipt, record_id),
        )

    def _conflict(self, receipt: Row, record_id: int) -> Conflict:
        record_ids = [receipt["place"], record_id]
        records = self._log.fetch(record_ids)
        first, second = (records[each][1] if each in records else b"{}" for each in record_ids)
        return Conflict(
            FirstVersion(
                receipt["key"].hex,
                zulu(receipt["received_at"]),
                receipt["source"],
                self._originals.text(receipt["place"]),
            ),
            differences(first, second),
        )

    def counts(self, day: str | None = None) -> QuarantineCounts:
        """Count the decisions of one day, and the entries that arrived on that day by kind, by reason and by source."""
        arrived = requested_day(self._calendar, day)
        with self._database.snapshot() as reader:
            rows = reader.query("SELECT kind, reason, source, entries FROM set_aside WHERE day = ?", [arrived])
            decisions = _decisions(reader, "WHERE settled_day = ?", [arrived])
            dropped = reader.query(
                "SELECT value FROM counters WHERE day = ? AND name = 'quarantine_dropped'", [arrived]
            )
        return QuarantineCounts(
            arrived.isoformat(),
            sum(row["entries"] for row in rows),
            [KindCount(*each) for each in _sums(rows, "kind")],
            [ReasonCount(reason, entries, *split_group(reason)) for reason, entries in _sums(rows, "reason")],
            [SourceCount(*each) for each in _sums(rows, "source")],
            decisions.get("replayed", 0),
            decisions.get("discarded", 0),
            int(dropped[0]["value"]) if dropped else 0,
        )

    def totals(self) -> QuarantineTotals:
        """Count the entries of all days by reason, by source and by decision."""
        with self._database.snapshot() as reader:
            reasons = _grouped(reader, "reason", REASONS_LIMIT, f"{OTHER} other")
            sources = _grouped(reader, "source", SOURCES_LIMIT, OTHER)
            decisions = _decisions(reader)
            [waiting] = reader.query(
                "SELECT count(*) AS entries, CAST(coalesce(sum(size_bytes), 0) AS BIGINT) AS bytes FROM quarantine "
                "LEFT JOIN decisions USING (place) WHERE decision IS NULL"
            )
        return QuarantineTotals(reasons, sources, decisions, waiting["entries"], waiting["bytes"])

    def faults(self) -> Faults:
        """Return the damaged records that the engine found in the log, newest first."""
        rows = self._database.query(
            "SELECT offset_text, records, reason, found_at FROM faults ORDER BY found_at DESC LIMIT ?", [LIMIT]
        )
        return Faults(
            [DamagedRecords(row["offset_text"], row["records"], row["reason"], zulu(row["found_at"])) for row in rows]
        )


def parse_entry_id(text: str) -> int:
    """Parse the id of an entry into a record id. Raises `BadQuery`."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 19 or int(text) >= 2**63:
        raise BadQuery("id", f"expected the id of an entry, got {text!r}")
    return int(text)


def _stored_receipt(reader: Reader, entry: Row) -> Row | None:
    """Return the stored receipt with which an entry conflicts, or None if there is none."""
    if entry["kind"] != "conflict":
        return None
    sql = "SELECT place, key, received_at, source FROM receipts WHERE key = CAST(? AS UUID)"
    return next(iter(reader.query(sql, [entry["key"]])), None)


def _decisions(reader: Reader, where: str = "", values: Sequence[Any] = ()) -> dict[str, int]:
    """Count the entries by decision."""
    rows = reader.query(f"SELECT decision, count(*) AS entries FROM decisions {where} GROUP BY decision", values)
    return {row["decision"]: int(row["entries"]) for row in rows}


def _grouped(reader: Reader, column: str, limit: int, other: str) -> dict[str, int]:
    """Count the entries by reason or by source.

    The oldest `limit` reasons or sources are counted separately. All others are counted together as `other`.
    """
    rows = reader.query(_TOTALS.format(name=column, limit=limit, other=other))
    return {row["name"]: row["entries"] for row in rows}


def _entry(row: Row) -> Entry:
    resolution = None
    if row["decision"] is not None:
        resolution = Resolution(row["decision"], zulu(row["settled_at"]), row["settled_key"])
    return Entry(
        str(row["place"]),
        zulu(row["received_at"]),
        row["day"].isoformat(),
        row["kind"],
        row["source"],
        row["key"],
        msgspec.json.decode(row["reasons"], type=list[Fault]),
        row["reason"],
        row["size_bytes"],
        resolution,
    )


def _sums(rows: list[Row], column: str) -> list[tuple[str, int]]:
    """Sum the entries by one column, highest sum first."""
    sums: Counter[str] = Counter()
    for row in rows:
        sums[row[column]] += row["entries"]
    return sorted(sums.items(), key=lambda each: (-each[1], each[0]))


def differences(first: bytes, second: bytes) -> list[ComparedField]:
    """Compare the fields of two versions of a receipt. If a version lacks a field, its value is None."""
    a, b = (
        {path: _text(value, kind) for path, value, kind in islice(fields(body, CONTENT_SCHEMA), FIELDS_LIMIT)}
        for body in (first, second)
    )
    return [
        ComparedField(path, _shown(path, a.get(path)), _shown(path, b.get(path)), a.get(path) != b.get(path))
        for path in sorted({**a, **b}, key=_order)
    ]


def _shown(path: str, text: str | None) -> str | None:
    return MASK if text is not None and path.rpartition(".")[2] in PERSONAL else text


def _text(value: Any, kind: str) -> str:
    """Return a value as text. Numbers are rounded, so that differences which the engine ignores are not shown."""
    if not kind.startswith("DECIMAL"):
        return str(value)
    try:
        number = Decimal(value).quantize(NOISE_UNIT)
    except (ArithmeticError, TypeError, ValueError):
        return str(value)
    return format(number.normalize(), "f")


def _order(path: str) -> list[tuple[int, str]]:
    """Return a sort key that places `$.lines[2]` before `$.lines[10]`."""
    return [
        (int(part), "") if part.isdecimal() else (0, part)
        for part in path.replace("]", "").replace("[", ".").split(".")
    ]
