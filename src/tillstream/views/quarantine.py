"""What did not become a receipt: set aside whole, with the reasons."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tillstream.errors import BadQuery
from tillstream.log.base import Log
from tillstream.store.base import Row, Store
from tillstream.views.filters import LIMIT, quarantine_conditions
from tillstream.views.originals import original
from tillstream.views.pages import read_page
from tillstream.views.plain import plain

_COLUMNS = "place, received_at, day, kind, source, key, reasons, size_bytes"


class Quarantine:
    """Refused, unreadable and conflicting records, and damage of the log; what came is read from the log."""

    def __init__(self, store: Store, log: Log) -> None:
        self._store = store
        self._log = log

    def page(self, filters: Mapping[str, str] | None = None) -> Row:
        """Entries, the newest first, and under `next` the cursor of the following ones (None: no more)."""
        rows, following = read_page(self._store, f"{_COLUMNS} FROM quarantine", filters, quarantine_conditions)
        return {"entries": [_entry(row) for row in rows], "next": following}

    def one(self, entry: str) -> Row | None:
        """One entry by its id, with the original, persons masked; None: there is none."""
        if not (entry.isascii() and entry.isdecimal()) or len(entry) > 19 or int(entry) >= 2**63:
            raise BadQuery("id", f"expected the id of an entry, got {entry!r}")
        found = self._store.query(f"SELECT {_COLUMNS} FROM quarantine WHERE place = ?", [int(entry)])
        return {**_entry(found[0]), "original": original(self._log, int(entry))} if found else None

    def faults(self) -> list[Row]:
        """Records of the log that were damaged when the engine came to them, the newest first."""
        rows = self._store.query(
            "SELECT offset_text, records, reason, found_at FROM faults ORDER BY found_at DESC LIMIT ?", [LIMIT]
        )
        return [plain(row) for row in rows]


def _entry(row: Row) -> Row:
    shown = plain({name: value for name, value in row.items() if name != "place"})
    return {"id": str(row["place"]), **shown, "reasons": msgspec.json.decode(row["reasons"])}
