"""What is usual on a weekday: how the chain, its shops, tills and products sold hour by hour in the past weeks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

from tillstream.alerts.rules import WEEKS
from tillstream.database.base import Reader, Row
from tillstream.metrics.folding import metric_table
from tillstream.receipt.model import UNALLOCATED, UNNAMED

HOUR = timedelta(hours=1)

_KEPT_DAYS = 3


@dataclass(slots=True)
class Habit:
    """Receipts (a product's: lines) by hour of the clock, summed over so many weeks; `last` is the last of their days
    on which there were any."""

    weeks: int
    last: date
    title: str = ""
    receipts: list[int] = field(default_factory=lambda: [0] * 24)

    def expected(self, start: datetime, end: datetime) -> float:
        """How many usually come between two wall-clock times of one business day."""
        total = 0.0
        while start < end:
            upto = min(end, start.replace(minute=0, second=0, microsecond=0) + HOUR)
            total += self.receipts[start.hour] * ((upto - start) / HOUR)
            start = upto
        return total / self.weeks


@dataclass(slots=True)
class Trade(Habit):
    """The habit of a shop or the chain: with its revenue, and in how many of the weeks it sold in each hour.

    `first_hour` is that in which a business day begins.
    """

    first_hour: int = 0
    revenue: list[Decimal] = field(default_factory=lambda: [Decimal(0)] * 24)
    sold: list[int] = field(default_factory=lambda: [0] * 24)

    def opened(self, local: datetime) -> datetime | None:
        """When the usual hours began that it is in; None outside of them.

        The hours in which it opens and closes stay out: nobody knows at which minute it does.
        """
        if not self._inner(local.hour):
            return None
        start = local.replace(minute=0, second=0, microsecond=0)
        while self._inner((start.hour - 1) % 24):
            start -= HOUR
        return start

    def sells_later(self, local: datetime) -> bool:
        """Whether it usually sells in this hour or in a later one of the business day."""
        return any(self._usual(hour) for hour in range(24) if self.order(hour) >= self.order(local.hour))

    def until(self, hours: int) -> tuple[Decimal, int]:
        """Revenue and receipts of the first hours of the business day, summed over the weeks."""
        early = [hour for hour in range(24) if self.order(hour) < hours]
        return sum((self.revenue[hour] for hour in early), Decimal(0)), sum(self.receipts[hour] for hour in early)

    def order(self, hour: int) -> int:
        """The how-manieth hour of the business day it is, from 0."""
        return (hour - self.first_hour) % 24

    def _usual(self, hour: int) -> bool:
        return 2 * self.sold[hour] >= self.weeks

    def _inner(self, hour: int) -> bool:
        if self.order(hour) in (0, 23):
            return False
        return all(self._usual(each % 24) for each in (hour - 1, hour, hour + 1))


@dataclass(slots=True)
class Baseline:
    """Everybody's habits on a business day; `tills` by store. `chain` is None where nothing was sold on its past weekdays."""

    counted: int
    chain: Trade | None = None
    shops: dict[str, Trade] = field(default_factory=dict)
    tills: dict[str, dict[str, Habit]] = field(default_factory=dict)
    products: dict[str, Habit] = field(default_factory=dict)


class Baselines:
    """The usual of the last few business days that were asked for.

    It is read once a day, and again where more than a percent of the receipts behind it changed: a past that is
    loaded while one looks.
    """

    def __init__(self, first_hour: int) -> None:
        self._first_hour = first_hour
        self._kept: dict[date, Baseline] = {}

    def of(self, reader: Reader, day: date) -> Baseline:
        """The usual of a business day, as this reader sees its past."""
        days = [day - timedelta(weeks=week) for week in range(1, WEEKS + 1)]
        [row] = reader.query(
            f"SELECT coalesce(sum(receipts), 0) AS counted FROM {metric_table('sales')} WHERE {_among(days)}", days
        )
        counted = int(row["counted"])
        kept = self._kept.get(day)
        if kept is None or abs(counted - kept.counted) * 100 > kept.counted:
            kept = self._kept[day] = _Reading(reader, days, self._first_hour).usual(counted)
            for old in sorted(self._kept)[:-_KEPT_DAYS]:
                del self._kept[old]
        return kept


def _among(days: Sequence[date]) -> str:
    return f"day IN ({', '.join('?' for _ in days)})"


class _Reading:
    """The past weekdays of one business day, read by one reader."""

    def __init__(self, reader: Reader, days: Sequence[date], first_hour: int) -> None:
        self._reader = reader
        self._days = days
        self._first_hour = first_hour

    def usual(self, counted: int) -> Baseline:
        usual = Baseline(counted, self._chain())
        if usual.chain is not None:
            usual.shops = self._shops()
            usual.tills = self._tills(usual.shops)
            usual.products = self._products(usual.chain)
        return usual

    def _chain(self) -> Trade | None:
        [row] = self._reader.query(
            f"SELECT count(*) AS weeks, max(day) AS last FROM {metric_table('sales')} WHERE {_among(self._days)}",
            self._days,
        )
        if not row["weeks"]:
            return None
        trade = Trade(row["weeks"], row["last"], first_hour=self._first_hour)
        rows = self._reader.query(
            f"""SELECT hour, sum(receipts) AS receipts, sum(revenue) AS revenue, count(DISTINCT day) AS sold
            FROM {metric_table("sales_by_store_and_hour")} WHERE {_among(self._days)} GROUP BY hour""",
            self._days,
        )
        for row in rows:
            _put(trade, row)
        return trade

    def _shops(self) -> dict[str, Trade]:
        rows = self._reader.query(
            f"""SELECT store, count(*) AS weeks, max(day) AS last FROM {metric_table("sales_by_store")}
            WHERE {_among(self._days)} GROUP BY store""",
            self._days,
        )
        shops = {row["store"]: Trade(row["weeks"], row["last"], first_hour=self._first_hour) for row in rows}
        rows = self._reader.query(
            f"""SELECT store, hour, sum(receipts) AS receipts, sum(revenue) AS revenue, count(*) AS sold
            FROM {metric_table("sales_by_store_and_hour")} WHERE {_among(self._days)} GROUP BY store, hour""",
            self._days,
        )
        for row in rows:
            _put(shops[row["store"]], row)
        return shops

    def _tills(self, shops: dict[str, Trade]) -> dict[str, dict[str, Habit]]:
        """By the stored receipts: a metric of every till and hour would cost more than reading them once a day."""
        rows = self._reader.query(
            f"""SELECT store, till, CAST(extract(hour FROM sold_local) AS INTEGER) AS hour, count(*) AS receipts,
                max(day) AS last
            FROM receipts WHERE {_among(self._days)} GROUP BY store, till, hour""",
            self._days,
        )
        tills: dict[str, dict[str, Habit]] = {}
        for row in rows:
            of_shop = tills.setdefault(row["store"], {})
            habit = of_shop.setdefault(row["till"], Habit(shops[row["store"]].weeks, row["last"]))
            habit.last = max(habit.last, row["last"])
            habit.receipts[row["hour"]] += row["receipts"]
        return tills

    def _products(self, chain: Trade) -> dict[str, Habit]:
        rows = self._reader.query(
            f"""SELECT product, CAST(extract(hour FROM sold_local) AS INTEGER) AS hour, count(*) AS receipts,
                max(day) AS last, max(description) AS description
            FROM lines WHERE {_among(self._days)} AND product NOT IN (?, ?) GROUP BY product, hour""",
            [*self._days, UNALLOCATED, UNNAMED],
        )
        products: dict[str, Habit] = {}
        for row in rows:
            habit = products.setdefault(row["product"], Habit(chain.weeks, row["last"], row["description"]))
            habit.last = max(habit.last, row["last"])
            habit.receipts[row["hour"]] += row["receipts"]
        return products


def _put(trade: Trade, row: Row) -> None:
    trade.receipts[row["hour"]] = int(row["receipts"])
    trade.revenue[row["hour"]] = row["revenue"]
    trade.sold[row["hour"]] = row["sold"]
