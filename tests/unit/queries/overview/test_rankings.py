"""Rankings of the overview: products, stores and tills."""

from __future__ import annotations

from typing import Any

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.pipeline_receipts import process_receipts, receipt_with_total
from tests.support.receipts import body
from tillstream.queries.queries import Queries


def line(code: str, amount: float) -> dict[str, Any]:
    return {"productCode": code, "productDescription": code.title(), "settlementAmount": amount, "quantity": 2}


def test_given_two_days_when_read_then_the_top_products_and_the_greatest_losses_come(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body(date="2026-11-16 10:00:00", lines=[line("bun", 9), line("pie", 4), line("tea", 1)]))
    process_receipts(pipeline, body(date="2026-11-16 12:00:00", lines=[line("late", 100)]))
    process_receipts(pipeline, body(lines=[line("bun", 3), line("tea", 2)]))
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


def test_given_sales_of_this_minute_when_read_then_they_do_not_count_against_a_loss(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body(date="2026-11-16 10:00:00", lines=[line("bun", 5)]))
    process_receipts(pipeline, body(date="2026-11-23 12:00:00", lines=[line("bun", 5)]))
    [sinking] = queries.overview()["products"]["sinking"]
    assert (sinking["revenue"], sinking["before"], sinking["change"]) == ("5.00", "5.00", "-100.0")


def test_given_one_product_when_read_then_there_is_no_list_of_products(pipeline: Pipeline, queries: Queries) -> None:
    process_receipts(pipeline, body())
    assert queries.overview({"product": "BAG"})["products"] is None
    assert [row["product"] for row in queries.overview({"category": "Pain"})["products"]["top"]] == ["BAG"]


def test_given_many_shops_when_read_then_each_is_in_one_list_at_most(pipeline: Pipeline, queries: Queries) -> None:
    for number in range(1, 21):
        process_receipts(
            pipeline,
            receipt_with_total(100, storeID=str(number), date="2026-11-16 10:00:00"),
            receipt_with_total(100 + number, storeID=str(number)),
        )
    process_receipts(
        pipeline,
        receipt_with_total(100, storeID="gone", date="2026-11-16 10:00:00"),
        receipt_with_total(999, storeID="new"),
    )
    shops = queries.overview()["shops"]
    assert [row["store"] for row in shops["best"]] == ["20", "19", "18", "17", "16", "15", "14", "13"]
    assert [row["store"] for row in shops["worst"]] == ["gone", "1", "2", "3", "4", "5", "6", "7"]
    assert (shops["worst"][0]["change"], shops["worst"][0]["revenue"], shops["worst"][0]["hours"]) == (
        "-100.0",
        "0.00",
        [],
    )


def test_given_few_shops_when_read_then_none_is_in_both_lists_and_new_ones_come_last(
    pipeline: Pipeline, queries: Queries
) -> None:
    for store, before, now in (("a", 10, 9), ("b", 10, 20), ("c", 10, 5)):
        process_receipts(
            pipeline,
            receipt_with_total(before, storeID=store, date="2026-11-16 10:00:00"),
            receipt_with_total(now, storeID=store),
        )
    process_receipts(pipeline, receipt_with_total(70, storeID="new"))
    shops = queries.overview()["shops"]
    assert [(row["store"], row["change"]) for row in shops["best"]] == [("b", "100.0"), ("a", "-10.0"), ("new", "new")]
    assert [(row["store"], row["change"]) for row in shops["worst"]] == [("c", "-50.0")]


def test_given_the_only_shop_without_sales_when_read_then_it_is_the_worst(pipeline: Pipeline, queries: Queries) -> None:
    process_receipts(pipeline, body(date="2026-11-16 10:00:00"))
    shops = queries.overview()["shops"]
    assert (shops["best"], [row["store"] for row in shops["worst"]]) == ([], ["12"])


def test_given_hours_without_a_sale_when_a_shop_is_read_then_they_are_zero(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(
        pipeline, receipt_with_total(1, date="2026-11-23 08:00:00"), receipt_with_total(2, date="2026-11-23 10:00:00")
    )
    [shop] = queries.overview()["shops"]["best"]
    assert shop["hours"] == ["1.00", "0.00", "2.00"]


def test_given_a_shop_when_read_then_it_has_its_tills_and_no_other_shops(pipeline: Pipeline, queries: Queries) -> None:
    process_receipts(
        pipeline, body(), body(cashReceiptID="2", date="2026-11-23 11:00:00"), body(terminalID="1", storeID="13")
    )
    overview = queries.overview({"store": "12"})
    assert overview["tills"] == [{"till": "3", "revenue": "10.00", "receipts": 2, "last": "2026-11-23T11:59:58"}]
    assert overview["shops"] is None
    assert queries.overview({"store": "12", "till": "3"})["tills"] is None
    assert queries.overview()["tills"] is None
