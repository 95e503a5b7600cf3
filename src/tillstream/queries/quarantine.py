"""The quarantine: records that did not become receipts, with their reasons and the decisions on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import msgspec

from tillstream.database.base import Database, Reader, Row
from tillstream.errors import BadQuery
from tillstream.log.base import Log
from tillstream.queries.filters import LIMIT, quarantine_conditions, read_page
from tillstream.queries.originals import Originals, differences
from tillstream.queries.serialization import serialize, zulu
from tillstream.receipt.reasons import OTHER, split_group

REASONS_LIMIT = 100
SOURCES_LIMIT = 30
"""Maximum number of reasons and sources in the totals. The oldest ones stay, so that no counter disappears."""

_COLUMNS = (
    "place, received_at, day, kind, source, key, reasons, reason, size_bytes, decision, settled_at, settled_key "
    "FROM quarantine LEFT JOIN decisions USING (place)"
)
_DECISION = ("decision", "settled_at", "settled_key")
_TOTALS = """WITH named AS (
        SELECT {name} AS name, CAST(sum(entries) AS BIGINT) AS entries, row_number() OVER (ORDER BY min(day), {name}) AS rank
        FROM set_aside GROUP BY {name})
    SELECT CASE WHEN rank <= {limit} THEN name ELSE '{other}' END AS name, CAST(sum(entries) AS BIGINT) AS entries
    FROM named GROUP BY 1 ORDER BY 1"""


class Quarantine:
    """Reads refused, unreadable and conflicting records, and the faults of the log."""

    def __init__(self, database: Database, log: Log, originals: Originals) -> None:
        self._database = database
        self._log = log
        self._originals = originals

    def page(self, filters: Mapping[str, str] | None = None) -> Row:
        """Entries, newest first, and under `next` the cursor of the next page (None on the last page).

        Filters: day, kind, source, reason (a group, or text in a path or an error), settled (1 selects the entries
        that were replayed or discarded, otherwise those without a decision), cursor, limit.
        """
        rows, following = read_page(self._database, _COLUMNS, filters, quarantine_conditions)
        return {"entries": [_entry(row) for row in rows], "next": following}

    def one(self, entry_id: str) -> Row | None:
        """An entry with its redacted original and, for a conflict, the stored receipt; None if there is none."""
        record_id = parse_entry_id(entry_id)
        with self._database.snapshot() as reader:
            rows = reader.query(f"SELECT {_COLUMNS} WHERE place = ?", [record_id])
            if not rows:
                return None
            receipt = _stored_receipt(reader, rows[0])
        entry = {**_entry(rows[0]), "original": self._originals.text(record_id)}
        return entry if receipt is None else {**entry, "conflict": self._conflict(receipt, record_id)}

    def _conflict(self, receipt: Row, record_id: int) -> Row:
        record_ids = [receipt["place"], record_id]
        records = self._log.fetch(record_ids)
        first, second = (records[each][1] if each in records else b"{}" for each in record_ids)
        return {
            "first": {
                "key": receipt["key"].hex,
                "received_at": zulu(receipt["received_at"]),
                "source": receipt["source"],
                "original": self._originals.text(receipt["place"]),
            },
            "fields": differences(first, second),
        }

    def counts(self, day: date) -> Row:
        """The entries of one day of arrival by kind, reason and source, and the decisions of that day."""
        with self._database.snapshot() as reader:
            rows = reader.query("SELECT kind, reason, source, entries FROM set_aside WHERE day = ?", [day])
            decisions = _decisions(reader, "WHERE settled_day = ?", [day])
            dropped = reader.query("SELECT value FROM counters WHERE day = ? AND name = 'quarantine_dropped'", [day])
        return {
            "day": day.isoformat(),
            "entries": sum(row["entries"] for row in rows),
            "by_kind": _sums(rows, "kind"),
            "by_reason": [
                {**row, **dict(zip(("path", "error"), split_group(row["reason"]), strict=True))}
                for row in _sums(rows, "reason")
            ],
            "by_source": _sums(rows, "source"),
            "replayed": decisions.get("replayed", 0),
            "discarded": decisions.get("discarded", 0),
            "dropped": int(dropped[0]["value"]) if dropped else 0,
        }

    def totals(self) -> Row:
        """The entries of all days by reason and by source, the decisions, and the entries without a decision."""
        with self._database.snapshot() as reader:
            totals = {
                name: {
                    row["name"]: int(row["entries"])
                    for row in reader.query(_TOTALS.format(name=name, limit=limit, other=other))
                }
                for name, limit, other in (
                    ("reason", REASONS_LIMIT, f"{OTHER} other"),
                    ("source", SOURCES_LIMIT, OTHER),
                )
            }
            decisions = _decisions(reader)
            [waiting] = reader.query(
                "SELECT count(*) AS entries, CAST(coalesce(sum(size_bytes), 0) AS BIGINT) AS bytes FROM quarantine "
                "LEFT JOIN decisions USING (place) WHERE decision IS NULL"
            )
        return {**totals, "settled": decisions, "waiting": waiting["entries"], "waiting_bytes": waiting["bytes"]}

    def faults(self) -> list[Row]:
        """The damaged records that the engine found in the log, newest first."""
        rows = self._database.query(
            "SELECT offset_text, records, reason, found_at FROM faults ORDER BY found_at DESC LIMIT ?", [LIMIT]
        )
        return [serialize(row) for row in rows]


def parse_entry_id(text: str) -> int:
    """The record id of an entry. Raises `BadQuery`."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 19 or int(text) >= 2**63:
        raise BadQuery("id", f"expected the id of an entry, got {text!r}")
    return int(text)


def _stored_receipt(reader: Reader, entry: Row) -> Row | None:
    """The receipt that an entry conflicts with."""
    if entry["kind"] != "conflict":
        return None
    sql = "SELECT place, key, received_at, source FROM receipts WHERE key = CAST(? AS UUID)"
    return next(iter(reader.query(sql, [entry["key"]])), None)


def _decisions(reader: Reader, where: str = "", values: Sequence[Any] = ()) -> dict[str, int]:
    """The number of entries by decision."""
    rows = reader.query(f"SELECT decision, count(*) AS entries FROM decisions {where} GROUP BY decision", values)
    return {row["decision"]: int(row["entries"]) for row in rows}


def _entry(row: Row) -> Row:
    shown = serialize({name: value for name, value in row.items() if name not in ("place", *_DECISION)})
    settled: Row | None = None
    if row["decision"] is not None:
        settled = {"decision": row["decision"], "at": zulu(row["settled_at"]), "key": row["settled_key"]}
    return {"id": str(row["place"]), **shown, "reasons": msgspec.json.decode(row["reasons"]), "settled": settled}


def _sums(rows: list[Row], name: str) -> list[Row]:
    """The entries by one column, highest first."""
    sums: dict[str, int] = {}
    for row in rows:
        sums[row[name]] = sums.get(row[name], 0) + row["entries"]
    return [{name: each, "entries": sums[each]} for each in sorted(sums, key=lambda each: (-sums[each], each))]
