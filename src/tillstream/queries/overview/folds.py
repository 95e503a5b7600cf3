"""What a scope sold in a span, as SQL: the chain's from the metrics, a part's folded from the stored rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from tillstream.metrics.catalogue import BUILT_IN, KEYS, Metric, declare
from tillstream.metrics.folding import fold, metric_table
from tillstream.queries.overview.scope import Scope
from tillstream.queries.overview.span import Span
from tillstream.receipt.business_day import Calendar

Select = tuple[str, list[Any]]
"""A SELECT and its parameters."""

TOTALS = ("revenue", "net", "tax", "receipts", "lines", "quantity", "refunds", "refund_count")
LINE_TOTALS = ("revenue", "net", "tax", "lines", "quantity")
SOLD = ("revenue", "quantity")

_OF_RECEIPTS = {metric.name: metric for metric in BUILT_IN}
_OF_LINES = _OF_RECEIPTS | {
    name: declare(name, "", "lines", keys, LINE_TOTALS)
    for name, keys in {
        "sales": ["day"],
        "sales_by_store": ["day", "store"],
        "sales_by_minute": ["day", "minute"],
        "sales_by_store_and_hour": ["day", "store", "hour"],
    }.items()
}
"""A category's and a product's sales are those of their lines."""

_BY_HOUR = {
    "sales_by_category": "sales_by_hour_and_category",
    "sales_by_product": "sales_by_product_and_hour",
    "sales_by_store": "sales_by_store_and_hour",
}
_TOTALS_OF = {
    "chain": "sales",
    "region": "sales_by_store",
    "store": "sales_by_store",
    "category": "sales_by_category",
    "product": "sales_by_product",
}
"""The metric that has the day's totals of a scope."""

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


class SalesSql:
    """Rows of the metrics by their names, with `day` and the metric's keys, not yet summed.

    A part of the chain has no metrics of its own. It is looked up in those that tell it from other
    parts; where there is none, the same declaration is folded from its stored rows.
    """

    def __init__(self, digits: int, calendar: Calendar) -> None:
        self._digits = digits
        self._calendar = calendar

    def select(self, name: str, scope: Scope, span: Span) -> Select:
        """All measures of the metric; of a span with a cut only `TOTALS` of the day, else `SOLD`."""
        table = _stored(name, scope) if span.cut is None or scope.kind == "chain" else None
        if table is None:
            return self._folded(_metric(name, scope), scope, *span.condition)
        if span.cut is None:
            own, values = scope.condition
            return f"SELECT * FROM {table} WHERE day BETWEEN ? AND ? AND {own}", [span.first, span.last, *values]
        parts = _minutes(span.cut, span) if name == "sales" else self._hours(name, scope, span.cut, span)
        if span.first < span.last:
            whole = f"SELECT * FROM {metric_table(name)} WHERE day BETWEEN ? AND ?"
            parts.append((whole, [span.first, span.last - _DAY]))
        keys = [key.name for key in _OF_RECEIPTS[name].keys]
        return _union([*keys, *(TOTALS if name == "sales" else SOLD)], parts)

    def behind(self, name: str, scope: Scope, span: Span) -> Select:
        """The rows of the last day from the span's cut on: few, for the cut is the minute that it is now."""
        return self._folded(_metric(name, scope), scope, "day = ? AND sold_local >= ?", [span.last, span.cut])

    def minutes(self, scope: Scope, span: Span, since: datetime, until: datetime) -> Select:
        """`sales_by_minute` of the minutes from `since` to before `until`."""
        name, values = "sales_by_minute", [span.first, span.last, since, until]
        if scope.kind == "chain":
            condition = "day BETWEEN ? AND ? AND minute >= ? AND minute < ?"
            return f"SELECT * FROM {metric_table(name)} WHERE {condition}", values
        condition = "day BETWEEN ? AND ? AND sold_local >= ? AND sold_local < ?"
        return self._folded(_metric(name, scope), scope, condition, values)

    def _folded(self, metric: Metric, scope: Scope, condition: str, values: Sequence[Any]) -> Select:
        own, its = scope.condition
        return fold(metric, metric.source, self._digits, f"{condition} AND {own}"), [*values, *its]

    def _hours(self, name: str, scope: Scope, cut: datetime, span: Span) -> list[Select]:
        """The hours that are complete at the cut, and stored rows for what these say too little or too much.

        Too little is the hour of the cut, and what lies before the first complete hour. Too much is
        what a till dated beyond its day, whose hours come again there.
        """
        metric = _OF_RECEIPTS[name]
        begin = _ceiling(self._calendar.start(span.last))
        end = max(begin, cut.replace(minute=0))
        hours = ", ".join(str((begin + number * _HOUR).hour) for number in range((end - begin) // _HOUR))
        if not hours:
            return [self._folded(metric, scope, "day = ? AND sold_local < ?", [span.last, cut])]
        hour = KEYS["hour"].expression
        table = metric_table(_BY_HOUR[name])
        beyond, values = self._folded(
            metric, scope, f"day = ? AND sold_local >= ? AND {hour} IN ({hours})", [span.last, begin + _DAY]
        )
        negative = ", ".join(f"-{measure} AS {measure}" for measure in SOLD)
        keys = ", ".join(key.name for key in metric.keys)
        return [
            (f"SELECT * FROM {table} WHERE day = ? AND hour IN ({hours})", [span.last]),
            self._folded(metric, scope, "day = ? AND sold_local >= ? AND sold_local < ?", [span.last, end, cut]),
            self._folded(metric, scope, f"day = ? AND sold_local < ? AND {hour} NOT IN ({hours})", [span.last, begin]),
            (f"SELECT {keys}, {negative} FROM ({beyond}) AS beyond", values),
        ]


def total(select: Select, keys: Sequence[str], measures: Sequence[str]) -> Select:
    """The measures summed by these keys; without keys, one row."""
    sql, values = select
    sums = ", ".join(f"sum({measure}) AS {measure}" for measure in measures)
    by = f" GROUP BY {', '.join(keys)}" if keys else ""
    return f"SELECT {', '.join([*keys, sums])} FROM ({sql}) AS rows{by}", values


def _stored(name: str, scope: Scope) -> str | None:
    """The table that has the scope's rows of this metric; None where no metric tells them apart."""
    if name == "sales":
        return metric_table(_TOTALS_OF[scope.kind]) if scope.kind in _TOTALS_OF else None
    metric = _metric(name, scope)
    told = metric is _OF_RECEIPTS[name] and scope.columns <= {key.name for key in metric.keys}
    return metric_table(name) if told else None


def _metric(name: str, scope: Scope) -> Metric:
    return (_OF_LINES if scope.source == "lines" else _OF_RECEIPTS)[name]


def _minutes(cut: datetime, span: Span) -> list[Select]:
    return [(f"SELECT * FROM {metric_table('sales_by_minute')} WHERE day = ? AND minute < ?", [span.last, cut])]


def _union(columns: Sequence[str], parts: Sequence[Select]) -> Select:
    select = f"SELECT {', '.join(columns)} FROM"
    return (
        " UNION ALL ".join(f"{select} ({sql}) AS part" for sql, _ in parts),
        [value for _, values in parts for value in values],
    )


def _ceiling(time: datetime) -> datetime:
    """The first whole hour at or after the time."""
    whole = time.replace(minute=0)
    return whole if whole == time else whole + _HOUR
