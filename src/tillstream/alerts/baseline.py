"""Baseline of a weekday: the hourly sales of the chain, its stores, tills and products in the past weeks."""

from __future__ import annotations

from collections.abc import Sequence
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
    """Receipts by hour of the clock, summed over `weeks`. Those of a product are its lines.

    `last` is the last of the past days with any receipt.
    """

    weeks: int
    last: date
    title: str = ""
    receipts: list[int] = field(default_factory=lambda: [0] * 24)

    def expected(self, start: datetime, end: datetime) -> float:
        """The mean number of receipts between two wall-clock times of one business day."""
        total = 0.0
        while start < end:
            upto = min(end, start.replace(minute=0, second=0, microsecond=0) + HOUR)
            total += self.receipts[start.hour] * ((upto - start) / HOUR)
            start = upto
        return total / self.weeks


@dataclass(slots=True)
class StoreBaseline(HourlyBaseline):
    """The baseline of a store or of the chain, with revenue and the number of weeks with sales in each hour.

    `first_hour` is the hour in which a business day begins. An hour is usual if at least half of the weeks have
    sales in it.
    """

    first_hour: int = 0
    revenue: list[Decimal] = field(default_factory=lambda: [Decimal(0)] * 24)
    weeks_sold: list[int] = field(default_factory=lambda: [0] * 24)

    def opened(self, local: datetime) -> datetime | None:
        """The start of the current run of usual hours; None outside of them.

        The first and the last hour of a run are left out, because the minute of opening and closing is unknown.
        """
        if not self._is_inner(local.hour):
            return None
        start = local.replace(minute=0, second=0, microsecond=0)
        while self._is_inner((start.hour - 1) % 24):
            start -= HOUR
        return start

    def sells_later(self, local: datetime) -> bool:
        """Whether this hour or a later one of the business day is usual."""
        return any(self._is_usual(hour) for hour in range(24) if self._index(hour) >= self._index(local.hour))

    def first_hours(self, count: int) -> tuple[Decimal, int]:
        """Revenue and receipts of the first hours of the business day, summed over the weeks."""
        early = [hour for hour in range(24) if self._index(hour) < count]
        return sum((self.revenue[hour] for hour in early), Decimal(0)), sum(self.receipts[hour] for hour in early)

    def _index(self, hour: int) -> int:
        """The position of an hour in the business day, from 0."""
        return (hour - self.first_hour) % 24

    def _is_usual(self, hour: int) -> bool:
        return 2 * self.weeks_sold[hour] >= self.weeks

    def _is_inner(self, hour: int) -> bool:
        if self._index(hour) in (0, 23):
            return False
        return all(self._is_usual(each % 24) for each in (hour - 1, hour, hour + 1))


@dataclass(slots=True)
class Baseline:
    """The baselines of one business day, computed from `receipts` receipts; `tills` are by store and till.

    `chain` is None if nothing was sold on the same weekdays before.
    """

    receipts: int
    chain: StoreBaseline | None = None
    stores: dict[str, StoreBaseline] = field(default_factory=dict)
    tills: dict[str, dict[str, HourlyBaseline]] = field(default_factory=dict)
    products: dict[str, HourlyBaseline] = field(default_factory=dict)


class Baselines:
    """Reads baselines and caches those of the last few business days.

    A baseline is read once a day, and again if the number of its receipts changed by more than one percent, for
    example because past sales were imported.
    """

    def __init__(self, first_hour: int) -> None:
        self._first_hour = first_hour
        self._cache: dict[date, Baseline] = {}

    def of(self, reader: Reader, day: date) -> Baseline:
        """The baseline of a business day."""
        days = [day - timedelta(weeks=week) for week in range(1, WEEKS + 1)]
        among = f"day IN ({', '.join('?' for _ in days)})"
        [row] = reader.query(
            f"SELECT coalesce(sum(receipts), 0) AS receipts FROM {metric_table('sales')} WHERE {among}", days
        )
        receipts = int(row["receipts"])
        baseline = self._cache.get(day)
        if baseline is None or abs(receipts - baseline.receipts) * 100 > baseline.receipts:
            baseline = self._cache[day] = _BaselineReader(reader, days, among, self._first_hour).read(receipts)
            for old in sorted(self._cache)[:-_CACHED_DAYS]:
                del self._cache[old]
        return baseline


class _BaselineReader:
    """Reads the baseline of one business day from its past weekdays, which the condition `among` selects."""

    def __init__(self, reader: Reader, days: Sequence[date], among: str, first_hour: int) -> None:
        self._reader = reader
        self._days = days
        self._among = among
        self._first_hour = first_hour

    def read(self, receipts: int) -> Baseline:
        baseline = Baseline(receipts, self._chain())
        if baseline.chain is not None:
            baseline.stores = self._stores()
            baseline.tills = self._tills(baseline.stores)
            baseline.products = self._products(baseline.chain)
        return baseline

    def _query(self, sql: str, *values: str) -> list[Row]:
        return self._reader.query(sql, [*self._days, *values])

    def _chain(self) -> StoreBaseline | None:
        [row] = self._query(
            f"SELECT count(*) AS weeks, max(day) AS last FROM {metric_table('sales')} WHERE {self._among}"
        )
        if not row["weeks"]:
            return None
        baseline = StoreBaseline(row["weeks"], row["last"], first_hour=self._first_hour)
        rows = self._query(
            f"""SELECT hour, sum(receipts) AS receipts, sum(revenue) AS revenue, count(DISTINCT day) AS weeks
            FROM {metric_table("sales_by_store_and_hour")} WHERE {self._among} GROUP BY hour"""
        )
        for row in rows:
            _set_hour(baseline, row)
        return baseline

    def _stores(self) -> dict[str, StoreBaseline]:
        rows = self._query(
            f"""SELECT store, count(*) AS weeks, max(day) AS last FROM {metric_table("sales_by_store")}
            WHERE {self._among} GROUP BY store"""
        )
        stores = {row["store"]: StoreBaseline(row["weeks"], row["last"], first_hour=self._first_hour) for row in rows}
        rows = self._query(
            f"""SELECT store, hour, sum(receipts) AS receipts, sum(revenue) AS revenue, count(*) AS weeks
            FROM {metric_table("sales_by_store_and_hour")} WHERE {self._among} GROUP BY store, hour"""
        )
        for row in rows:
            _set_hour(stores[row["store"]], row)
        return stores

    def _tills(self, stores: dict[str, StoreBaseline]) -> dict[str, dict[str, HourlyBaseline]]:
        """Tills from the stored receipts: a metric by till and hour would cost more than this query once a day."""
        rows = self._query(
            f"""SELECT store, till, CAST(extract(hour FROM sold_local) AS INTEGER) AS hour, count(*) AS receipts,
                max(day) AS last
            FROM receipts WHERE {self._among} GROUP BY store, till, hour"""
        )
        tills: dict[str, dict[str, HourlyBaseline]] = {}
        for row in rows:
            of_store = tills.setdefault(row["store"], {})
            new = HourlyBaseline(stores[row["store"]].weeks, row["last"])
            _add_hour(of_store.setdefault(row["till"], new), row)
        return tills

    def _products(self, chain: StoreBaseline) -> dict[str, HourlyBaseline]:
        rows = self._query(
            f"""SELECT product, CAST(extract(hour FROM sold_local) AS INTEGER) AS hour, count(*) AS receipts,
                max(day) AS last, max(description) AS description
            FROM lines WHERE {self._among} AND product NOT IN (?, ?) GROUP BY product, hour""",
            UNALLOCATED,
            UNNAMED,
        )
        products: dict[str, HourlyBaseline] = {}
        for row in rows:
            new = HourlyBaseline(chain.weeks, row["last"], row["description"])
            _add_hour(products.setdefault(row["product"], new), row)
        return products


def _set_hour(baseline: StoreBaseline, row: Row) -> None:
    baseline.receipts[row["hour"]] = int(row["receipts"])
    baseline.revenue[row["hour"]] = row["revenue"]
    baseline.weeks_sold[row["hour"]] = row["weeks"]


def _add_hour(baseline: HourlyBaseline, row: Row) -> None:
    baseline.last = max(baseline.last, row["last"])
    baseline.receipts[row["hour"]] += row["receipts"]
