"""What one overview asks, and all that its panels have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tillstream.database.base import Reader, Row
from tillstream.metrics.folding import metric_table
from tillstream.queries.overview.comparison import Comparison, Kept, Sides
from tillstream.queries.overview.folds import SalesSql, Select, total
from tillstream.queries.overview.scope import Scope
from tillstream.queries.overview.span import Span, Spans
from tillstream.queries.serialization import amount
from tillstream.receipt.business_day import Calendar
from tillstream.stores.model import StoreList

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class OverviewContext:
    """A scope and its spans at one instant, answered by one reader. `now` is the chain's wall-clock time."""

    reader: Reader
    scope: Scope
    spans: Spans
    shops: StoreList
    now_us: int
    now: datetime
    cent: Decimal
    store_zones: Mapping[str, str]
    calendar: Calendar
    folds: SalesSql
    kept: Kept
    compared: Comparison

    def rows(self, name: str, keys: Sequence[str], measures: Sequence[str], span: Span | None = None) -> list[Row]:
        """The measures of a metric summed by these keys, over a span or else over what is asked."""
        return self.query(total(self.folds.select(name, self.scope, span or self.spans.asked), keys, measures))

    def query(self, select: Select) -> list[Row]:
        sql, values = select
        return self.reader.query(sql, values)

    def money(self, value: Decimal | None) -> str:
        return amount(value or Decimal(0), self.cent)

    def version(self, span: Span) -> Any:
        """Changes when rows are added to the days of the span."""
        return version(self.reader, span)

    def sold(
        self, value: Decimal | None, key: str, behind: Mapping[str, Decimal], before: Mapping[str, Decimal]
    ) -> Row:
        """Revenue so far, and beside it the other side's and the change up to the same clock time."""
        nothing = Decimal(0)
        now, base = (value or nothing) - behind.get(key, nothing), before.get(key, nothing)
        return {
            "revenue": self.money(value),
            "before": self.compared.known(self.money(base)),
            "change": self.compared.change(now, base),
        }


def version(reader: Reader, span: Span) -> int:
    """How many receipts the days of the span have: they only become more."""
    table = metric_table("sales")
    sql = f"SELECT coalesce(sum(receipts), 0) AS receipts FROM {table} WHERE day BETWEEN ? AND ?"
    return int(reader.query(sql, [span.first, span.last])[0]["receipts"])


def compare(reader: Reader, scope: Scope, spans: Spans, sides: Sides) -> Comparison:
    """Both sides of the spans; `empty` where nobody in the chain sold anything on the days compared with."""
    receipts = version(reader, spans.before)
    return Comparison(
        sides.behind(reader, scope, spans.upto), sides.before(reader, scope, spans.before, receipts), not receipts
    )
