"""The receipts behind the figures: listed page by page, and each with all of its parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from functools import partial
from uuid import UUID

from tillstream.config.settings import Settings
from tillstream.database.base import Database, Row
from tillstream.errors import BadQuery
from tillstream.log.base import Log
from tillstream.queries.anomalies import Anomalies, check_anomaly
from tillstream.queries.filters import receipt_conditions
from tillstream.queries.originals import Originals
from tillstream.queries.pagination import read_page
from tillstream.queries.serialization import plain, trimmed, zulu
from tillstream.queries.stores import named
from tillstream.receipt.amounts import minor_unit
from tillstream.receipt.business_day import Calendar
from tillstream.stores.model import StoreList

_COLUMNS = (
    "place, key, day, store, till, receipt, sold_local, received_at, gross, net, tax, items, line_count, "
    "anomalies, source"
)
_KEY = re.compile(r"[0-9a-fA-F]{32}")
_HIDDEN = frozenset({"place", "anomalous", "applied_at", "ingest_bucket", "till_bucket"})


class Receipts:
    """Stored receipts; what came is read from the log."""

    def __init__(
        self,
        database: Database,
        log: Log,
        calendar: Calendar,
        settings: Settings,
        shops: Callable[[], StoreList],
        originals: Originals,
    ) -> None:
        currency = settings.currency
        self._anomalies = Anomalies(log, settings)
        self._database = database
        self._shops = shops
        self._originals = originals
        self._currency = currency
        self._least = {"quantity": Decimal(1), "unit_price": minor_unit(currency)}
        self._conditions = partial(receipt_conditions, calendar)

    def page(self, filters: Mapping[str, str] | None = None) -> Row:
        """Receipts, the newest first, and under `next` the cursor of the following ones (None: no more)."""
        rows, following = read_page(self._database, f"{_COLUMNS} FROM receipts", filters, self._conditions)
        receipts = named(map(_receipt, rows), self._shops())
        return {"currency": self._currency, "receipts": receipts, "next": following}

    def odd(self, filters: Mapping[str, str] | None = None) -> Row:
        """Receipts with an anomaly, as `page` has them, each with its evidence. The filter `kind` names an anomaly."""
        asked = dict(filters or {})
        asked["anomaly"] = check_anomaly(asked.pop("kind", "any"))
        with self._database.snapshot() as reader:
            select = f"{_COLUMNS}, sold_at FROM receipts"
            rows, following = read_page(reader, select, asked, self._conditions)
            evidence = self._anomalies.evidence(reader, rows)
        receipts = named(({**_receipt(row), "evidence": evidence.get(row["place"], [])} for row in rows), self._shops())
        return {"currency": self._currency, "receipts": receipts, "next": following}

    def anomaly_counts(self, day: date) -> Row:
        """How many receipts of a day have each anomaly."""
        with self._database.snapshot() as reader:
            return self._anomalies.counts(reader, day)

    def one(self, key: str) -> Row | None:
        """One receipt with its lines, settlements, conflicts and original (persons masked), of one commit; None: there is none."""
        if not _KEY.fullmatch(key):
            raise BadQuery("key", f"expected 32 hexadecimal digits, got {key!r}")
        wanted = UUID(key)
        with self._database.snapshot() as reader:
            found = reader.query("SELECT * FROM receipts WHERE key = CAST(? AS UUID)", [str(wanted)])
            if not found:
                return None
            place, day = found[0]["place"], found[0]["day"]
            lines = reader.query(
                "SELECT line, category, product, description, quantity, unit_price, gross, net, tax, rate "
                "FROM lines WHERE place = ? AND day = ? ORDER BY line = 0, line",
                [place, day],
            )
            settlements = reader.query(
                "SELECT mechanism, amount FROM settlements WHERE place = ? AND day = ?", [place, day]
            )
            conflicts = reader.query(
                "SELECT place, received_at FROM quarantine WHERE kind = 'conflict' AND key = ? ORDER BY place",
                [wanted.hex],
            )
            evidence = self._anomalies.evidence(reader, found)
        applied = found[0]["applied_at"]
        return {
            **named([_receipt(found[0])], self._shops())[0],
            "applied_at": None if applied is None else zulu(applied),
            "currency": self._currency,
            "lines": [self._line(row) for row in lines],
            "settlements": [plain(row) for row in settlements],
            "evidence": evidence.get(place, []),
            "conflicts": [{"id": str(row["place"]), "received_at": zulu(row["received_at"])} for row in conflicts],
            "original": self._originals.text(place),
        }

    def _line(self, row: Row) -> Row:
        cut = {name: trimmed(row[name], least) for name, least in self._least.items() if row[name] is not None}
        return plain(row) | cut


def _receipt(row: Row) -> Row:
    shown = plain({name: value for name, value in row.items() if name not in _HIDDEN})
    return {**shown, "key": row["key"].hex, "anomalies": [name for name in row["anomalies"].split(",") if name]}
