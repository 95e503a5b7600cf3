"""The figures on top: so far, on the days compared with, and the change up to the same minute."""

from __future__ import annotations

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.sales import sell, total
from tests.support.receipts import body
from tillstream.queries.queries import Queries


def test_given_both_days_when_asked_then_the_change_is_up_to_the_same_minute(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, total(50, cashReceiptID="1", date="2026-11-16 11:59:59"), total(9, date="2026-11-16 12:00:00"))
    sell(pipeline, total(60, date="2026-11-23 11:59:59"), total(40, cashReceiptID="2", date="2026-11-23 12:00:00"))
    tiles = queries.overview()["tiles"]
    assert tiles["revenue"] == {"value": "100.00", "before": "50.00", "change": "20.0"}
    assert tiles["receipts"] == {"value": 2, "before": 1, "change": "0.0"}
    assert tiles["average_ticket"] == {"value": "50.00", "before": "50.00", "change": "20.0"}


def test_given_returns_when_asked_then_more_of_them_is_a_growth(pipeline: Pipeline, queries: Queries) -> None:
    sell(pipeline, total(-10, date="2026-11-16 10:00:00"))
    sell(pipeline, total(-15, date="2026-11-23 10:00:00"), total(5, cashReceiptID="2"))
    refunds = queries.overview()["tiles"]["refunds"]
    assert refunds == {"value": "-15.00", "before": "-10.00", "change": "50.0", "count": 1}


def test_given_an_empty_day_to_compare_with_when_asked_then_nothing_is_compared(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, body())
    assert queries.overview()["tiles"]["revenue"] == {"value": "5.00", "before": None, "change": None}
    assert queries.overview({"day": "2026-11-21"})["tiles"]["average_ticket"]["value"] is None


def test_given_the_hour_before_when_asked_live_then_the_trend_has_its_complete_minutes(
    pipeline: Pipeline, queries: Queries
) -> None:
    times = ["10:59:59", "11:00:00", "11:59:30", "11:59:31", "12:00:00"]
    sell(pipeline, *(body(cashReceiptID=time, date=f"2026-11-23 {time}") for time in times))
    for query in ({}, {"store": "12"}):
        rate = queries.overview(query)["tiles"]["receipts_per_minute"]
        assert (rate["value"], rate["trend"]) == (5, [1, *[0] * 58, 2])
    assert queries.overview({"day": "2026-11-22"})["tiles"]["receipts_per_minute"] == {"value": None, "trend": []}
    pipeline.clock.advance(60)
    for query in ({}, {"store": "12"}):
        assert queries.overview(query)["tiles"]["receipts_per_minute"]["value"] == 0


def test_given_a_product_when_asked_then_tiles_that_lines_don_t_tell_are_null(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, body())
    tiles = queries.overview({"product": "BAG"})["tiles"]
    told = {name for name, tile in tiles.items() if tile is not None}
    assert told == {"revenue", "net", "tax", "quantity", "lines"}
    assert (tiles["revenue"]["value"], tiles["quantity"]["value"], tiles["lines"]["value"]) == ("2.50", 2, 1)
