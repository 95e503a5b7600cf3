"""Shops by their change, and the tills of one."""

from __future__ import annotations

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.sales import sell, total
from tests.support.receipts import body
from tillstream.queries.queries import Queries


def test_given_shops_when_asked_then_the_best_and_the_worst_come_each_once(
    pipeline: Pipeline, queries: Queries
) -> None:
    for number in range(1, 21):
        sell(
            pipeline,
            total(100, storeID=str(number), date="2026-11-16 10:00:00"),
            total(100 + number, storeID=str(number)),
        )
    sell(pipeline, total(100, storeID="gone", date="2026-11-16 10:00:00"), total(999, storeID="new"))
    shops = queries.overview()["shops"]
    assert [row["store"] for row in shops["best"]] == ["20", "19", "18", "17", "16", "15", "14", "13"]
    assert [row["store"] for row in shops["worst"]] == ["gone", "1", "2", "3", "4", "5", "6", "7"]
    assert (shops["worst"][0]["change"], shops["worst"][0]["revenue"], shops["worst"][0]["hours"]) == (
        "-100.0",
        "0.00",
        [],
    )


def test_given_few_shops_when_asked_then_none_is_on_both_lists_and_new_ones_come_last(
    pipeline: Pipeline, queries: Queries
) -> None:
    for store, before, now in (("a", 10, 9), ("b", 10, 20), ("c", 10, 5)):
        sell(pipeline, total(before, storeID=store, date="2026-11-16 10:00:00"), total(now, storeID=store))
    sell(pipeline, total(70, storeID="new"))
    shops = queries.overview()["shops"]
    assert [(row["store"], row["change"]) for row in shops["best"]] == [("b", "100.0"), ("a", "-10.0"), ("new", "new")]
    assert [(row["store"], row["change"]) for row in shops["worst"]] == [("c", "-50.0")]


def test_given_the_only_shop_has_stopped_selling_when_asked_then_it_is_the_worst(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, body(date="2026-11-16 10:00:00"))
    shops = queries.overview()["shops"]
    assert (shops["best"], [row["store"] for row in shops["worst"]]) == ([], ["12"])


def test_given_hours_without_a_sale_when_asked_then_a_shop_s_line_goes_through_them(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, total(1, date="2026-11-23 08:00:00"), total(2, date="2026-11-23 10:00:00"))
    [shop] = queries.overview()["shops"]["best"]
    assert shop["hours"] == ["1.00", "0.00", "2.00"]


def test_given_a_shop_when_asked_then_its_tills_are_told_and_no_other_shops(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, body(), body(cashReceiptID="2", date="2026-11-23 11:00:00"), body(terminalID="1", storeID="13"))
    overview = queries.overview({"store": "12"})
    assert overview["tills"] == [{"till": "3", "revenue": "10.00", "receipts": 2, "last": "2026-11-23T11:59:58"}]
    assert overview["shops"] is None
    assert queries.overview({"store": "12", "till": "3"})["tills"] is None
    assert queries.overview()["tills"] is None
