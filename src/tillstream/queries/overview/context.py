"""Context of one overview: its scope and periods, its reader, and the comparison with earlier days."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from threading import Lock
from typing import Any, TypeVar

from tillstream.config.settings import Settings
from tillstream.database.base import Reader, Row
from tillstream.metrics.catalogue import metric_table
from tillstream.queries.overview.sales_sql import LINE_TOTALS, TOTALS, SalesSql, Select, total
from tillstream.queries.overview.scope import Period, Periods, Scope
from tillstream.queries.serialization import amount
from tillstream.receipt.business_day import Calendar
from tillstream.stores.model import StoreList

CACHE_LIMIT = 128
"""Maximum number of cached answers. They change once a minute, or when late receipts arrive."""

NEW = "new"
"""The change from nothing to something."""

BREAKDOWNS = ("category", "product", "store")

Number = Decimal | int | Fraction
Value = TypeVar("Value")


class VersionedCache:
    """A cache of the last answers. An answer is valid for one version of its data. Thread-safe."""

    def __init__(self, limit: int = CACHE_LIMIT) -> None:
        self._limit = limit
        self._entries: OrderedDict[Any, tuple[Any, Any]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Any, version: Any, compute: Callable[[], Value]) -> Value:
        """The cached answer, or else a computed one."""
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
    """Total sales of a scope, and its revenue by category, product and store."""

    totals: Mapping[str, Number] = field(default_factory=dict)
    revenue_by: Mapping[str, Mapping[str, Decimal]] = field(default_factory=lambda: {name: {} for name in BREAKDOWNS})


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sets of sales up to the same time of day.

    `previous` are the sales of the earlier days, `after_cutoff` the part of the requested sales that has no
    counterpart in them yet. `empty` says that the whole chain sold nothing on the earlier days.
    """

    after_cutoff: Sales
    previous: Sales
    empty: bool

    def change(self, now: Number | None, before: Number | None) -> str | None:
        """Change in percent with one decimal, rounded half-up; `new` if there was nothing before."""
        if self.empty or (now is None and before is None):
            return None
        if not before:
            return NEW if now else None
        tenths = abs((Fraction(now or 0) - Fraction(before)) * 1000 / abs(Fraction(before)))
        rounded = Decimal((2 * tenths.numerator + tenths.denominator) // (2 * tenths.denominator)).scaleb(-1)
        return format(-rounded if rounded and (now or 0) < before else rounded, "f")

    def unless_empty(self, before: str | int | None) -> str | int | None:
        """A figure of the earlier days, or None if the comparison is empty."""
        return None if self.empty else before


@dataclass(frozen=True, slots=True)
class OverviewContext:
    """Everything that the panels of one overview share. `now` is wall-clock time in the zone of the chain."""

    reader: Reader
    scope: Scope
    periods: Periods
    stores: StoreList
    now_us: int
    now: datetime
    cent: Decimal
    settings: Settings
    calendar: Calendar
    sales: SalesSql
    cache: VersionedCache
    comparison: Comparison

    def rows(self, name: str, keys: Sequence[str], measures: Sequence[str], period: Period | None = None) -> list[Row]:
        """The measures of a metric summed by these keys, in the period or else on the requested days."""
        return self.query(total(self.sales.select(name, self.scope, period or self.periods.requested), keys, measures))

    def query(self, select: Select) -> list[Row]:
        return self.reader.query(*select)

    def money(self, value: Decimal | None) -> str:
        return amount(value or Decimal(0), self.cent)

    def version(self, period: Period) -> int:
        return version(self.reader, period)

    def revenue(self, value: Decimal | None, breakdown: str, key: str) -> Row:
        """Revenue of one category, product or store, that of the earlier days, and the change between them."""
        comparison, zero = self.comparison, Decimal(0)
        now = (value or zero) - comparison.after_cutoff.revenue_by[breakdown].get(key, zero)
        before = comparison.previous.revenue_by[breakdown].get(key, zero)
        return {
            "revenue": self.money(value),
            "before": comparison.unless_empty(self.money(before)),
            "change": comparison.change(now, before),
        }


def version(reader: Reader, period: Period) -> int:
    """The number of receipts on the days of the period. It grows with every receipt that is added to them."""
    table = metric_table("sales")
    sql = f"SELECT coalesce(sum(receipts), 0) AS receipts FROM {table} WHERE day BETWEEN ? AND ?"
    return int(reader.query(sql, [period.first, period.last])[0]["receipts"])


def compare(reader: Reader, scope: Scope, periods: Periods, sales: SalesSql, cache: VersionedCache) -> Comparison:
    """Read the sales of both periods. Those of the earlier days are cached until receipts are added to them."""
    previous, to_date = periods.previous, periods.to_date
    receipts = version(reader, previous)
    return Comparison(
        Sales()
        if to_date.cutoff is None
        else _read_sales(reader, scope, lambda name: sales.after_cutoff(name, scope, to_date)),
        cache.get(
            ("sales", scope.identity, previous),
            receipts,
            lambda: _read_sales(reader, scope, lambda name: sales.select(name, scope, previous)),
        ),
        not receipts,
    )


def _read_sales(reader: Reader, scope: Scope, select: Callable[[str], Select]) -> Sales:
    """Sales from the rows of each metric that `select` selects."""
    revenue_by: dict[str, dict[str, Decimal]] = {name: {} for name in BREAKDOWNS}
    for name in BREAKDOWNS:
        if name != "store" or scope.kind not in ("store", "till"):
            rows = reader.query(*total(select(f"sales_by_{name}"), [name], ["revenue"]))
            revenue_by[name] = {row[name]: row["revenue"] for row in rows}
    measures = LINE_TOTALS if scope.source == "lines" else TOTALS
    [totals] = reader.query(*total(select("sales"), [], measures))
    return Sales({name: value or 0 for name, value in totals.items()}, revenue_by)
