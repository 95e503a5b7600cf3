"""What did not become a receipt: set aside whole, with the reasons, and with what people decided about it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec

from tillstream.database.base import Database, Reader, Row
from tillstream.errors import BadQuery
from tillstream.log.base import Log
from tillstream.queries.differences import differences
from tillstream.queries.filters import LIMIT, quarantine_conditions
from tillstream.queries.originals import Originals
from tillstream.queries.pagination import read_page
from tillstream.queries.serialization import plain, zulu
from tillstream.receipt.reasons import OTHER, parts

REASONS_TOLD = 100
SOURCES_TOLD = 30
"""Most reasons and sources of the totals; the first that ever came, so that a counter never goes away."""

_COLUMNS = (
    "place, received_at, day, kind, source, key, reasons, reason, size_bytes, decision, settled_at, settled_key "
    "FROM quarantine LEFT JOIN decisions USING (place)"
)
_SETTLED = ("decision", "settled_at", "settled_key")
_TOTALS = """WITH named AS (
        SELECT {name} AS name, CAST(sum(entries) AS BIGINT) AS entries, row_number() OVER (ORDER BY min(day), {name}) AS rank
        FROM set_aside GROUP BY {name})
    SELECT CASE WHEN rank <= {limit} THEN name ELSE '{other}' END AS name, CAST(sum(entries) AS BIGINT) AS entries
    FROM named GROUP BY 1 ORDER BY 1"""


class Quarantine:
    """Refused, unreadable and conflicting records, and damage of the log; what came is read from the log."""

    def __init__(self, database: Database, log: Log, originals: Originals) -> None:
        self._database = database
        self._log = log
        self._originals = originals

    def page(self, filters: Mapping[str, str] | None = None) -> Row:
        """Entries, the newest first, and under `next` the cursor of the following ones (None: no more)."""
        rows, following = read_page(self._database, _COLUMNS, filters, quarantine_conditions)
        return {"entries": [_entry(row) for row in rows], "next": following}

    def one(self, entry: str) -> Row | None:
        """One entry by its id, with the original, persons masked, and a conflict's other side; None: there is none."""
        place = place_of(entry)
        with self._database.snapshot() as reader:
            found = reader.query(f"SELECT {_COLUMNS} WHERE place = ?", [place])
            if not found:
                return None
            first = self._first(reader, found[0])
        entry_row = {**_entry(found[0]), "original": self._originals.text(place)}
        return entry_row if first is None else {**entry_row, "conflict": self._conflict(first, place)}

    def _first(self, reader: Reader, entry: Row) -> Row | None:
        """The receipt that stands where the entry is a conflict."""
        if entry["kind"] != "conflict":
            return None
        sql = "SELECT place, key, received_at, source FROM receipts WHERE key = CAST(? AS UUID)"
        return next(iter(reader.query(sql, [entry["key"]])), None)

    def _conflict(self, first: Row, second: int) -> Row:
        bodies = self._log.fetch([first["place"], second])
        known = [bodies[place][1] if place in bodies else b"{}" for place in (first["place"], second)]
        return {
            "first": {
                "key": first["key"].hex,
                "received_at": zulu(first["received_at"]),
                "source": first["source"],
                "original": self._originals.text(first["place"]),
            },
            "fields": differences(*known),
        }

    def counts(self, day: date) -> Row:
        """How many entries a day of receipt brought, by kind, reason and source, and what became of them."""
        with self._database.snapshot() as reader:
            rows = reader.query("SELECT kind, reason, source, entries FROM set_aside WHERE day = ?", [day])
            settled = reader.query(
                "SELECT decision, count(*) AS entries FROM decisions WHERE settled_day = ? GROUP BY decision", [day]
            )
            dropped = reader.query("SELECT value FROM counters WHERE day = ? AND name = 'quarantine_dropped'", [day])
        decided = {row["decision"]: int(row["entries"]) for row in settled}
        return {
            "day": day.isoformat(),
            "entries": sum(row["entries"] for row in rows),
            "by_kind": _counted(rows, "kind"),
            "by_reason": [
                {**row, **dict(zip(("path", "error"), parts(row["reason"]), strict=True))}
                for row in _counted(rows, "reason")
            ],
            "by_source": _counted(rows, "source"),
            "replayed": decided.get("replayed", 0),
            "discarded": decided.get("discarded", 0),
            "dropped": int(dropped[0]["value"]) if dropped else 0,
        }

    def totals(self) -> Row:
        """Counts of all days, by reason and by source, with so many names at most; and what waits."""
        with self._database.snapshot() as reader:
            told = {
                name: {
                    row["name"]: int(row["entries"])
                    for row in reader.query(_TOTALS.format(name=name, limit=limit, other=other))
                }
                for name, limit, other in (("reason", REASONS_TOLD, f"{OTHER} other"), ("source", SOURCES_TOLD, OTHER))
            }
            settled = reader.query("SELECT decision, count(*) AS entries FROM decisions GROUP BY decision")
            [waiting] = reader.query(
                "SELECT count(*) AS entries, CAST(coalesce(sum(size_bytes), 0) AS BIGINT) AS bytes FROM quarantine "
                "LEFT JOIN decisions USING (place) WHERE decision IS NULL"
            )
        decided = {row["decision"]: int(row["entries"]) for row in settled}
        return {**told, "settled": decided, "waiting": waiting["entries"], "waiting_bytes": waiting["bytes"]}

    def faults(self) -> list[Row]:
        """Records of the log that were damaged when the engine came to them, the newest first."""
        rows = self._database.query(
            "SELECT offset_text, records, reason, found_at FROM faults ORDER BY found_at DESC LIMIT ?", [LIMIT]
        )
        return [plain(row) for row in rows]


def place_of(entry: str) -> int:
    """The place in the log of an entry's id. Raises `BadQuery`."""
    if not (entry.isascii() and entry.isdecimal()) or len(entry) > 19 or int(entry) >= 2**63:
        raise BadQuery("id", f"expected the id of an entry, got {entry!r}")
    return int(entry)


def _entry(row: Row) -> Row:
    shown = plain({name: value for name, value in row.items() if name not in ("place", *_SETTLED)})
    settled: Any = None
    if row["decision"] is not None:
        settled = {"decision": row["decision"], "at": zulu(row["settled_at"]), "key": row["settled_key"]}
    return {"id": str(row["place"]), **shown, "reasons": msgspec.json.decode(row["reasons"]), "settled": settled}


def _counted(rows: list[Row], name: str) -> list[Row]:
    """The sum of entries by the column, the most first."""
    sums: dict[str, int] = {}
    for row in rows:
        sums[row[name]] = sums.get(row[name], 0) + row["entries"]
    return [{name: each, "entries": sums[each]} for each in sorted(sums, key=lambda each: (-sums[each], each))]
