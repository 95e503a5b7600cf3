"""SQL for sales: the metric tables and the stored rows give the same figures."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal

import pytest

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.pipeline_receipts import process_receipts
from tests.support.receipts import body
from tillstream.queries.overview.sales_sql import SOLD, SalesSql, total
from tillstream.queries.overview.scope import Period, Scope, parse_scope
from tillstream.receipt.business_day import Calendar
from tillstream.stores.model import StoreList

DAY = date(2026, 11, 23)
CHAIN = Scope()
STORE = parse_scope(StoreList(), {"store": "12"})
ScopeSales = Callable[[Scope], SalesSql]


@pytest.fixture
def sales(pipeline: Pipeline) -> ScopeSales:
    times = ["08:59:59", "09:00:00", "10:29:59", "10:30:00", "10:59:59", "23:00:00"]
    process_receipts(
        pipeline, *(body(cashReceiptID=str(number), date=f"2026-11-23 {time}") for number, time in enumerate(times))
    )
    pipeline.append(body(cashReceiptID="7", date="2026-11-25 09:10:00"), day="2026-11-23")
    pipeline.append(body(cashReceiptID="8", date="2026-11-22 20:10:00"), day="2026-11-23")
    pipeline.drain()
    return lambda scope: SalesSql(scope, 2, Calendar(pipeline.settings, pipeline.clock))


def revenue(pipeline: Pipeline, sales: ScopeSales, name: str, scope: Scope, period: Period) -> Decimal:
    [row] = pipeline.database.query(*total(sales(scope).select(name, period), [], SOLD))
    assert row["quantity"] == 3 * row["revenue"] / 5
    return Decimal(row["revenue"])


@pytest.mark.parametrize("scope", [CHAIN, STORE], ids=["chain", "store"])
@pytest.mark.parametrize("name", ["sales", "sales_by_category", "sales_by_product", "sales_by_store"])
@pytest.mark.parametrize(
    ("time", "receipts"),
    [("00:00", 1), ("08:59", 1), ("09:00", 2), ("10:00", 3), ("10:30", 4), ("11:00", 6), ("23:59", 7)],
)
def test_given_a_cutoff_when_summed_then_only_earlier_sales_count(
    pipeline: Pipeline, sales: ScopeSales, scope: Scope, name: str, time: str, receipts: int
) -> None:
    """A receipt dated two days ahead never counts; one dated before its business day always does."""
    period = Period(DAY, DAY, datetime.fromisoformat(f"2026-11-23 {time}"))
    assert revenue(pipeline, sales, name, scope, period) == 5 * receipts
    assert revenue(pipeline, sales, name, scope, period.full_days) == 40


def test_given_a_cutoff_when_sales_after_it_are_summed_then_they_are_the_rest(
    pipeline: Pipeline, sales: ScopeSales
) -> None:
    period = Period(DAY, DAY, datetime(2026, 11, 23, 10, 30))
    for scope in (CHAIN, STORE):
        [row] = pipeline.database.query(*total(sales(scope).after_cutoff("sales", period), [], SOLD))
        assert row["revenue"] == 20


def test_given_two_times_when_read_by_minute_then_all_minutes_are_between_them(
    pipeline: Pipeline, sales: ScopeSales
) -> None:
    since, until = datetime(2026, 11, 23, 9), datetime(2026, 11, 23, 10, 30)
    for scope in (CHAIN, STORE):
        sql, values = total(sales(scope).by_minute(Period(DAY, DAY), since, until), ["minute"], ["receipts"])
        rows = pipeline.database.query(f"{sql} ORDER BY minute", values)
        assert [row["minute"].hour for row in rows] == [9, 10]


def test_given_a_category_when_summed_then_only_its_lines_count(pipeline: Pipeline, sales: ScopeSales) -> None:
    scope = parse_scope(StoreList(), {"category": "Pain"})
    [row] = pipeline.database.query(*total(sales(scope).select("sales", Period(DAY, DAY)), [], ["revenue", "lines"]))
    assert (row["revenue"], row["lines"]) == (20, 8)
