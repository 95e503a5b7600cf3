"""SQL that selects the sales of a part of the chain in a period, from metric tables, or from receipts and lines."""

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
# For a category or a product, these metrics are computed from lines instead of receipts.
_LINE_METRICS = _RECEIPT_METRICS | {
    name: declare(name, "", "lines", keys, LINE_TOTALS)
    for name, keys in {
        "sales": ["day"],
        "sales_by_store": ["day", "store"],
        "sales_by_minute": ["day", "minute"],
        "sales_by_store_and_hour": ["day", "store", "hour"],
    }.items()
}

# For each metric, the metric with the same keys plus the hour.
_HOURLY_METRIC = {
    "sales_by_category": "sales_by_hour_and_category",
    "sales_by_product": "sales_by_product_and_hour",
    "sales_by_store": "sales_by_store_and_hour",
}
# For each kind of scope, the metric that contains its daily totals. A till has no such metric.
_TOTALS_METRIC = {
    "chain": "sales",
    "region": "sales_by_store",
    "store": "sales_by_store",
    "category": "sales_by_category",
    "product": "sales_by_product",
}

_HOUR = timedelta(hours=1)


class SalesSql:
    """Builds SELECT statements for the sales of one scope. Each row contains the keys and the measures of a metric.

    Several rows may have the same keys, so the caller must sum the measures. If a metric table has the columns that the
    scope and the period need, rows are read from this table. Otherwise, rows are computed from stored receipts or
    lines, which is slower.
    """

    def __init__(self, scope: Scope, digits: int, calendar: Calendar) -> None:
        self._scope = scope
        self._digits = digits
        self._calendar = calendar

    def select(self, name: str, period: Period) -> Select:
        """Select the rows of a metric in a period.

        If the period has a cutoff, only these figures are available: the measures `TOTALS` of the metric `sales`, and
        the measures `SOLD` of the metrics in `_HOURLY_METRIC`.
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
            last_day = [(f"SELECT * FROM {minutes} WHERE day = ? AND minute < ?", [period.last, period.cutoff])]
        else:
            last_day = self._last_day(name, period.last, period.cutoff)
        full_days = f"SELECT * FROM {metric_table(name)} WHERE day >= ? AND day < ?", [period.first, period.last]
        columns = [key.name for key in _RECEIPT_METRICS[name].keys] + [*(TOTALS if name == "sales" else SOLD)]
        return _union(columns, [full_days, *last_day])

    def after_cutoff(self, name: str, period: Period) -> Select:
        """Compute a metric only from the sales at or after the cutoff, on the last day of a period."""
        return self._compute(name, "day = ? AND sold_local >= ?", [period.last, period.cutoff])

    def by_minute(self, period: Period, since: datetime, until: datetime) -> Select:
        """Select the rows of `sales_by_minute` with `since <= minute < until`."""
        name, values = "sales_by_minute", [period.first, period.last, since, until]
        if self._scope.kind == "chain":
            condition = "day BETWEEN ? AND ? AND minute >= ? AND minute < ?"
            return f"SELECT * FROM {metric_table(name)} WHERE {condition}", values
        condition = "day BETWEEN ? AND ? AND sold_local >= ? AND sold_local < ?"
        return self._compute(name, condition, values)

    def _last_day(self, name: str, day: date, cutoff: datetime) -> list[Select]:
        """Return statements that together select the sales of a day until the cutoff.

        A day may have millions of receipts, so complete hours come from the hourly metric. Only the hour of the cutoff
        and the time before the first complete hour are computed from stored rows.

        If the setting `day_start` was changed, a business day may contain the same hour on two dates, for example 05:00
        today and 05:00 tomorrow. The hourly metric adds both, so the last statement subtracts the later sales.
        """
        start = self._calendar.start(day)
        begin = start.replace(minute=0) + _HOUR if start.minute else start
        end = max(begin, cutoff.replace(minute=0))
        hours = ", ".join(str((begin + number * _HOUR).hour) for number in range((end - begin) // _HOUR))
        if not hours:
            return [self._compute(name, "day = ? AND sold_local < ?", [day, cutoff])]
        hour = KEYS["hour"].expression
        in_hours = f"{hour} IN ({hours})"
        later, values = self._compute(
            name, f"day = ? AND sold_local >= ? AND {in_hours}", [day, begin + timedelta(days=1)]
        )
        keys = ", ".join(key.name for key in _RECEIPT_METRICS[name].keys)
        negative = ", ".join(f"-{measure} AS {measure}" for measure in SOLD)
        return [
            (f"SELECT * FROM {metric_table(_HOURLY_METRIC[name])} WHERE day = ? AND hour IN ({hours})", [day]),
            self._compute(name, "day = ? AND sold_local >= ? AND sold_local < ?", [day, end, cutoff]),
            self._compute(name, f"day = ? AND sold_local < ? AND NOT {in_hours}", [day, begin]),
            (f"SELECT {keys}, {negative} FROM ({later}) AS later", values),
        ]

    def _compute(self, name: str, condition: str, values: Sequence[Any]) -> Select:
        """Compute a metric from the stored rows that meet a condition."""
        in_scope, scope_values = self._scope.condition
        sql = aggregate(self._metric(name), self._digits, f"{condition} AND {in_scope}")
        return sql, [*values, *scope_values]

    def _metric(self, name: str) -> Metric:
        return (_LINE_METRICS if self._scope.source == "lines" else _RECEIPT_METRICS)[name]

    def _table(self, name: str) -> str | None:
        """Return the table from which a metric of the scope can be read, or None if no table has it."""
        if name == "sales":
            total_metric = _TOTALS_METRIC.get(self._scope.kind)
            return total_metric and metric_table(total_metric)
        metric = self._metric(name)
        selectable = metric is _RECEIPT_METRICS[name] and self._scope.columns <= {key.name for key in metric.keys}
        return metric_table(name) if selectable else None


def total(select: Select, keys: Sequence[str], measures: Sequence[str]) -> Select:
    """Return a SELECT statement that sums the measures by the keys. If there are no keys, it selects one row."""
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
