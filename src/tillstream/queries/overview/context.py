"""The context of one overview: its scope and periods, its sales, and the comparison with earlier days."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from threading import Lock
from typing import Any, TypeVar

from tillstream.config.settings import Settings
from tillstream.database.base import Reader, Row
from tillstream.metrics.catalogue import metric_table
from tillstream.queries.overview.sales_sql import LINE_TOTALS, TOTALS, SalesSql, Select, total
from tillstream.queries.overview.scope import Period, Periods, Scope
from tillstream.queries.serialization import Amount, Change, amount
from tillstream.receipt.amounts import minor_digits, minor_unit
from tillstream.receipt.business_day import Calendar
from tillstream.stores.model import StoreList

CACHE_LIMIT = 128
"""The maximum number of cached values."""

NEW = "new"
"""The change from zero to another figure, which cannot be expressed in percent."""

BREAKDOWNS = ("category", "product", "store")

Number = Decimal | int | Fraction
Value = TypeVar("Value")


class VersionedCache:
    """A thread-safe cache of recently used values. Each value is valid for one version of the data behind it."""

    def __init__(self, limit: int = CACHE_LIMIT) -> None:
        self._limit = limit
        self._entries: OrderedDict[Any, tuple[Any, Any]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Any, version: Any, compute: Callable[[], Value]) -> Value:
        """Return the cached value for a key and a version. If there is none, compute and cache it."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and entry[0] == version:
                self._entries.move_to_end(key)
                return entry[1]  # type: ignore[no-any-return]
        value = compute()
        with self._lock:
            self._entries[key] = (version, value)
            self._entries.move_to_end(key)
            if len(self._entries) > self._limit:
                self._entries.popitem(last=False)
        return value


@dataclass(frozen=True, slots=True)
class Sales:
    """The sales of a scope: the total of each measure, and the revenue by category, product and store."""

    totals: Mapping[str, Number] = field(default_factory=dict)
    revenue_by: Mapping[str, Mapping[str, Decimal]] = field(default_factory=lambda: {name: {} for name in BREAKDOWNS})


@dataclass(frozen=True, slots=True)
class Comparison:
    """The sales that are needed to compare the requested days with the earlier days.

    `previous` contains the sales of the earlier days. If the periods have a cutoff, these sales end at the cutoff, but
    the sales of the requested days do not. `after_cutoff` contains the sales of the requested days at or after the
    cutoff. They must be subtracted, so that both sides end at the same time of day. `receipts` is the number of all
    receipts of the chain on the earlier days, including receipts after the cutoff.
    """

    after_cutoff: Sales
    previous: Sales
    receipts: int

    @property
    def empty(self) -> bool:
        """Whether the whole chain sold nothing on the earlier days."""
        return not self.receipts

    def change(self, now: Number | None, before: Number | None) -> Change | None:
        """Return the change from `before` to `now` in percent, rounded to one decimal.

        If only `before` is zero or None, return `new`. If both figures are zero or None, or if the comparison is empty,
        return None.
        """
        if self.empty or (now is None and before is None):
            return None
        if not before:
            return NEW if now else None
        tenths = abs((Fraction(now or 0) - Fraction(before)) * 1000 / abs(Fraction(before)))
        rounded = Decimal((2 * tenths.numerator + tenths.denominator) // (2 * tenths.denominator)).scaleb(-1)
        return format(-rounded if rounded and (now or 0) < before else rounded, "f")

    def unless_empty(self, before: Value) -> Value | None:
        """Return `before`, a figure of the earlier days. If the comparison is empty, return None."""
        return None if self.empty else before


@dataclass(frozen=True)
class OverviewContext:
    """The input of all panels of one overview. `now` is the local time in the zone of the chain."""

    reader: Reader
    scope: Scope
    periods: Periods
    stores: StoreList
    now_us: int
    now: datetime
    settings: Settings
    calendar: Calendar
    cache: VersionedCache

    @cached_property
    def cent(self) -> Decimal:
        """The minor unit of the currency."""
        return minor_unit(self.settings.currency)

    @cached_property
    def sales(self) -> SalesSql:
        """The SQL for the sales of the scope."""
        return SalesSql(self.scope, minor_digits(self.settings.currency), self.calendar)

    @cached_property
    def comparison(self) -> Comparison:
        """The comparison with the earlier days. Earlier sales are cached until more receipts of these days arrive."""
        previous, to_date = self.periods.previous, self.periods.to_date
        receipts = version(self.reader, previous)
        return Comparison(
            self._read_sales(self.sales.after_cutoff, to_date) if to_date.cutoff else Sales(),
            self.cached("sales", previous, receipts, lambda: self._read_sales(self.sales.select, previous)),
            receipts,
        )

    def _read_sales(self, select: Callable[[str, Period], Select], period: Period) -> Sales:
        revenue_by: dict[str, dict[str, Decimal]] = {name: {} for name in BREAKDOWNS}
        for name in BREAKDOWNS:
            if name != "store" or self.scope.kind not in ("store", "till"):
                rows = self.reader.query(*total(select(f"sales_by_{name}", period), [name], ["revenue"]))
                revenue_by[name] = {row[name]: row["revenue"] for row in rows}
        measures = LINE_TOTALS if self.scope.source == "lines" else TOTALS
        [totals] = self.reader.query(*total(select("sales", period), [], measures))
        return Sales({name: value or 0 for name, value in totals.items()}, revenue_by)

    def cached(self, name: str, period: Period, version: int, compute: Callable[[], Value]) -> Value:
        """Return the value with this name for the scope and a period. If its version is not cached, compute it."""
        return self.cache.get((name, self.scope.identity, period), version, compute)

    def rows(self, name: str, keys: Sequence[str], measures: Sequence[str], period: Period | None = None) -> list[Row]:
        """Return the measures of a metric, summed by `keys`. The default period is the requested days."""
        return self.reader.query(*total(self.sales.select(name, period or self.periods.requested), keys, measures))

    def money(self, value: Decimal | None) -> Amount:
        return amount(value or Decimal(0), self.cent)

    def revenue(self, value: Decimal | None, breakdown: str, key: str) -> tuple[Amount, Amount | None, Change | None]:
        """Return the revenue of one category, product or store, its revenue on the earlier days, and the change.

        `value` is the revenue on the requested days. `breakdown` and `key` select the item, such as `store` and `12`.
        """
        comparison, zero = self.comparison, Decimal(0)
        now = (value or zero) - comparison.after_cutoff.revenue_by[breakdown].get(key, zero)
        before = comparison.previous.revenue_by[breakdown].get(key, zero)
        return self.money(value), comparison.unless_empty(self.money(before)), comparison.change(now, before)


def version(reader: Reader, period: Period) -> int:
    """Return the number of receipts in a period. The number grows with the data, so it is used as a version."""
    sql = f"SELECT coalesce(sum(receipts), 0) AS receipts FROM {metric_table('sales')} WHERE day BETWEEN ? AND ?"
    return int(reader.query(sql, [period.first, period.last])[0]["receipts"])
