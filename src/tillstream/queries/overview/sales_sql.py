"""SQL for the sales of a scope in a period, from the metric tables or from the stored receipts and lines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from tillstream.metrics.catalogue import BUILT_IN, KEYS, Metric, aggregate, declare, metric_table
from tillstream.queries.overview.scope import Period, Scope
from tillstream.receipt.business_day import Calendar

Select = tuple[str, list[Any]]
"""A SELECT statement and its parameters."""

TOTALS = ("revenue", "net", "tax", "receipts", "lines", "quantity", "refunds", "refund_count")
LINE_TOTALS = ("revenue", "net", "tax", "lines", "quantity")
SOLD = ("revenue", "quantity")

_RECEIPT_METRICS = {metric.name: metric for metric in BUILT_IN}
# The sales of a category or a product are those of its lines.
_LINE_METRICS = _RECEIPT_METRICS | {
    name: declare(name, "", "lines", keys, LINE_TOTALS)
    for name, keys in {
        "sales": ["day"],
        "sales_by_store": ["day", "store"],
        "sales_by_minute": ["day", "minute"],
        "sales_by_store_and_hour": ["day", "store", "hour"],
    }.items()
}

_HOURLY_METRIC = {
    "sales_by_category": "sales_by_hour_and_category",
    "sales_by_product": "sales_by_product_and_hour",
    "sales_by_store": "sales_by_store_and_hour",
}
# The metric that holds the daily totals of each kind of scope.
_TOTALS_METRIC = {
    "chain": "sales",
    "region": "sales_by_store",
    "store": "sales_by_store",
    "category": "sales_by_category",
    "product": "sales_by_product",
}

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


class SalesSql:
    """Builds SELECT statements whose rows have `day`, the keys of a metric and its measures, not yet summed.

    A metric table serves the chain, and each smaller scope that the keys of the metric can select. For any other
    scope the same metric is computed from the stored rows.
    """

    def __init__(self, scope: Scope, digits: int, calendar: Calendar) -> None:
        self._scope = scope
        self._digits = digits
        self._calendar = calendar

    def select(self, name: str, period: Period) -> Select:
        """The rows of a metric in the period.

        Without a cutoff they have all measures; with one, `TOTALS` for the metric `sales` and `SOLD` for any other.
        """
        table = self._table(name) if period.cutoff is None or self._scope.kind == "chain" else None
        if table is None:
            return self._compute(name, *period.condition)
        if period.cutoff is None:
            condition, values = self._scope.condition
            sql = f"SELECT * FROM {table} WHERE day BETWEEN ? AND ? AND {condition}"
            return sql, [period.first, period.last, *values]
        if name == "sales":
            minutes = metric_table("sales_by_minute")
            parts = [(f"SELECT * FROM {minutes} WHERE day = ? AND minute < ?", [period.last, period.cutoff])]
        else:
            parts = self._last_day(name, period.last, period.cutoff)
        if period.first < period.last:
            full_days = f"SELECT * FROM {metric_table(name)} WHERE day BETWEEN ? AND ?"
            parts.append((full_days, [period.first, period.last - _DAY]))
        keys = [key.name for key in _RECEIPT_METRICS[name].keys]
        return _union([*keys, *(TOTALS if name == "sales" else SOLD)], parts)

    def after_cutoff(self, name: str, period: Period) -> Select:
        """The rows of the last day at and after the cutoff. The cutoff is the current minute, so they are few."""
        return self._compute(name, "day = ? AND sold_local >= ?", [period.last, period.cutoff])

    def by_minute(self, period: Period, since: datetime, until: datetime) -> Select:
        """`sales_by_minute` from `since` to the last minute before `until`."""
        name, values = "sales_by_minute", [period.first, period.last, since, until]
        if self._scope.kind == "chain":
            condition = "day BETWEEN ? AND ? AND minute >= ? AND minute < ?"
            return f"SELECT * FROM {metric_table(name)} WHERE {condition}", values
        condition = "day BETWEEN ? AND ? AND sold_local >= ? AND sold_local < ?"
        return self._compute(name, condition, values)

    def _compute(self, name: str, condition: str, values: Sequence[Any]) -> Select:
        """The metric, computed from stored rows."""
        in_scope, scope_values = self._scope.condition
        sql = aggregate(self._metric(name), self._digits, f"{condition} AND {in_scope}")
        return sql, [*values, *scope_values]

    def _last_day(self, name: str, day: date, cutoff: datetime) -> list[Select]:
        """The last day up to the cutoff: its complete hours from the hourly metric, the rest from stored rows.

        The rest is the hour of the cutoff and the time before the first complete hour. The hourly metric has only the
        hour of the clock, so it includes receipts dated a day later; these are subtracted.
        """
        begin = _round_up(self._calendar.start(day))
        end = max(begin, cutoff.replace(minute=0))
        hours = ", ".join(str((begin + number * _HOUR).hour) for number in range((end - begin) // _HOUR))
        if not hours:
            return [self._compute(name, "day = ? AND sold_local < ?", [day, cutoff])]
        hour = KEYS["hour"].expression
        beyond, values = self._compute(
            name, f"day = ? AND sold_local >= ? AND {hour} IN ({hours})", [day, begin + _DAY]
        )
        keys = [key.name for key in _RECEIPT_METRICS[name].keys]
        negative = [*keys, *(f"-{measure} AS {measure}" for measure in SOLD)]
        return [
            (f"SELECT * FROM {metric_table(_HOURLY_METRIC[name])} WHERE day = ? AND hour IN ({hours})", [day]),
            self._compute(name, "day = ? AND sold_local >= ? AND sold_local < ?", [day, end, cutoff]),
            self._compute(name, f"day = ? AND sold_local < ? AND {hour} NOT IN ({hours})", [day, begin]),
            (f"SELECT {', '.join(negative)} FROM ({beyond}) AS beyond", values),
        ]

    def _metric(self, name: str) -> Metric:
        return (_LINE_METRICS if self._scope.source == "lines" else _RECEIPT_METRICS)[name]

    def _table(self, name: str) -> str | None:
        """The table with the rows of the scope; None if the keys of the metric cannot select the scope."""
        if name == "sales":
            total_metric = _TOTALS_METRIC.get(self._scope.kind)
            return total_metric and metric_table(total_metric)
        metric = self._metric(name)
        selectable = metric is _RECEIPT_METRICS[name] and self._scope.columns <= {key.name for key in metric.keys}
        return metric_table(name) if selectable else None


def total(select: Select, keys: Sequence[str], measures: Sequence[str]) -> Select:
    """The sums of the measures by these keys; one row if there are no keys."""
    sql, values = select
    sums = ", ".join(f"sum({measure}) AS {measure}" for measure in measures)
    by = f" GROUP BY {', '.join(keys)}" if keys else ""
    return f"SELECT {', '.join([*keys, sums])} FROM ({sql}) AS rows{by}", values


def _union(columns: Sequence[str], parts: Sequence[Select]) -> Select:
    select = f"SELECT {', '.join(columns)} FROM"
    return (
        " UNION ALL ".join(f"{select} ({sql}) AS part" for sql, _ in parts),
        [value for _, values in parts for value in values],
    )


def _round_up(time: datetime) -> datetime:
    """The first full hour at or after the time."""
    full = time.replace(minute=0)
    return full if full == time else full + _HOUR
