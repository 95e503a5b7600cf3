"""Panels of the overview: sales over time, by category, hour, payment and VAT rate, and the latest receipts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec import to_builtins

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.pipeline_receipts import process_receipts, receipt_with_total
from tests.support.receipts import body
from tillstream.log.base import PARTITION_SHIFT
from tillstream.queries.overview.panels import LATEST, line_text, share, summary_text
from tillstream.queries.queries import Queries


def test_given_a_live_day_when_read_then_its_minutes_are_beside_those_of_the_full_earlier_day(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(
        pipeline, body(date="2026-11-23 08:15:59"), body(date="2026-11-16 08:14:00"), body(date="2026-11-16 21:00:00")
    )
    pace = to_builtins(queries.overview())["pace"]
    assert {name: pace[name] for name in ("unit", "start", "now", "end")} == {
        "unit": "minute", "start": "2026-11-23T00:00", "now": 720, "end": 1440,
    }  # fmt: skip
    assert (pace["offset"], pace["revenue"], pace["receipts"]) == ([495], ["5.00"], [1])
    assert pace["before"] == {"offset": [494, 1260], "revenue": ["5.00", "5.00"], "receipts": [1, 1]}


def test_given_late_receipts_when_read_again_then_the_earlier_day_includes_them(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body(date="2026-11-16 08:14:00"))
    assert to_builtins(queries.overview())["pace"]["before"]["receipts"] == [1]
    process_receipts(pipeline, body(cashReceiptID="late", date="2026-11-16 08:14:00"))
    assert to_builtins(queries.overview())["pace"]["before"]["receipts"] == [2]


def test_given_several_days_when_read_then_the_unit_is_the_hour_or_the_day(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body(date="2026-11-17 08:15:00"), body(date="2026-11-23 11:59:00"))
    week = to_builtins(queries.overview({"from": "2026-11-17", "to": "2026-11-23"}))["pace"]
    assert (week["unit"], week["offset"], week["now"], week["end"]) == ("hour", [8, 6 * 24 + 11], 6 * 24 + 12, 168)
    days = to_builtins(queries.overview({"from": "2026-11-14", "to": "2026-11-23"}))["pace"]
    assert (days["unit"], days["offset"], days["now"], days["end"]) == ("day", [3, 9], 9, 10)


def test_given_a_category_when_read_over_time_then_receipts_are_null(pipeline: Pipeline, queries: Queries) -> None:
    process_receipts(pipeline, body())
    pace = to_builtins(queries.overview({"category": "Pain"}))["pace"]
    assert (pace["offset"], pace["revenue"], pace["receipts"]) == ([719], ["2.50"], None)


def line(category: str, amount: float) -> dict[str, Any]:
    return {"productCode": category, "productCategoryName": category, "settlementAmount": amount, "taxPercentage": 10}


def test_given_two_days_when_read_then_each_category_has_both_even_without_sales_today(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body(date="2026-11-16 10:00:00", lines=[line("Pizza", 3), line("Pain", 2)]))
    process_receipts(pipeline, body(lines=[line("Pain", 3), line("Menu", 2)]))
    assert to_builtins(queries.overview())["categories"] == [
        {"category": "Pain", "quantity": 1, "revenue": "3.00", "before": "2.00", "change": "50.0"},
        {"category": "Menu", "quantity": 1, "revenue": "2.00", "before": "0.00", "change": "new"},
        {"category": "Pizza", "quantity": 0, "revenue": "0.00", "before": "3.00", "change": "-100.0"},
    ]


def test_given_many_categories_when_read_then_only_the_largest_come(pipeline: Pipeline, queries: Queries) -> None:
    process_receipts(pipeline, body(lines=[line(f"C{number:02}", number) for number in range(1, 31)]))
    overview = to_builtins(queries.overview())
    assert [row["category"] for row in overview["categories"]] == [
        "C30", *(f"C{number:02}" for number in range(29, 10, -1)),
    ]  # fmt: skip
    assert [row["category"] for row in overview["hours"]["rows"]] == [f"C{number}" for number in range(30, 20, -1)]


def test_given_hours_without_a_sale_when_read_then_they_are_null_between_the_first_and_the_last(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body(date="2026-11-23 08:00:00", lines=[line("Pain", 5)], cashReceiptID="1"))
    process_receipts(pipeline, body(date="2026-11-23 10:00:00", lines=[line("Menu", 4), line("Pain", 1)]))
    assert to_builtins(queries.overview())["hours"] == {
        "hours": [8, 9, 10],
        "rows": [
            {"category": "Pain", "revenue": ["5.00", None, "1.00"]},
            {"category": "Menu", "revenue": [None, None, "4.00"]},
        ],
    }


def test_given_payments_when_read_then_each_has_its_share(pipeline: Pipeline, queries: Queries) -> None:
    paid = [{"paymentMechanism": "CB", "settlementAmount": 2}, {"paymentMechanism": "ES", "settlementAmount": 1}]
    process_receipts(pipeline, receipt_with_total(3, settlements=paid))
    assert to_builtins(queries.overview())["payments"] == [
        {"mechanism": "CB", "revenue": "2.00", "settlements": 1, "share": "66.7"},
        {"mechanism": "ES", "revenue": "1.00", "settlements": 1, "share": "33.3"},
    ]
    assert to_builtins(queries.overview({"category": "Pain"}))["payments"] is None


def test_given_lines_when_rates_are_read_then_revenue_is_net_plus_tax(pipeline: Pipeline, queries: Queries) -> None:
    process_receipts(pipeline, body())
    assert to_builtins(queries.overview())["vat"] == [
        {"rate": "10", "revenue": "2.50", "net": "2.27", "tax": "0.23"},
        {"rate": "5.5", "revenue": "2.50", "net": "2.37", "tax": "0.13"},
    ]


@pytest.mark.parametrize(
    ("part", "whole", "percent"), [("1", "8", "12.5"), ("1", "3", "33.3"), ("1", "0", None), ("1", "-2", None)]
)
def test_given_a_part_when_its_share_is_computed_then_it_is_null_without_a_positive_whole(
    part: str, whole: str, percent: str | None
) -> None:
    assert share(Decimal(part), Decimal(whole)) == percent


def test_given_receipts_when_the_latest_are_read_then_the_newest_is_first(pipeline: Pipeline, queries: Queries) -> None:
    for number in range(LATEST + 2):
        pipeline.clock.advance(1)
        process_receipts(
            pipeline, body(cashReceiptID=str(number), date="2026-11-23 11:00:00", documentTotal={"grossTotal": number})
        )
    latest = to_builtins(queries.overview())["latest"]
    assert [row["gross"] for row in latest] == [f"{number}.00" for number in range(LATEST + 1, 1, -1)]
    receipt = queries.receipt(latest[0]["key"])
    assert receipt is not None
    assert (latest[0]["sold"], latest[0]["store"], latest[0]["title"], latest[0]["till"]) == (
        receipt.sold_local, "12", "12", "3",
    )  # fmt: skip
    assert (latest[0]["what"], latest[0]["anomalous"]) == ("Baguette tradition ×2, Sandwich jambon", True)


def test_given_a_product_when_the_latest_are_read_then_only_receipts_with_it_come(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body(), receipt_with_total(3, cashReceiptID="2"))
    assert [row["gross"] for row in to_builtins(queries.overview({"product": "BAG"}))["latest"]] == ["5.00"]
    assert [row["what"] for row in to_builtins(queries.overview())["latest"]] == [
        "",
        "Baguette tradition ×2, Sandwich jambon",
    ]


def test_given_several_partitions_when_the_latest_of_a_product_are_read_then_the_newest_is_first(
    pipeline: Pipeline, queries: Queries
) -> None:
    for number in range(LATEST + 2):
        pipeline.clock.advance(1)
        process_receipts(pipeline, body(cashReceiptID=str(number)))
    # All but the last one are in a partition with greater record ids.
    early = f"SELECT place FROM receipts WHERE receipt <> '{LATEST + 1}'"
    for table in ("lines", "receipts"):
        pipeline.database._connection.execute(  # type: ignore[attr-defined]
            f"UPDATE {table} SET place = place + {1 << PARTITION_SHIFT} WHERE place IN ({early})"
        )
    latest = to_builtins(queries.overview({"product": "BAG"}))["latest"]
    keys = [row["key"] for row in latest]
    found = [queries.receipt(key) for key in keys]
    assert [each and each.receipt for each in found] == [str(number) for number in range(LATEST + 1, 1, -1)]


@pytest.mark.parametrize(
    ("description", "quantity", "text"),
    [
        ("Croissant", "1", "Croissant"),
        ("Croissant", "2.000000", "Croissant ×2"),
        ("Flan", "-1", "Flan ×-1"),
        ("Tomates", "0.350000", "Tomates ×0.35"),
        ("x" * 41, "1", "x" * 39 + "…"),
        ("x" * 40, "1", "x" * 40),
    ],
)
def test_given_a_line_when_written_as_text_then_it_is_short(description: str, quantity: str, text: str) -> None:
    assert line_text(description, Decimal(quantity)) == text


def test_given_many_lines_when_summarized_then_the_others_are_counted() -> None:
    assert summary_text(["a", "b", "c"]) == "a, b, c"
    assert summary_text(["a", "b", "c", "d", "e"]) == "a, b, c +2"


def product_line(code: str, amount: float) -> dict[str, Any]:
    return {"productCode": code, "productDescription": code.title(), "settlementAmount": amount, "quantity": 2}


def test_given_two_days_when_read_then_the_top_products_and_the_greatest_losses_come(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(
        pipeline,
        body(
            date="2026-11-16 10:00:00", lines=[product_line("bun", 9), product_line("pie", 4), product_line("tea", 1)]
        ),
    )
    process_receipts(pipeline, body(date="2026-11-16 12:00:00", lines=[product_line("late", 100)]))
    process_receipts(pipeline, body(lines=[product_line("bun", 3), product_line("tea", 2)]))
    products = to_builtins(queries.overview())["products"]
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
    process_receipts(pipeline, body(date="2026-11-16 10:00:00", lines=[product_line("bun", 5)]))
    process_receipts(pipeline, body(date="2026-11-23 12:00:00", lines=[product_line("bun", 5)]))
    [sinking] = to_builtins(queries.overview())["products"]["sinking"]
    assert (sinking["revenue"], sinking["before"], sinking["change"]) == ("5.00", "5.00", "-100.0")


def test_given_one_product_when_read_then_there_is_no_list_of_products(pipeline: Pipeline, queries: Queries) -> None:
    process_receipts(pipeline, body())
    assert to_builtins(queries.overview({"product": "BAG"}))["products"] is None
    assert [row["product"] for row in to_builtins(queries.overview({"category": "Pain"}))["products"]["top"]] == ["BAG"]


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
    shops = to_builtins(queries.overview())["shops"]
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
    shops = to_builtins(queries.overview())["shops"]
    assert [(row["store"], row["change"]) for row in shops["best"]] == [("b", "100.0"), ("a", "-10.0"), ("new", "new")]
    assert [(row["store"], row["change"]) for row in shops["worst"]] == [("c", "-50.0")]


def test_given_the_only_shop_without_sales_when_read_then_it_is_the_worst(pipeline: Pipeline, queries: Queries) -> None:
    process_receipts(pipeline, body(date="2026-11-16 10:00:00"))
    shops = to_builtins(queries.overview())["shops"]
    assert (shops["best"], [row["store"] for row in shops["worst"]]) == ([], ["12"])


def test_given_hours_without_a_sale_when_a_shop_is_read_then_they_are_zero(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(
        pipeline, receipt_with_total(1, date="2026-11-23 08:00:00"), receipt_with_total(2, date="2026-11-23 10:00:00")
    )
    [shop] = to_builtins(queries.overview())["shops"]["best"]
    assert shop["hours"] == ["1.00", "0.00", "2.00"]


def test_given_a_shop_when_read_then_it_has_its_tills_and_no_other_shops(pipeline: Pipeline, queries: Queries) -> None:
    process_receipts(
        pipeline, body(), body(cashReceiptID="2", date="2026-11-23 11:00:00"), body(terminalID="1", storeID="13")
    )
    overview = to_builtins(queries.overview({"store": "12"}))
    assert overview["tills"] == [{"till": "3", "revenue": "10.00", "receipts": 2, "last": "2026-11-23T11:59:58"}]
    assert overview["shops"] is None
    assert to_builtins(queries.overview({"store": "12", "till": "3"}))["tills"] is None
    assert to_builtins(queries.overview())["tills"] is None
