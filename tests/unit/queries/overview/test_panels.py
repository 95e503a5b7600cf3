"""Sales by category, hour, means of payment and VAT rate."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.sales import sell, total
from tests.support.receipts import body
from tillstream.queries.overview.panels import share
from tillstream.queries.queries import Queries


def line(category: str, amount: float) -> dict[str, Any]:
    return {"productCode": category, "productCategoryName": category, "settlementAmount": amount, "taxPercentage": 10}


def test_given_two_days_when_asked_then_each_category_has_both_even_if_it_has_gone(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, body(date="2026-11-16 10:00:00", lines=[line("Pizza", 3), line("Pain", 2)]))
    sell(pipeline, body(lines=[line("Pain", 3), line("Menu", 2)]))
    assert queries.overview()["categories"] == [
        {"category": "Pain", "quantity": 1, "revenue": "3.00", "before": "2.00", "change": "50.0"},
        {"category": "Menu", "quantity": 1, "revenue": "2.00", "before": "0.00", "change": "new"},
        {"category": "Pizza", "quantity": 0, "revenue": "0.00", "before": "3.00", "change": "-100.0"},
    ]


def test_given_many_categories_when_asked_then_only_the_largest_come(pipeline: Pipeline, queries: Queries) -> None:
    sell(pipeline, body(lines=[line(f"C{number:02}", number) for number in range(1, 31)]))
    overview = queries.overview()
    assert [row["category"] for row in overview["categories"]] == [
        "C30", *(f"C{number:02}" for number in range(29, 10, -1)),
    ]  # fmt: skip
    assert [row["category"] for row in overview["hours"]["rows"]] == [f"C{number}" for number in range(30, 20, -1)]


def test_given_hours_without_a_sale_when_asked_then_they_are_null_between_the_first_and_the_last(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, body(date="2026-11-23 08:00:00", lines=[line("Pain", 5)], cashReceiptID="1"))
    sell(pipeline, body(date="2026-11-23 10:00:00", lines=[line("Menu", 4), line("Pain", 1)]))
    assert queries.overview()["hours"] == {
        "hours": [8, 9, 10],
        "rows": [
            {"category": "Pain", "revenue": ["5.00", None, "1.00"]},
            {"category": "Menu", "revenue": [None, None, "4.00"]},
        ],
    }


def test_given_payments_when_asked_then_each_has_its_share(pipeline: Pipeline, queries: Queries) -> None:
    paid = [{"paymentMechanism": "CB", "settlementAmount": 2}, {"paymentMechanism": "ES", "settlementAmount": 1}]
    sell(pipeline, total(3, settlements=paid))
    assert queries.overview()["payments"] == [
        {"mechanism": "CB", "revenue": "2.00", "settlements": 1, "share": "66.7"},
        {"mechanism": "ES", "revenue": "1.00", "settlements": 1, "share": "33.3"},
    ]
    assert queries.overview({"category": "Pain"})["payments"] is None


def test_given_lines_when_rates_are_asked_then_revenue_is_net_and_tax(pipeline: Pipeline, queries: Queries) -> None:
    sell(pipeline, body())
    assert queries.overview()["vat"] == [
        {"rate": "10", "revenue": "2.50", "net": "2.27", "tax": "0.23"},
        {"rate": "5.5", "revenue": "2.50", "net": "2.37", "tax": "0.13"},
    ]


@pytest.mark.parametrize(
    ("part", "whole", "percent"), [("1", "8", "12.5"), ("1", "3", "33.3"), ("1", "0", None), ("1", "-2", None)]
)
def test_given_a_part_when_its_share_is_asked_then_it_is_of_something(
    part: str, whole: str, percent: str | None
) -> None:
    assert share(Decimal(part), Decimal(whole)) == percent
