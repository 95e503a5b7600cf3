"""Tiles of the overview, and the stores and tills that report."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time
from pathlib import Path
from typing import Any

import pytest
from msgspec import to_builtins

from tests.inprocess.dashboard import queries_of
from tests.inprocess.pipeline import Pipeline
from tests.inprocess.pipeline_receipts import process_receipts, receipt_with_total
from tests.support.receipts import body
from tillstream.config.settings import Settings
from tillstream.queries.queries import Queries
from tillstream.stores.model import Opening, Store, StoreList


def test_given_two_days_when_read_then_the_change_is_up_to_the_same_minute(
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
    tiles = to_builtins(queries.overview())["tiles"]
    assert tiles["revenue"] == {"value": "100.00", "before": "50.00", "change": "20.0"}
    assert tiles["receipts"] == {"value": 2, "before": 1, "change": "0.0"}
    assert tiles["average_ticket"] == {"value": "50.00", "before": "50.00", "change": "20.0"}


def test_given_more_refunds_when_read_then_the_change_is_positive(pipeline: Pipeline, queries: Queries) -> None:
    process_receipts(pipeline, receipt_with_total(-10, date="2026-11-16 10:00:00"))
    process_receipts(
        pipeline, receipt_with_total(-15, date="2026-11-23 10:00:00"), receipt_with_total(5, cashReceiptID="2")
    )
    refunds = to_builtins(queries.overview())["tiles"]["refunds"]
    assert refunds == {"value": "-15.00", "before": "-10.00", "change": "50.0", "count": 1}


def test_given_an_empty_day_to_compare_with_when_read_then_there_is_no_change(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body())
    assert to_builtins(queries.overview())["tiles"]["revenue"] == {"value": "5.00", "before": None, "change": None}
    assert to_builtins(queries.overview({"day": "2026-11-21"}))["tiles"]["average_ticket"]["value"] is None


def test_given_a_live_day_when_read_then_the_trend_has_the_full_minutes_of_the_last_hour(
    pipeline: Pipeline, queries: Queries
) -> None:
    times = ["10:59:59", "11:00:00", "11:59:30", "11:59:31", "12:00:00"]
    process_receipts(pipeline, *(body(cashReceiptID=time, date=f"2026-11-23 {time}") for time in times))
    for query in ({}, {"store": "12"}):
        rate = to_builtins(queries.overview(query))["tiles"]["receipts_per_minute"]
        assert (rate["value"], rate["trend"]) == (5, [1, *[0] * 58, 2])
    assert to_builtins(queries.overview({"day": "2026-11-22"}))["tiles"]["receipts_per_minute"] == {
        "value": None,
        "trend": [],
    }
    pipeline.clock.advance(60)
    for query in ({}, {"store": "12"}):
        assert to_builtins(queries.overview(query))["tiles"]["receipts_per_minute"]["value"] == 0


def test_given_a_product_when_read_then_the_tiles_about_receipts_are_null(pipeline: Pipeline, queries: Queries) -> None:
    process_receipts(pipeline, body())
    tiles = to_builtins(queries.overview({"product": "BAG"}))["tiles"]
    filled = {name for name, tile in tiles.items() if tile is not None}
    assert filled == {"revenue", "net", "tax", "quantity", "lines"}
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


def reporting(queries: Queries, **query: str) -> tuple[Any, ...]:
    tiles = to_builtins(queries.overview(query))["tiles"]
    return (*tiles["shops"].values(), *tiles["tills"].values())


def open_on_mondays(opens: int, closes: int, **parts: Any) -> Store:
    return Store(**{"id": "12", "hours": (Opening(0, time(opens), time(closes)),), **parts})


def test_given_no_list_when_read_then_every_till_that_sold_in_two_weeks_exists(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(
        pipeline, body(), body(storeID="13", date="2026-11-10 10:00:00"), body(storeID="14", date="2026-11-09 10:00:00")
    )
    assert reporting(queries) == (1, 2, 0, 1, 2)
    process_receipts(pipeline, body(storeID="14", terminalID="9", date="2026-11-12 10:00:00"))
    assert reporting(queries) == (1, 3, 0, 1, 3)
    assert reporting(queries, day="2026-11-10") == (1, 2, None, 1, 2)


def test_given_a_list_when_read_then_its_shops_and_tills_exist(pipeline: Pipeline, listed: Listed) -> None:
    process_receipts(pipeline, body(), body(storeID="77"))
    queries = listed(Store("12", region="R", tills=4), Store("13", region="R", tills=2))
    assert reporting(queries) == (2, 3, 0, 2, 7)
    assert reporting(queries, region="R") == (1, 2, 0, 1, 6)
    assert reporting(queries, store="12") == (1, 1, 0, 1, 4)
    assert reporting(queries, store="12", till="3") == (1, 1, 0, 1, 1)


def test_given_a_shop_that_sold_when_twenty_minutes_pass_then_it_is_silent(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body(date="2026-11-23 11:40:00"))
    assert reporting(queries)[2] == 0
    pipeline.clock.advance(1)
    assert reporting(queries)[2] == 1
    process_receipts(pipeline, body(cashReceiptID="2", terminalID="8", date="2026-11-23 11:59:00"))
    assert reporting(queries)[2] == 0


@pytest.mark.parametrize(("minutes", "limit_minutes"), [(30, 30), (0, 20)])
def test_given_the_threshold_of_the_alert_when_silence_is_counted_then_it_is_the_same(
    tmp_path: Path, minutes: int, limit_minutes: int
) -> None:
    """An alert that is off still has its default threshold."""
    pipeline = Pipeline(tmp_path, Settings(alert_silent_shop_minutes=minutes))
    queries = queries_of(pipeline)
    process_receipts(pipeline, body(date="2026-11-23 12:00:00"))
    pipeline.clock.advance(limit_minutes * 60)
    assert reporting(queries)[2] == 0
    pipeline.clock.advance(1)
    assert reporting(queries)[2] == 1
    pipeline.close()


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
    assert reporting(listed(shop))[2] == silent


def test_given_a_shop_that_has_just_opened_when_read_then_it_is_not_silent(pipeline: Pipeline, listed: Listed) -> None:
    pipeline.clock.advance(10 * 60)
    assert reporting(listed(open_on_mondays(12, 20)))[2] == 0
    pipeline.clock.advance(10 * 60)
    assert reporting(listed(open_on_mondays(12, 20)))[2] == 1


def test_given_a_zone_in_the_settings_when_the_list_has_another_then_the_settings_win(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, Settings(store_zones={"12": "Atlantic/Canary"}))
    shops = StoreList({"12": Store("12", zone="Europe/Madrid")})
    queries = Queries(
        pipeline.database, pipeline.log, pipeline.metrics, pipeline.settings, pipeline.clock, stores=lambda: shops
    )
    process_receipts(pipeline, body(date="2026-11-23 10:59:00"))
    assert reporting(queries)[2] == 0
    pipeline.clock.advance(30 * 60)
    assert reporting(queries)[2] == 1
    pipeline.close()


def test_given_the_first_day_of_the_calendar_when_read_then_there_are_no_earlier_days(queries: Queries) -> None:
    for day in ("0001-01-08", "0001-01-10", "0001-01-13"):
        assert reporting(queries, day=day) == (0, 0, None, 0, 0)
