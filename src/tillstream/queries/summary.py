"""A day's figures."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from tillstream.clock import utc
from tillstream.database.base import Reader, Row
from tillstream.metrics.delays import percentiles
from tillstream.metrics.folding import metric_table
from tillstream.queries.serialization import amount, zulu
from tillstream.receipt.amounts import minor_unit, round_half_up
from tillstream.receipt.business_day import Calendar

COUNTERS = ("duplicates", "conflicts", "quarantined")


class Summary:
    """The figures of any one business day."""

    def __init__(self, calendar: Calendar, currency: str) -> None:
        self._calendar = calendar
        self._currency = currency
        self._cent = minor_unit(currency)

    def read(self, reader: Reader, day: date) -> Row:
        """The day as this reader sees it."""
        now_us = self._calendar.now_us()
        sales = _first(
            reader,
            f"SELECT revenue, net, tax, receipts, quantity, anomalies FROM {metric_table('sales')} WHERE day = ?",
            day,
        )
        revenue, receipts = sales.get("revenue", Decimal(0)), int(sales.get("receipts", 0))
        average = round_half_up(revenue / receipts, self._cent) if receipts else None
        ingest, till = _delays(reader, day)
        counted = {
            row["name"]: int(row["value"])
            for row in reader.query("SELECT name, value FROM counters WHERE day = ?", [day])
        }
        return {
            "day": day.isoformat(),
            "currency": self._currency,
            **{name: amount(sales.get(name, Decimal(0)), self._cent) for name in ("revenue", "net", "tax")},
            "receipts": receipts,
            "items": int(sales.get("quantity", 0)),
            "average_ticket": None if average is None else amount(average, self._cent),
            "stores_active": _rows_of(reader, "sales_by_store", day),
            "tills_active": _rows_of(reader, "sales_by_till", day),
            "receipts_per_minute": rate(reader, day, now_us) if day == self._calendar.today() else None,
            "ingest_delay_ms": {name: ms and round(ms, 1) for name, ms in ingest.items()},
            "till_delay_s": {name: ms and round(ms / 1_000, 3) for name, ms in till.items()},
            **{name: counted.get(name, 0) for name in COUNTERS},
            "anomalies": int(sales.get("anomalies", 0)),
            "as_of": zulu(utc(now_us)),
        }


def _first(reader: Reader, sql: str, *parameters: Any) -> Row:
    rows = reader.query(sql, parameters)
    return rows[0] if rows else {}


def _rows_of(reader: Reader, metric: str, day: date) -> int:
    return int(_first(reader, f"SELECT count(*) AS rows FROM {metric_table(metric)} WHERE day = ?", day)["rows"])


def rate(reader: Reader, day: date, now_us: int) -> int:
    """Receipts that arrived in the 60 seconds before this instant, of one business day."""
    now = utc(now_us).replace(tzinfo=None)
    sql = "SELECT coalesce(sum(receipts), 0) AS receipts FROM received WHERE day = ? AND second > ? AND second <= ?"
    return int(_first(reader, sql, day, now - timedelta(seconds=60), now)["receipts"])


def _delays(reader: Reader, day: date) -> tuple[dict[str, float | None], dict[str, float | None]]:
    rows = reader.query(
        f"SELECT ingest_bucket, till_bucket, receipts FROM {metric_table('delays')} WHERE day = ?", [day]
    )
    return percentiles(rows, "ingest_bucket"), percentiles(rows, "till_bucket")
