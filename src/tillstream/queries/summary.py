"""Figures of one business day: the summary, the snapshot, and the running totals for RabbitMQ."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from msgspec import Struct

from tillstream.clock import utc
from tillstream.database.base import Database, Reader, Row
from tillstream.log.base import Log
from tillstream.metrics.catalogue import metric_table
from tillstream.metrics.delays import average_ms, percentiles
from tillstream.queries.filters import microseconds, other_days_condition, requested_day
from tillstream.queries.serialization import Amount, Day, Instant, LocalTime, amount, zulu
from tillstream.receipt.amounts import minor_unit, round_half_up
from tillstream.receipt.business_day import Calendar
from tillstream.receipt.model import UNALLOCATED

COUNTERS = ("duplicates", "conflicts", "quarantined")

TICKER_CATEGORIES = 1_000
"""The maximum number of categories in the running totals. The categories with the highest revenue are included."""


class Percentiles(Struct, frozen=True):
    """The delays that 50 % and 99 % of the receipts do not exceed, as upper bounds of histogram buckets."""

    p50: float | None
    p99: float | None


class Summary(Struct, frozen=True):
    """The figures of one business day."""

    day: Day
    currency: str
    revenue: Amount
    net: Amount
    tax: Amount
    receipts: int
    items: int
    average_ticket: Amount | None
    stores_active: int
    tills_active: int
    receipts_per_minute: int | None
    ingest_delay_ms: Percentiles
    till_delay_s: Percentiles
    duplicates: int
    conflicts: int
    quarantined: int
    anomalies: int
    as_of: Instant


class Minutes(Struct, frozen=True):
    """Sales per minute in parallel lists. `offset` and `now` count minutes of local time from `start`."""

    start: LocalTime
    now: int | None
    offset: list[int]
    revenue: list[Amount]
    receipts: list[int]


class CategoryTotal(Struct, frozen=True):
    """The sales of one category."""

    category: str
    revenue: Amount
    quantity: int
    lines: int


class OtherDay(Struct, frozen=True):
    """The number of receipts that arrived today for another business day."""

    day: Day
    receipts: int


class Snapshot(Struct, frozen=True):
    """The summary, the minutes and the categories of a day, from one commit."""

    live: bool
    summary: Summary
    minutes: Minutes
    categories: list[CategoryTotal]
    other_days: list[OtherDay]
    lag: int
    age_ms: int


class Summaries:
    """Reads the figures of any business day."""

    def __init__(self, database: Database, calendar: Calendar, log: Log, currency: str) -> None:
        self._database = database
        self._calendar = calendar
        self._log = log
        self._currency = currency
        self._cent = minor_unit(currency)

    def summary(self, day: str | None = None, reader: Reader | None = None) -> Summary:
        """Return the key figures of a day. Without a `reader`, they are read from the last commit."""
        requested = requested_day(self._calendar, day)
        with self._database.snapshot() if reader is None else nullcontext(reader) as snapshot:
            return self._summary(snapshot, requested)

    def _summary(self, reader: Reader, day: date) -> Summary:
        now_us = self._calendar.now_us()
        sales = _first(
            reader,
            f"SELECT revenue, net, tax, receipts, quantity, anomalies FROM {metric_table('sales')} WHERE day = ?",
            day,
        )
        revenue, receipts = sales.get("revenue", Decimal(0)), int(sales.get("receipts", 0))
        rows = reader.query("SELECT name, value FROM counters WHERE day = ?", [day])
        counters = dict.fromkeys(COUNTERS, 0) | {row["name"]: int(row["value"]) for row in rows}
        ingest_delay, till_delay = delay_percentiles(_delays(reader, day))
        return Summary(
            day=day.isoformat(),
            currency=self._currency,
            revenue=amount(revenue, self._cent),
            net=amount(sales.get("net", Decimal(0)), self._cent),
            tax=amount(sales.get("tax", Decimal(0)), self._cent),
            receipts=receipts,
            items=int(sales.get("quantity", 0)),
            average_ticket=amount(round_half_up(revenue / receipts, self._cent), self._cent) if receipts else None,
            stores_active=_row_count(reader, "sales_by_store", day),
            tills_active=_row_count(reader, "sales_by_till", day),
            receipts_per_minute=receipts_per_minute(reader, day, now_us) if day == self._calendar.today() else None,
            ingest_delay_ms=ingest_delay,
            till_delay_s=till_delay,
            duplicates=counters["duplicates"],
            conflicts=counters["conflicts"],
            quarantined=counters["quarantined"],
            anomalies=int(sales.get("anomalies", 0)),
            as_of=zulu(utc(now_us)),
        )

    def snapshot(self, day: str | None = None) -> Snapshot:
        """Return the summary, the minutes and the categories of a day, and the age of the figures."""
        requested = requested_day(self._calendar, day)
        live = requested == self._calendar.today()
        with self._database.snapshot() as reader:
            lag, age_ms = self.age(reader, self._calendar.now_us())
            return Snapshot(
                live,
                self._summary(reader, requested),
                self._minutes(reader, requested, live),
                _categories(reader, requested),
                self.other_days(reader) if live else [],
                lag,
                age_ms,
            )

    def _minutes(self, reader: Reader, day: date, live: bool) -> Minutes:
        start, minute = self._calendar.start(day), timedelta(minutes=1)
        rows = reader.query(
            f"SELECT minute, revenue, receipts FROM {metric_table('sales_by_minute')} WHERE day = ? ORDER BY minute",
            [day],
        )
        return Minutes(
            start.isoformat(timespec="minutes"),
            (self._calendar.local_now() - start) // minute if live else None,
            [(row["minute"] - start) // minute for row in rows],
            [amount(row["revenue"], self._cent) for row in rows],
            [int(row["receipts"]) for row in rows],
        )

    def other_days(self, reader: Reader) -> list[OtherDay]:
        """Count the receipts that arrived today but belong to another business day, by that day, newest first."""
        condition, values = other_days_condition(self._calendar, self._calendar.today())
        rows = reader.query(
            f"SELECT day, count(*) AS receipts FROM receipts WHERE {condition} GROUP BY day ORDER BY day DESC", values
        )
        return [OtherDay(row["day"].isoformat(), row["receipts"]) for row in rows]

    def age(self, reader: Reader, now_us: int) -> tuple[int, int]:
        """Return the number of acknowledged records that are not in the figures, and the age of the figures in ms.

        If the figures include every acknowledged record, the age is 0. Otherwise, it is the time since the engine last
        added records to the figures.
        """
        lag, committed = self._log.lag(), _first(reader, "SELECT committed_at FROM state").get("committed_at")
        age_us = now_us - microseconds(committed) if lag and committed else 0
        return lag, max(0, age_us // 1_000)

    def ticker(self) -> dict[str, dict[str, Decimal | int | float]]:
        """Return the totals of today so far. Each key is the name of the RabbitMQ exchange that receives the value.

        `networkDelay` (s) and `averageMsCreation` (ms) are the average delay from the till to ingest.
        `connectionDelay` (s) and `averageMsSystem` (ms) are the average delay from ingest to the figures.
        """
        day = self._calendar.today()
        with self._database.snapshot() as reader:
            sales = _first(reader, f"SELECT revenue, receipts FROM {metric_table('sales')} WHERE day = ?", day)
            categories = reader.query(
                f"SELECT category, revenue FROM {metric_table('sales_by_category')} WHERE day = ? "
                f"ORDER BY revenue DESC, category LIMIT {TICKER_CATEGORIES}",
                [day],
            )
            delays = _delays(reader, day)
            per_minute = receipts_per_minute(reader, day, self._calendar.now_us())
        creation_ms, system_ms = average_ms(delays, "till_bucket"), average_ms(delays, "ingest_bucket")
        revenue = Decimal(sales.get("revenue", 0)).quantize(self._cent)
        return {
            "count": {"sum": revenue, "count": int(sales.get("receipts", 0))},
            "categories": {row["category"]: Decimal(row["revenue"]).quantize(self._cent) for row in categories},
            "metrics-db": {
                "connectionDelay": round(system_ms / 1_000, 3),
                "networkDelay": round(creation_ms / 1_000, 3),
            },
            "metrics-storm": {
                "averagePerMinute": per_minute,
                "averageMsCreation": round(creation_ms, 1),
                "averageMsSystem": round(system_ms, 1),
            },
        }


def _categories(reader: Reader, day: date) -> list[CategoryTotal]:
    rows = reader.query(
        f"SELECT category, revenue, quantity, lines FROM {metric_table('sales_by_category')} WHERE day = ? "
        "ORDER BY revenue DESC, category",
        [day],
    )
    return [
        CategoryTotal(row["category"], f"{row['revenue']:f}", row["quantity"], row["lines"])
        for row in rows
        if row["category"] != UNALLOCATED or row["revenue"]
    ]


def receipts_per_minute(reader: Reader, day: date, now_us: int) -> int:
    """Count the receipts of a business day that arrived in the 60 seconds before `now_us`."""
    now = utc(now_us).replace(tzinfo=None)
    sql = "SELECT coalesce(sum(receipts), 0) AS receipts FROM received WHERE day = ? AND second > ? AND second <= ?"
    return int(_first(reader, sql, day, now - timedelta(seconds=60), now)["receipts"])


def delay_percentiles(rows: Sequence[Row]) -> tuple[Percentiles, Percentiles]:
    """Return the percentiles of two delays: from ingest to the figures in ms, and from the till to ingest in seconds.

    Each row contains a bucket of each delay (`ingest_bucket` and `till_bucket`) and the number of `receipts`.
    """
    ingest, till = percentiles(rows, "ingest_bucket"), percentiles(rows, "till_bucket")
    return (
        Percentiles(**{name: ms and round(ms, 1) for name, ms in ingest.items()}),
        Percentiles(**{name: ms and round(ms / 1_000, 3) for name, ms in till.items()}),
    )


def _delays(reader: Reader, day: date) -> list[Row]:
    return reader.query(
        f"SELECT ingest_bucket, till_bucket, receipts FROM {metric_table('delays')} WHERE day = ?", [day]
    )


def _first(reader: Reader, sql: str, *parameters: Any) -> Row:
    rows = reader.query(sql, parameters)
    return rows[0] if rows else {}


def _row_count(reader: Reader, metric: str, day: date) -> int:
    return int(_first(reader, f"SELECT count(*) AS rows FROM {metric_table(metric)} WHERE day = ?", day)["rows"])
