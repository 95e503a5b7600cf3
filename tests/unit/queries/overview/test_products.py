"""Products that sell most, and those that lose most."""

from __future__ import annotations

from typing import Any

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.sales import sell
from tests.support.receipts import body
from tillstream.queries.queries import Queries


def line(code: str, amount: float) -> dict[str, Any]:
    return {"productCode": code, "productDescription": code.title(), "settlementAmount": amount, "quantity": 2}


def test_given_two_days_when_asked_then_the_top_and_the_greatest_losses_come(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, body(date="2026-11-16 10:00:00", lines=[line("bun", 9), line("pie", 4), line("tea", 1)]))
    sell(pipeline, body(date="2026-11-16 12:00:00", lines=[line("late", 100)]))
    sell(pipeline, body(lines=[line("bun", 3), line("tea", 2)]))
    products = queries.overview()["products"]
    assert [(row["product"], row["revenue"], row["change"]) for row in products["top"]] == [
        ("bun", "3.00", "-66.7"),
        ("tea", "2.00", "100.0"),
    ]
    assert products["sinking"] == [
        {"product": "bun", "description": "Bun", "quantity": 2, "revenue": "3.00", "before": "9.00", "change": "-66.7"},
        {
            "product": "pie",
            "description": "Pie",
            "quantity": 0,
            "revenue": "0.00",
            "before": "4.00",
            "change": "-100.0",
        },
    ]


def test_given_this_minute_s_sales_when_asked_then_a_product_sinks_by_what_came_before_it(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, body(date="2026-11-16 10:00:00", lines=[line("bun", 5)]))
    sell(pipeline, body(date="2026-11-23 12:00:00", lines=[line("bun", 5)]))
    [sinking] = queries.overview()["products"]["sinking"]
    assert (sinking["revenue"], sinking["before"], sinking["change"]) == ("5.00", "5.00", "-100.0")


def test_given_one_product_when_asked_then_there_is_no_list_of_products(pipeline: Pipeline, queries: Queries) -> None:
    sell(pipeline, body())
    assert queries.overview({"product": "BAG"})["products"] is None
    assert [row["product"] for row in queries.overview({"category": "Pain"})["products"]["top"]] == ["BAG"]
