"""Figures of one business day: the summary, the snapshot that holds it, and the running totals for exchanges."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from tillstream.clock import utc
from tillstream.database.base import Reader, Row
from tillstream.log.base import Log
from tillstream.metrics.catalogue import metric_table
from tillstream.metrics.delays import average_ms, percentiles
from tillstream.queries.filters import microseconds, other_days_condition
from tillstream.queries.serialization import amount, serialize, zulu
from tillstream.receipt.amounts import minor_unit, round_half_up
from tillstream.receipt.business_day import Calendar
from tillstream.receipt.model import UNALLOCATED

COUNTERS = ("duplicates", "conflicts", "quarantined")

TICKER_CATEGORIES = 1_000
"""Maximum number of categories in the ticker: those with the highest revenue."""


class Summaries:
    """Reads the figures of any business day, as of the commit that a reader sees."""

    def __init__(self, calendar: Calendar, log: Log, currency: str) -> None:
        self._calendar = calendar
        self._log = log
        self._currency = currency
        self._cent = minor_unit(currency)

    def summary(self, reader: Reader, day: date) -> Row:
        """The key figures of a day."""
        now_us = self._calendar.now_us()
        sales = _first(
            reader,
            f"SELECT revenue, net, tax, receipts, quantity, anomalies FROM {metric_table('sales')} WHERE day = ?",
            day,
        )
        revenue, receipts = sales.get("revenue", Decimal(0)), int(sales.get("receipts", 0))
        average = amount(round_half_up(revenue / receipts, self._cent), self._cent) if receipts else None
        counters = {
            row["name"]: int(row["value"])
            for row in reader.query("SELECT name, value FROM counters WHERE day = ?", [day])
        }
        live = day == self._calendar.today()
        return {
            "day": day.isoformat(),
            "currency": self._currency,
            **{name: amount(sales.get(name, Decimal(0)), self._cent) for name in ("revenue", "net", "tax")},
            "receipts": receipts,
            "items": int(sales.get("quantity", 0)),
            "average_ticket": average,
            "stores_active": _row_count(reader, "sales_by_store", day),
            "tills_active": _row_count(reader, "sales_by_till", day),
            "receipts_per_minute": receipts_per_minute(reader, day, now_us) if live else None,
            **delay_percentiles(_delays(reader, day)),
            **{name: counters.get(name, 0) for name in COUNTERS},
            "anomalies": int(sales.get("anomalies", 0)),
            "as_of": zulu(utc(now_us)),
        }

    def snapshot(self, reader: Reader, day: date) -> Row:
        """A day with its summary, minutes and categories.

        `minutes` holds parallel lists. `offset` and `now` count minutes of wall-clock time from `start`.
        """
        live = day == self._calendar.today()
        categories = reader.query(
            f"SELECT category, revenue, quantity, lines FROM {metric_table('sales_by_category')} WHERE day = ? "
            "ORDER BY revenue DESC, category",
            [day],
        )
        return {
            "live": live,
            "summary": self.summary(reader, day),
            "minutes": self._minutes(reader, day, live),
            "categories": [serialize(row) for row in categories if row["category"] != UNALLOCATED or row["revenue"]],
            "other_days": self.other_days(reader) if live else [],
            **self.age(reader, self._calendar.now_us()),
        }

    def _minutes(self, reader: Reader, day: date, live: bool) -> Row:
        start, minute = self._calendar.start(day), timedelta(minutes=1)
        rows = reader.query(
            f"SELECT minute, revenue, receipts FROM {metric_table('sales_by_minute')} WHERE day = ? ORDER BY minute",
            [day],
        )
        return {
            "start": start.isoformat(timespec="minutes"),
            "now": (self._calendar.local_now() - start) // minute if live else None,
            "offset": [(row["minute"] - start) // minute for row in rows],
            "revenue": [amount(row["revenue"], self._cent) for row in rows],
            "receipts": [int(row["receipts"]) for row in rows],
        }

    def other_days(self, reader: Reader) -> list[Row]:
        """The number of receipts that arrived today for another business day, by that day, newest first."""
        condition, values = other_days_condition(self._calendar, self._calendar.today())
        rows = reader.query(
            f"SELECT day, count(*) AS receipts FROM receipts WHERE {condition} GROUP BY day ORDER BY day DESC", values
        )
        return [serialize(row) for row in rows]

    def age(self, reader: Reader, now_us: int) -> Row:
        """The age of the figures. It is 0 if they include every acknowledged record."""
        rows = reader.query("SELECT committed_at FROM state")
        lag, committed = self._log.lag(), rows[0]["committed_at"] if rows else None
        age_us = now_us - microseconds(committed) if lag and committed else 0
        return {"lag": lag, "age_ms": max(0, age_us // 1_000)}

    def ticker(self, reader: Reader, day: date) -> dict[str, Row]:
        """The running totals of a day: one object for each exchange, by its name; amounts are decimals.

        `networkDelay` and `averageMsCreation` are the average delay from the till to ingest, `connectionDelay` and
        `averageMsSystem` that from ingest to the figures. Names with `Ms` are in milliseconds, the others in seconds.
        """
        [sales] = reader.query(
            f"SELECT coalesce(sum(revenue), 0) AS revenue, CAST(coalesce(sum(receipts), 0) AS BIGINT) AS receipts "
            f"FROM {metric_table('sales')} WHERE day = ?",
            [day],
        )
        categories = reader.query(
            f"SELECT category, revenue FROM {metric_table('sales_by_category')} WHERE day = ? "
            f"ORDER BY revenue DESC, category LIMIT {TICKER_CATEGORIES}",
            [day],
        )
        delays = _delays(reader, day)
        creation_ms, system_ms = average_ms(delays, "till_bucket"), average_ms(delays, "ingest_bucket")
        return {
            "count": {"sum": Decimal(sales["revenue"]).quantize(self._cent), "count": sales["receipts"]},
            "categories": {row["category"]: Decimal(row["revenue"]).quantize(self._cent) for row in categories},
            "metrics-db": {
                "connectionDelay": round(system_ms / 1_000, 3),
                "networkDelay": round(creation_ms / 1_000, 3),
            },
            "metrics-storm": {
                "averagePerMinute": receipts_per_minute(reader, day, self._calendar.now_us()),
                "averageMsCreation": round(creation_ms, 1),
                "averageMsSystem": round(system_ms, 1),
            },
        }


def receipts_per_minute(reader: Reader, day: date, now_us: int) -> int:
    """The number of receipts of a business day that arrived in the 60 seconds before this instant."""
    now = utc(now_us).replace(tzinfo=None)
    sql = "SELECT coalesce(sum(receipts), 0) AS receipts FROM received WHERE day = ? AND second > ? AND second <= ?"
    return int(_first(reader, sql, day, now - timedelta(seconds=60), now)["receipts"])


def delay_percentiles(rows: Sequence[Row]) -> Row:
    """p50 and p99 of both delays. The rows have `ingest_bucket`, `till_bucket` and `receipts`."""
    ingest, till = percentiles(rows, "ingest_bucket"), percentiles(rows, "till_bucket")
    return {
        "ingest_delay_ms": {name: ms and round(ms, 1) for name, ms in ingest.items()},
        "till_delay_s": {name: ms and round(ms / 1_000, 3) for name, ms in till.items()},
    }


def _delays(reader: Reader, day: date) -> list[Row]:
    return reader.query(
        f"SELECT ingest_bucket, till_bucket, receipts FROM {metric_table('delays')} WHERE day = ?", [day]
    )


def _first(reader: Reader, sql: str, *parameters: Any) -> Row:
    rows = reader.query(sql, parameters)
    return rows[0] if rows else {}


def _row_count(reader: Reader, metric: str, day: date) -> int:
    return int(_first(reader, f"SELECT count(*) AS rows FROM {metric_table(metric)} WHERE day = ?", day)["rows"])
