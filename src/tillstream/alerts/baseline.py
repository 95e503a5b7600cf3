"""Baselines: the hourly sales of the chain, its stores, its tills and its products on past days.

The past days have the same weekday. The baseline for a Monday, for example, covers the four Mondays before it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

from tillstream.alerts.rules import WEEKS
from tillstream.database.base import Reader, Row
from tillstream.metrics.catalogue import metric_table
from tillstream.receipt.model import UNALLOCATED, UNNAMED

HOUR = timedelta(hours=1)

_CACHED_DAYS = 3


@dataclass(slots=True)
class HourlyBaseline:
    """The number of receipts in each hour of the day, summed over the past days.

    The baseline of a product counts lines instead of receipts. `weeks` is the number of past days on which the store
    (for a till: its store) had sales. For the chain and for products, `weeks` counts the days with sales of the chain.
    `last` is the most recent past day that has a receipt. `title` is the name of a product.
    """

    weeks: int
    last: date
    title: str = ""
    receipts: list[int] = field(default_factory=lambda: [0] * 24)

    def expected(self, start: datetime, end: datetime) -> float:
        """Return the mean number of receipts between two local times of one business day."""
        total = 0.0
        while start < end:
            next_start = min(end, start.replace(minute=0, second=0, microsecond=0) + HOUR)
            total += self.receipts[start.hour] * ((next_start - start) / HOUR)
            start = next_start
        return total / self.weeks

    def add(self, row: Row) -> None:
        """Add a row with the receipts of one hour."""
        self.last = max(self.last, row["last"])
        self.receipts[row["hour"]] += row["receipts"]


@dataclass(slots=True)
class StoreBaseline(HourlyBaseline):
    """The baseline of a store or of the chain.

    `weeks_sold` contains, for each hour, the number of past days with sales in this hour. An hour is usual if it
    has sales on at least half of the days that `weeks` counts. `first_hour` is the hour in which a business day begins.
    """

    first_hour: int = 0
    revenue: list[Decimal] = field(default_factory=lambda: [Decimal(0)] * 24)
    weeks_sold: list[int] = field(default_factory=lambda: [0] * 24)
    tills: dict[str, HourlyBaseline] = field(default_factory=dict)

    def opened(self, local: datetime) -> datetime | None:
        """Return the start of the usual hours around a local time, or None if the time is not in usual hours.

        The first and the last usual hour do not count, because the minute of opening and closing is unknown.
        """
        if not self._is_inner(local.hour):
            return None
        start = local.replace(minute=0, second=0, microsecond=0)
        while self._is_inner((start.hour - 1) % 24):
            start -= HOUR
        return start

    def sells_later(self, local: datetime) -> bool:
        """Return whether this hour or a later hour of the business day is usual."""
        return any(self._is_usual(hour) for hour in range(24) if self._index(hour) >= self._index(local.hour))

    def first_hours(self, count: int) -> tuple[Decimal, int]:
        """Return the revenue and receipts of the first `count` hours of the business day, summed over the weeks."""
        hours = [hour for hour in range(24) if self._index(hour) < count]
        return sum((self.revenue[hour] for hour in hours), Decimal(0)), sum(self.receipts[hour] for hour in hours)

    def _index(self, hour: int) -> int:
        """Return the position of an hour in the business day, counted from 0."""
        return (hour - self.first_hour) % 24

    def _is_usual(self, hour: int) -> bool:
        return 2 * self.weeks_sold[hour] >= self.weeks

    def _is_inner(self, hour: int) -> bool:
        if self._index(hour) in (0, 23):
            return False
        return all(self._is_usual(each % 24) for each in (hour - 1, hour, hour + 1))


@dataclass(slots=True)
class Baseline:
    """The baselines of the chain, its stores and its products for one business day.

    `receipts` is the number of past receipts that they include. `chain` is None if there are no such receipts.
    """

    receipts: int
    chain: StoreBaseline | None = None
    stores: dict[str, StoreBaseline] = field(default_factory=dict)
    products: dict[str, HourlyBaseline] = field(default_factory=dict)


class Baselines:
    """Reads baselines and caches the baselines of the last few business days.

    A cached baseline is read again only if its number of receipts changes by more than one percent, for example after
    an import of past sales.
    """

    def __init__(self, first_hour: int) -> None:
        self._first_hour = first_hour
        self._cache: dict[date, Baseline] = {}

    def of(self, reader: Reader, day: date) -> Baseline:
        """Return the baseline for a business day."""
        days = ", ".join(f"DATE '{day - timedelta(weeks=week)}'" for week in range(1, WEEKS + 1))
        condition = f"day IN ({days})"
        [row] = reader.query(f"SELECT sum(receipts) AS receipts FROM {metric_table('sales')} WHERE {condition}")
        receipts = int(row["receipts"] or 0)
        baseline = self._cache.get(day)
        if baseline is None or abs(receipts - baseline.receipts) * 100 > baseline.receipts:
            baseline = self._cache[day] = self._read(reader, condition, receipts)
            for old in sorted(self._cache)[:-_CACHED_DAYS]:
                del self._cache[old]
        return baseline

    def _read(self, reader: Reader, condition: str, receipts: int) -> Baseline:
        chain = self._by_store(reader, condition, "''").get("")
        if chain is None:
            return Baseline(receipts)
        stores = self._by_store(reader, condition, "store")
        _add_tills(reader, condition, stores)
        return Baseline(receipts, chain, stores, _products(reader, condition, chain.weeks))

    def _by_store(self, reader: Reader, condition: str, store: str) -> dict[str, StoreBaseline]:
        """Return a baseline for each value of the SQL expression `store`. `condition` selects the past days."""
        rows = reader.query(
            f"""SELECT {store} AS store, count(DISTINCT day) AS weeks, max(day) AS last
            FROM {metric_table("sales_by_store")} WHERE {condition} GROUP BY 1"""
        )
        stores = {row["store"]: StoreBaseline(row["weeks"], row["last"], first_hour=self._first_hour) for row in rows}
        rows = reader.query(
            f"""SELECT {store} AS store, hour, sum(receipts) AS receipts, sum(revenue) AS revenue,
                count(DISTINCT day) AS weeks
            FROM {metric_table("sales_by_store_and_hour")} WHERE {condition} GROUP BY 1, 2"""
        )
        for row in rows:
            baseline, hour = stores[row["store"]], row["hour"]
            baseline.receipts[hour] = int(row["receipts"])
            baseline.revenue[hour] = row["revenue"]
            baseline.weeks_sold[hour] = row["weeks"]
        return stores


def _add_tills(reader: Reader, condition: str, stores: dict[str, StoreBaseline]) -> None:
    # This query reads all receipts of the past days, but runs only about once a day. To store the sales by till and
    # hour with each new receipt would cost more.
    rows = reader.query(
        f"""SELECT store, till, CAST(extract(hour FROM sold_local) AS INTEGER) AS hour, count(*) AS receipts,
            max(day) AS last
        FROM receipts WHERE {condition} GROUP BY store, till, hour"""
    )
    for row in rows:
        store = stores[row["store"]]
        store.tills.setdefault(row["till"], HourlyBaseline(store.weeks, row["last"])).add(row)


def _products(reader: Reader, condition: str, weeks: int) -> dict[str, HourlyBaseline]:
    rows = reader.query(
        f"""SELECT product, CAST(extract(hour FROM sold_local) AS INTEGER) AS hour, count(*) AS receipts,
            max(day) AS last, max(description) AS title
        FROM lines WHERE {condition} AND product NOT IN ('{UNALLOCATED}', '{UNNAMED}') GROUP BY product, hour"""
    )
    products: dict[str, HourlyBaseline] = {}
    for row in rows:
        products.setdefault(row["product"], HourlyBaseline(weeks, row["last"], row["title"])).add(row)
    return products
