"""Queries for receipts: pages of receipts, single receipts, and the evidence for anomalies."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from uuid import UUID

from msgspec import Struct
from msgspec.structs import asdict

from tillstream.config.settings import Settings
from tillstream.database.base import Database, Reader, Row
from tillstream.errors import BadQuery
from tillstream.log.base import Log
from tillstream.queries.filters import read_page, receipt_conditions, requested_day
from tillstream.queries.redaction import Originals, fields
from tillstream.queries.serialization import Amount, Day, EntryId, Instant, LocalTime, ReceiptKey, amount, trimmed, zulu
from tillstream.receipt.amounts import minor_unit
from tillstream.receipt.business_day import Calendar
from tillstream.receipt.normalization import BODY_SCHEMA
from tillstream.stores.model import StoreList

ANOMALIES = (
    "lines_total",
    "tax_total",
    "settlements_short",
    "clock_ahead",
    "clock_ahead_a_day",
    "finer_amount",
    "vat_rate",
)

RATES_LIMIT = 10
"""The maximum number of VAT rates in the evidence of one receipt."""

_COLUMNS = (
    "place, key, day, store, till, receipt, sold_local, received_at, gross, net, tax, items, line_count, "
    "anomalies, source"
)
_KEY = re.compile(r"[0-9a-fA-F]{32}")
# These fields may have more decimals than the currency.
_NO_AMOUNTS = (".quantity", ".unitPrice", ".taxPercentage")

_LINE_SUMS = """SELECT place, sum(gross) AS gross, string_agg(DISTINCT rate, ',' ORDER BY rate) AS rates
    FROM lines WHERE is_line = 1 AND place IN ({ids}) GROUP BY place"""
_PAID = "SELECT place, sum(amount) AS paid FROM settlements WHERE place IN ({ids}) GROUP BY place"


class Receipt(Struct, frozen=True):
    """A receipt in a list."""

    key: ReceiptKey
    day: Day
    store: str
    store_name: str
    till: str
    receipt: str
    sold_local: LocalTime
    received_at: Instant
    gross: Amount
    net: Amount
    tax: Amount
    items: int
    line_count: int
    anomalies: list[str]
    source: str


class Receipts(Struct, frozen=True):
    """One page of receipts, and the cursor of the next page."""

    currency: str
    receipts: list[Receipt]
    next: str | None


class Evidence(Struct, frozen=True):
    """An anomaly of a receipt, and the figures that show it."""

    anomaly: str
    values: dict[str, str | int]


class AnomalousReceipt(Receipt, frozen=True):
    """A receipt with the evidence for its anomalies."""

    sold_at: Instant
    evidence: list[Evidence]


class AnomalousReceipts(Struct, frozen=True):
    """One page of receipts with anomalies, and the cursor of the next page."""

    currency: str
    receipts: list[AnomalousReceipt]
    next: str | None


class AnomalyCount(Struct, frozen=True):
    """The number of receipts with one anomaly."""

    anomaly: str
    receipts: int


class AnomalyCounts(Struct, frozen=True):
    """The number of receipts with anomalies on one day."""

    day: Day
    receipts: int
    anomalies: list[AnomalyCount]


class Line(Struct, frozen=True):
    """A line of a receipt. Line 0 contains the part of the total that no line covers."""

    line: int
    category: str
    product: str
    description: str | None
    quantity: Amount | None
    unit_price: Amount | None
    gross: Amount
    net: Amount
    tax: Amount
    rate: str


class Settlement(Struct, frozen=True):
    """The amount that was paid by one mechanism."""

    mechanism: str
    amount: Amount


class ConflictReference(Struct, frozen=True):
    """A quarantine entry with a later version of the receipt."""

    id: EntryId
    received_at: Instant


class ReceiptDetails(Receipt, frozen=True):
    """A receipt with its lines, settlements, conflicts and original text. Personal data is masked."""

    sold_at: Instant
    step: int
    applied_at: Instant | None
    currency: str
    lines: list[Line]
    settlements: list[Settlement]
    evidence: list[Evidence]
    conflicts: list[ConflictReference]
    original: str | None


class StoredReceipts:
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
        self._log = log
        self._calendar = calendar
        self._stores = stores
        self._originals = originals
        self._currency = settings.currency
        self._cent = minor_unit(settings.currency)
        self._rates = {Decimal(rate) for rate in settings.vat_rates}
        self._conditions = partial(receipt_conditions, calendar)

    def page(self, filters: Mapping[str, str] | None = None) -> Receipts:
        """Return a page of receipts, newest first. Raises `BadQuery`.

        The filters are `day`, `store`, `till`, `receipt`, `from` and `to` (local time of the till), `min` and `max`
        (gross amount), `anomaly` (a name or `any`), `arrived` (day of arrival, for receipts that belong to another
        business day), `cursor` and `limit`.
        """
        rows, following = read_page(self._database, f"{_COLUMNS} FROM receipts", filters, self._conditions)
        stores = self._stores()
        return Receipts(self._currency, [_receipt(row, stores) for row in rows], following)

    def anomalies(self, filters: Mapping[str, str] | None = None) -> AnomalousReceipts:
        """Return a page of receipts with anomalies and their evidence. Raises `BadQuery`.

        The filters are the same as in `page`, but `kind` replaces `anomaly` and is `any` by default.
        """
        other_filters = dict(filters or {})
        kind = other_filters.pop("kind", "any")
        if kind not in ("any", *ANOMALIES):
            raise BadQuery("kind", f"there is no anomaly {kind!r}", f"there are {', '.join(ANOMALIES)}")
        with self._database.snapshot() as reader:
            select = f"{_COLUMNS}, sold_at FROM receipts"
            rows, following = read_page(reader, select, {**other_filters, "anomaly": kind}, self._conditions)
            evidence = self._evidence(reader, rows)
        stores = self._stores()
        receipts = [
            AnomalousReceipt(
                **asdict(_receipt(row, stores)), sold_at=zulu(row["sold_at"]), evidence=evidence[row["place"]]
            )
            for row in rows
        ]
        return AnomalousReceipts(self._currency, receipts, following)

    def anomaly_counts(self, day: str | None = None) -> AnomalyCounts:
        """Count the receipts of a day by anomaly, highest number first. Each anomaly of a receipt is counted."""
        requested = requested_day(self._calendar, day)
        rows = self._database.query(
            "SELECT anomalies, count(*) AS receipts FROM receipts WHERE day = ? AND anomalous = 1 GROUP BY anomalies",
            [requested],
        )
        counts = dict.fromkeys(ANOMALIES, 0)
        for row in rows:
            for name in row["anomalies"].split(","):
                counts[name] = counts.get(name, 0) + row["receipts"]
        names = sorted(counts, key=counts.__getitem__, reverse=True)
        return AnomalyCounts(
            requested.isoformat(),
            sum(row["receipts"] for row in rows),
            [AnomalyCount(name, counts[name]) for name in names],
        )

    def one(self, key: str) -> ReceiptDetails | None:
        """Return a receipt with all its parts, or None if it does not exist. Raises `BadQuery`."""
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
                "SELECT line, category, product, description, quantity, unit_price, CAST(gross AS VARCHAR) AS gross, "
                "CAST(net AS VARCHAR) AS net, CAST(tax AS VARCHAR) AS tax, rate "
                "FROM lines WHERE place = ? AND day = ? ORDER BY line = 0, line",
                part_of,
            )
            settlements = reader.query(
                "SELECT mechanism, CAST(amount AS VARCHAR) AS amount FROM settlements WHERE place = ? AND day = ?",
                part_of,
            )
            conflicts = reader.query(
                "SELECT place, received_at FROM quarantine WHERE kind = 'conflict' AND key = ? ORDER BY place",
                [receipt_key.hex],
            )
            evidence = self._evidence(reader, rows)
        return ReceiptDetails(
            **asdict(_receipt(row, self._stores())),
            sold_at=zulu(row["sold_at"]),
            step=row["step"],
            applied_at=None if row["applied_at"] is None else zulu(row["applied_at"]),
            currency=self._currency,
            lines=[self._line(each) for each in lines],
            settlements=[Settlement(**each) for each in settlements],
            evidence=evidence[row["place"]],
            conflicts=[ConflictReference(str(each["place"]), zulu(each["received_at"])) for each in conflicts],
            original=self._originals.text(row["place"]),
        )

    def _line(self, row: Row) -> Line:
        units = {"quantity": Decimal(1), "unit_price": self._cent}
        texts = {name: trimmed(row[name], unit) for name, unit in units.items() if row[name] is not None}
        return Line(**{**row, **texts})

    def _evidence(self, reader: Reader, rows: Sequence[Row]) -> dict[int, list[Evidence]]:
        """Return the evidence for the anomalies of each receipt, by record id."""
        anomalous = {row["place"]: row["anomalies"].split(",") for row in rows if row["anomalies"]}
        if not anomalous:
            return {row["place"]: [] for row in rows}
        ids, marks = list(anomalous), ", ".join("?" * len(anomalous))
        lines = {row["place"]: row for row in reader.query(_LINE_SUMS.format(ids=marks), ids)}
        paid = {row["place"]: row["paid"] for row in reader.query(_PAID.format(ids=marks), ids)}
        records = self._log.fetch([each for each in ids if "finer_amount" in anomalous[each]])
        no_lines = {"gross": None, "rates": None}
        evidence: dict[int, list[Evidence]] = {}
        for row in rows:
            record_id = row["place"]
            sums, body = lines.get(record_id, no_lines), records.get(record_id, (b"", b"{}", b""))[1]
            evidence[record_id] = [
                Evidence(name, self._values(name, row, sums, paid.get(record_id), body))
                for name in anomalous.get(record_id, ())
            ]
        return evidence

    def _values(self, anomaly: str, receipt: Row, sums: Row, paid: Decimal | None, body: bytes) -> dict[str, str | int]:
        """Return the values that show one anomaly of a receipt."""
        minutes_ahead = int((receipt["sold_at"] - receipt["received_at"]).total_seconds()) // 60
        match anomaly:
            case "lines_total":
                return self._amounts(lines=sums["gross"], total=receipt["gross"])
            case "tax_total":
                return self._amounts(net=receipt["net"], tax=receipt["tax"], total=receipt["gross"])
            case "settlements_short":
                return self._amounts(paid=paid, total=receipt["gross"])
            case "clock_ahead":
                return {"minutes": minutes_ahead}
            case "clock_ahead_a_day":
                return {"hours": minutes_ahead // 60}
            case "vat_rate":
                return {"rates": self._unknown_rates(sums["rates"] or "")}
            case "finer_amount":
                return self._finer_amount(body)
        return {}

    def _amounts(self, **values: Decimal | None) -> dict[str, str | int]:
        return {name: amount(value or Decimal(0), self._cent) for name, value in values.items()}

    def _unknown_rates(self, rates: str) -> str:
        """Return those VAT rates that the settings do not contain, at most `RATES_LIMIT`.

        The settings may have changed since the receipt arrived. If they now contain all its rates, return all rates.
        """
        every = [rate for rate in rates.split(",") if rate[:1].isdecimal()]
        unknown = [rate for rate in every if Decimal(rate) not in self._rates] or every
        return ", ".join(unknown[:RATES_LIMIT])

    def _finer_amount(self, body: bytes) -> dict[str, str | int]:
        """Return the path and the value of the first amount with more decimals than the currency."""
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


def _receipt(row: Row, stores: StoreList) -> Receipt:
    return Receipt(
        row["key"].hex,
        row["day"].isoformat(),
        row["store"],
        stores.title(row["store"]),
        row["till"],
        row["receipt"],
        row["sold_local"].isoformat(),
        zulu(row["received_at"]),
        f"{row['gross']:f}",
        f"{row['net']:f}",
        f"{row['tax']:f}",
        row["items"],
        row["line_count"],
        [name for name in row["anomalies"].split(",") if name],
        row["source"],
    )
