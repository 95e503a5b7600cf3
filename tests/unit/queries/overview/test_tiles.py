"""Tiles of the overview, and the stores and tills that report."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time
from pathlib import Path
from typing import Any

import pytest

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.pipeline_receipts import process_receipts, receipt_with_total
from tests.support.receipts import body
from tillstream.config.settings import Settings
from tillstream.queries.queries import Queries
from tillstream.stores.model import Opening, Store, StoreList


def test_given_both_days_when_asked_then_the_change_is_up_to_the_same_minute(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(
        pipeline,
        receipt_with_total(50, cashReceiptID="1", date="2026-11-16 11:59:59"),
        receipt_with_total(9, date="2026-11-16 12:00:00"),
    )
    process_receipts(
        pipeline,
        receipt_with_total(60, date="2026-11-23 11:59:59"),
        receipt_with_total(40, cashReceiptID="2", date="2026-11-23 12:00:00"),
    )
    tiles = queries.overview()["tiles"]
    assert tiles["revenue"] == {"value": "100.00", "before": "50.00", "change": "20.0"}
    assert tiles["receipts"] == {"value": 2, "before": 1, "change": "0.0"}
    assert tiles["average_ticket"] == {"value": "50.00", "before": "50.00", "change": "20.0"}


def test_given_returns_when_asked_then_more_of_them_is_a_growth(pipeline: Pipeline, queries: Queries) -> None:
    process_receipts(pipeline, receipt_with_total(-10, date="2026-11-16 10:00:00"))
    process_receipts(
        pipeline, receipt_with_total(-15, date="2026-11-23 10:00:00"), receipt_with_total(5, cashReceiptID="2")
    )
    refunds = queries.overview()["tiles"]["refunds"]
    assert refunds == {"value": "-15.00", "before": "-10.00", "change": "50.0", "count": 1}


def test_given_an_empty_day_to_compare_with_when_asked_then_nothing_is_compared(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body())
    assert queries.overview()["tiles"]["revenue"] == {"value": "5.00", "before": None, "change": None}
    assert queries.overview({"day": "2026-11-21"})["tiles"]["average_ticket"]["value"] is None


def test_given_the_hour_before_when_asked_live_then_the_trend_has_its_complete_minutes(
    pipeline: Pipeline, queries: Queries
) -> None:
    times = ["10:59:59", "11:00:00", "11:59:30", "11:59:31", "12:00:00"]
    process_receipts(pipeline, *(body(cashReceiptID=time, date=f"2026-11-23 {time}") for time in times))
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
    process_receipts(pipeline, body())
    tiles = queries.overview({"product": "BAG"})["tiles"]
    told = {name for name, tile in tiles.items() if tile is not None}
    assert told == {"revenue", "net", "tax", "quantity", "lines"}
    assert (tiles["revenue"]["value"], tiles["quantity"]["value"], tiles["lines"]["value"]) == ("2.50", 2, 1)


Listed = Callable[..., Queries]


@pytest.fixture
def listed(pipeline: Pipeline) -> Listed:
    def queries(*shops: Store) -> Queries:
        known = StoreList({shop.id: shop for shop in shops})
        return Queries(
            pipeline.database, pipeline.log, pipeline.metrics, pipeline.settings, pipeline.clock, stores=lambda: known
        )

    return queries


def told(queries: Queries, **query: str) -> tuple[Any, ...]:
    tiles = queries.overview(query)["tiles"]
    return (*tiles["shops"].values(), *tiles["tills"].values())


def open_on_mondays(opens: int, closes: int, **parts: Any) -> Store:
    return Store(**{"id": "12", "hours": (Opening(0, time(opens), time(closes)),), **parts})


def test_given_no_list_when_asked_then_who_sold_in_two_weeks_is_known(pipeline: Pipeline, queries: Queries) -> None:
    process_receipts(
        pipeline, body(), body(storeID="13", date="2026-11-10 10:00:00"), body(storeID="14", date="2026-11-09 10:00:00")
    )
    assert told(queries) == (1, 2, 0, 1, 2)
    process_receipts(pipeline, body(storeID="14", terminalID="9", date="2026-11-12 10:00:00"))
    assert told(queries) == (1, 3, 0, 1, 3)
    assert told(queries, day="2026-11-10") == (1, 2, None, 1, 2)


def test_given_a_list_when_asked_then_its_shops_and_tills_are_known(pipeline: Pipeline, listed: Listed) -> None:
    process_receipts(pipeline, body(), body(storeID="77"))
    queries = listed(Store("12", region="R", tills=4), Store("13", region="R", tills=2))
    assert told(queries) == (2, 3, 0, 2, 7)
    assert told(queries, region="R") == (1, 2, 0, 1, 6)
    assert told(queries, store="12") == (1, 1, 0, 1, 4)
    assert told(queries, store="12", till="3") == (1, 1, 0, 1, 1)


def test_given_a_seller_when_twenty_minutes_pass_then_it_is_silent(pipeline: Pipeline, queries: Queries) -> None:
    process_receipts(pipeline, body(date="2026-11-23 11:40:00"))
    assert told(queries)[2] == 0
    pipeline.clock.advance(1)
    assert told(queries)[2] == 1
    process_receipts(pipeline, body(cashReceiptID="2", terminalID="8", date="2026-11-23 11:59:00"))
    assert told(queries)[2] == 0


@pytest.mark.parametrize(
    ("shop", "silent"),
    [
        (open_on_mondays(8, 20), 1),
        (open_on_mondays(13, 20), 0),
        (open_on_mondays(6, 11), 0),
        (Store("12", hours=(Opening(1, time(8), time(20)),)), 0),
        (open_on_mondays(16, 20, zone="Asia/Kolkata"), 1),
        (open_on_mondays(8, 15, zone="Asia/Kolkata"), 0),
        (Store("12"), 0),
    ],
)
def test_given_a_listed_shop_without_a_sale_when_it_is_open_then_it_is_silent(
    pipeline: Pipeline, listed: Listed, shop: Store, silent: int
) -> None:
    assert told(listed(shop))[2] == silent


def test_given_a_shop_that_opened_only_just_when_asked_then_it_is_not_silent_yet(
    pipeline: Pipeline, listed: Listed
) -> None:
    pipeline.clock.advance(10 * 60)
    assert told(listed(open_on_mondays(12, 20)))[2] == 0
    pipeline.clock.advance(10 * 60)
    assert told(listed(open_on_mondays(12, 20)))[2] == 1


def test_given_a_zone_in_the_settings_when_the_list_names_another_then_the_settings_win(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, Settings(store_zones={"12": "Atlantic/Canary"}))
    shops = StoreList({"12": Store("12", zone="Europe/Madrid")})
    queries = Queries(
        pipeline.database, pipeline.log, pipeline.metrics, pipeline.settings, pipeline.clock, stores=lambda: shops
    )
    process_receipts(pipeline, body(date="2026-11-23 10:59:00"))
    assert told(queries)[2] == 0
    pipeline.clock.advance(30 * 60)
    assert told(queries)[2] == 1
    pipeline.close()


def test_given_the_first_days_of_the_calendar_when_asked_then_nothing_comes_before_them(queries: Queries) -> None:
    for day in ("0001-01-08", "0001-01-10", "0001-01-13"):
        assert told(queries, day=day) == (0, 0, None, 0, 0)
