"""Receipts: pages of them, single ones with all their parts, and the evidence for their anomalies."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from uuid import UUID

from tillstream.config.settings import Settings
from tillstream.database.base import Database, Reader, Row
from tillstream.errors import BadQuery
from tillstream.log.base import Log
from tillstream.queries.filters import read_page, receipt_conditions
from tillstream.queries.originals import Originals, fields
from tillstream.queries.serialization import amount, serialize, trimmed, with_store_names, zulu
from tillstream.receipt.amounts import minor_unit
from tillstream.receipt.business_day import Calendar
from tillstream.receipt.normalization import BODY_SCHEMA
from tillstream.stores.model import StoreList

RATES_LIMIT = 10
"""Maximum number of VAT rates in the evidence of one receipt."""

_COLUMNS = (
    "place, key, day, store, till, receipt, sold_local, received_at, gross, net, tax, items, line_count, "
    "anomalies, source"
)
_KEY = re.compile(r"[0-9a-fA-F]{32}")
_HIDDEN = frozenset({"place", "anomalous", "applied_at", "ingest_bucket", "till_bucket"})
# These may have more decimals than the currency.
_NO_AMOUNTS = (".quantity", ".unitPrice", ".taxPercentage")

_LINE_SUMS = """SELECT place, sum(gross) AS gross, string_agg(DISTINCT rate, ',' ORDER BY rate) AS rates
    FROM lines WHERE is_line = 1 AND place IN ({ids}) GROUP BY place"""
_PAID = "SELECT place, sum(amount) AS paid FROM settlements WHERE place IN ({ids}) GROUP BY place"

_EVIDENCE: Mapping[str, Callable[[Row], Row]] = {
    "lines_total": lambda receipt: {"lines": receipt["lines"], "total": receipt["gross"]},
    "tax_total": lambda receipt: {"net": receipt["net"], "tax": receipt["tax"], "total": receipt["gross"]},
    "settlements_short": lambda receipt: {"paid": receipt["paid"], "total": receipt["gross"]},
    "clock_ahead": lambda receipt: {"minutes": _minutes_ahead(receipt)},
    "clock_ahead_a_day": lambda receipt: {"hours": _minutes_ahead(receipt) // 60},
}

ANOMALIES = (*_EVIDENCE, "finer_amount", "vat_rate")
"""The names of all anomalies."""


class Receipts:
    """Reads stored receipts from the database, and their originals from the log."""

    def __init__(
        self,
        database: Database,
        log: Log,
        calendar: Calendar,
        settings: Settings,
        stores: Callable[[], StoreList],
        originals: Originals,
    ) -> None:
        self._database = database
        self._stores = stores
        self._originals = originals
        self._currency = settings.currency
        self._evidence = Evidence(log, settings)
        self._conditions = partial(receipt_conditions, calendar)

    def page(self, filters: Mapping[str, str] | None = None) -> Row:
        """Receipts, newest first, and under `next` the cursor of the next page (None on the last page).

        Filters: day, store, till, receipt, from and to (the till's clock), min and max (gross), anomaly (a name, or
        `any`), arrived (on this business day, for another one), cursor, limit.
        """
        rows, following = read_page(self._database, f"{_COLUMNS} FROM receipts", filters, self._conditions)
        receipts = with_store_names(map(_receipt, rows), self._stores())
        return {"currency": self._currency, "receipts": receipts, "next": following}

    def anomalous(self, filters: Mapping[str, str] | None = None) -> Row:
        """A page of receipts with an anomaly, each with its evidence.

        Filters: those of `page`, with `kind` (the name of an anomaly) in place of `anomaly`.
        """
        given = dict(filters or {})
        kind = given.pop("kind", "any")
        if kind not in ("any", *ANOMALIES):
            raise BadQuery("kind", f"there is no anomaly {kind!r}", f"there are {', '.join(ANOMALIES)}")
        with self._database.snapshot() as reader:
            select = f"{_COLUMNS}, sold_at FROM receipts"
            rows, following = read_page(reader, select, {**given, "anomaly": kind}, self._conditions)
            evidence = self._evidence.read(reader, rows)
        receipts = [{**_receipt(row), "evidence": evidence.get(row["place"], [])} for row in rows]
        return {
            "currency": self._currency,
            "receipts": with_store_names(receipts, self._stores()),
            "next": following,
        }

    def anomaly_counts(self, day: date) -> Row:
        """The number of receipts of a day with each anomaly, highest first. A receipt may have several."""
        rows = self._database.query(
            "SELECT anomalies, count(*) AS receipts FROM receipts WHERE day = ? AND anomalous = 1 GROUP BY anomalies",
            [day],
        )
        counts = dict.fromkeys(ANOMALIES, 0)
        for row in rows:
            for name in row["anomalies"].split(","):
                counts[name] = counts.get(name, 0) + row["receipts"]
        return {
            "day": day.isoformat(),
            "receipts": sum(row["receipts"] for row in rows),
            "anomalies": [
                {"anomaly": name, "receipts": count}
                for name, count in sorted(counts.items(), key=lambda each: -each[1])
            ],
        }

    def one(self, key: str) -> Row | None:
        """A receipt with its lines, settlements, conflicts and redacted original; None if there is none."""
        if not _KEY.fullmatch(key):
            raise BadQuery("key", f"expected 32 hexadecimal digits, got {key!r}")
        receipt_key = UUID(key)
        with self._database.snapshot() as reader:
            rows = reader.query("SELECT * FROM receipts WHERE key = CAST(? AS UUID)", [str(receipt_key)])
            if not rows:
                return None
            [row] = rows
            part_of = [row["place"], row["day"]]
            lines = reader.query(
                "SELECT line, category, product, description, quantity, unit_price, gross, net, tax, rate "
                "FROM lines WHERE place = ? AND day = ? ORDER BY line = 0, line",
                part_of,
            )
            settlements = reader.query("SELECT mechanism, amount FROM settlements WHERE place = ? AND day = ?", part_of)
            conflicts = reader.query(
                "SELECT place, received_at FROM quarantine WHERE kind = 'conflict' AND key = ? ORDER BY place",
                [receipt_key.hex],
            )
            evidence = self._evidence.read(reader, rows)
        return {
            **with_store_names([_receipt(row)], self._stores())[0],
            "applied_at": None if row["applied_at"] is None else zulu(row["applied_at"]),
            "currency": self._currency,
            "lines": [self._line(each) for each in lines],
            "settlements": [serialize(each) for each in settlements],
            "evidence": evidence.get(row["place"], []),
            "conflicts": [{"id": str(each["place"]), "received_at": zulu(each["received_at"])} for each in conflicts],
            "original": self._originals.text(row["place"]),
        }

    def _line(self, row: Row) -> Row:
        units = {"quantity": Decimal(1), "unit_price": minor_unit(self._currency)}
        short = {name: trimmed(row[name], unit) for name, unit in units.items() if row[name] is not None}
        return serialize(row) | short


def _receipt(row: Row) -> Row:
    shown = serialize({name: value for name, value in row.items() if name not in _HIDDEN})
    return {**shown, "key": row["key"].hex, "anomalies": [name for name in row["anomalies"].split(",") if name]}


def _minutes_ahead(receipt: Row) -> int:
    return int((receipt["sold_at"] - receipt["received_at"]).total_seconds()) // 60


class Evidence:
    """The values that show the anomalies of a receipt."""

    def __init__(self, log: Log, settings: Settings) -> None:
        self._log = log
        self._cent = minor_unit(settings.currency)
        self._rates = {Decimal(rate) for rate in settings.vat_rates}

    def read(self, reader: Reader, rows: Sequence[Row]) -> dict[int, list[Row]]:
        """By record id: the name of each anomaly of the receipt and the values that show it.

        The rows have `place`, `anomalies`, `gross`, `net`, `tax`, `sold_at` and `received_at`.
        """
        anomalous = [row for row in rows if row["anomalies"]]
        if not anomalous:
            return {}
        marks, record_ids = ", ".join("?" * len(anomalous)), [row["place"] for row in anomalous]
        lines = {row["place"]: row for row in reader.query(_LINE_SUMS.format(ids=marks), record_ids)}
        paid = {row["place"]: row["paid"] for row in reader.query(_PAID.format(ids=marks), record_ids)}
        records = self._log.fetch([row["place"] for row in anomalous if "finer_amount" in row["anomalies"]])
        evidence = {}
        for row in anomalous:
            sums = lines.get(row["place"], {})
            receipt = {
                **row,
                "lines": sums.get("gross") or Decimal(0),
                "rates": sums.get("rates") or "",
                "paid": paid.get(row["place"], Decimal(0)),
                "body": records.get(row["place"], (b"", b"{}", b""))[1],
            }
            evidence[row["place"]] = [
                {"anomaly": name, "values": self._values(name, receipt)} for name in row["anomalies"].split(",")
            ]
        return evidence

    def _values(self, name: str, receipt: Row) -> Row:
        if name == "vat_rate":
            return {"rates": self._unknown_rates(receipt["rates"])}
        if name == "finer_amount":
            return self._finer_amount(receipt["body"])
        if name not in _EVIDENCE:
            return {}
        return {
            each: amount(value, self._cent) if isinstance(value, Decimal) else value
            for each, value in _EVIDENCE[name](receipt).items()
        }

    def _unknown_rates(self, rates: str) -> str:
        """The rates that are not in the settings; all of them if the settings have changed since."""
        every = [rate for rate in rates.split(",") if rate[:1].isdecimal()]
        unknown = [rate for rate in every if Decimal(rate) not in self._rates] or every
        return ", ".join(unknown[:RATES_LIMIT])

    def _finer_amount(self, body: bytes) -> Row:
        """Path and value of the first amount with more decimals than the currency."""
        for path, value, kind in fields(body, BODY_SCHEMA):
            if not kind.startswith("DECIMAL") or path.endswith(_NO_AMOUNTS):
                continue
            try:
                number = round(Decimal(value), 6)
            except (ArithmeticError, TypeError, ValueError):
                continue
            if number != number.quantize(self._cent):
                return {"path": path, "amount": format(number.normalize(), "f")}
        return {}
